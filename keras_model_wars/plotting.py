"""Draw digits, diagrams, learning curves, the comparison with the article, and mistakes."""

import io
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pydot
import pygraphviz
from matplotlib.figure import Figure
from PIL import Image

from keras_model_wars.apis import connections, to_functional
from keras_model_wars.article_logs import History, as_history
from keras_model_wars.checks import InputError, array, check_picture_path, quiet_libraries, replacing, whole_number

# From the palette of Okabe and Ito, which the color-blind can tell apart; white text is legible on all three.
LAYER_COLORS = {"input": "#0072B2", "hidden": "#4D4D4D", "output": "#B34700"}
_WORST = 12


def plot_samples(
    x: np.ndarray, y: np.ndarray, to_file: str | os.PathLike | None = None, *, columns: int = 10
) -> Figure:
    """Draw digits with their labels.

    Takes 1 to 400 images (count, 28, 28) and labels (count,), numbers or words, and draws ``columns`` in a row. Writes
    ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for other shapes or an unsupported file extension.

    >>> figure = plot_samples(x_train[:40], y_train[:40])

    Follows both articles, which show some digits before they train.
    """
    x, y = array("x", x, "an array of images"), array("y", y, "an array of labels", kinds="biufU")
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1] or not 0 < len(x) <= 400:
        raise InputError(
            "`x` should be 1 to 400 images of shape (28, 28) and `y` as many labels; pass a slice such as x[:40]. "
            f"Received: shapes {x.shape} and {y.shape}."
        )
    columns = min(whole_number("columns", columns), len(x))
    rows = -(-len(x) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * 0.9, rows * 1.1), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, label in zip(axes.flat, x, y):
        axis.imshow(image, cmap="gray_r")
        axis.set_title(str(label), fontsize=10)
    return save_figure(figure, to_file)


def plot_model(model: keras.Model, to_file: str | os.PathLike | None = None, *, dpi: int = 96) -> Image.Image:
    """Draw a model's diagram with shapes and activations, without a system Graphviz.

    Input, hidden and output layers have their own colors; a layer that is used twice has its arrows twice. Returns a
    Pillow image, which a notebook shows, and writes ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for
    anything but a built Keras model, or for an unsupported file extension.

    >>> image = plot_model(build_sequential())

    Does what ``keras.utils.plot_model`` does, with the Graphviz in pygraphviz's wheels.
    """
    check_picture_path(to_file)
    if not isinstance(model, keras.Model) or not model.built:
        received = "an unbuilt model" if isinstance(model, keras.Model) else type(model).__name__
        raise InputError(
            f"`model` should be a Keras model that starts with a keras.Input or was called once. Received: {received}."
        )
    if isinstance(model, keras.Sequential):
        model = to_functional(model)  # Keras draws no input layer for a Sequential one
    dot = keras.utils.model_to_dot(
        model, show_shapes=True, show_layer_names=True, show_layer_activations=True, dpi=whole_number("dpi", dpi)
    )
    dot.set("concentrate", False)  # or Graphviz merges arrows
    # Keras draws one arrow for all uses of a layer.
    drawn = Counter((edge.get_source(), edge.get_destination()) for edge in dot.get_edges())
    uses = Counter((str(id(source)), str(id(target))) for source, target in connections(model))
    for source, target in (uses - drawn).elements():
        dot.add_edge(pydot.Edge(source, target, penwidth="2"))  # as Keras's own
    graph = pygraphviz.AGraph(string=dot.to_string())
    for node in graph.nodes():
        role = "input" if not graph.in_degree(node) else "hidden" if graph.out_degree(node) else "output"
        label = node.attr["label"].replace('bgcolor="black"', f'bgcolor="{LAYER_COLORS[role]}"')
        node.attr["label"] = f"<{label}>"
    legend = "".join(
        f'<td bgcolor="{c}"><font color="white">{role} layer</font></td>' for role, c in LAYER_COLORS.items()
    )
    graph.graph_attr["label"] = (
        f'<<table border="0" cellborder="0" cellspacing="8" cellpadding="6"><tr>{legend}</tr></table>>'
    )
    # Drawn in memory, because Graphviz ends the whole program where it can't write a file.
    with quiet_libraries():
        picture = graph.draw(format="png", prog="dot")
        drawing = picture if to_file is None else graph.draw(format=Path(to_file).suffix.lower()[1:], prog="dot")
    if to_file is not None:
        with replacing(to_file) as temporary:
            temporary.write_bytes(drawing)
    return Image.open(io.BytesIO(picture))


def plot_neurons(units: Sequence[int] = (3, 4, 4, 2), to_file: str | os.PathLike | None = None) -> Figure:
    """Draw an input layer, hidden layers and an output layer as neurons and connections.

    ``units`` are the neurons of each layer, the input first and the output last: two or more layers of 1 to 32 neurons.
    Writes ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for other units or an unsupported extension.

    >>> figure = plot_neurons((3, 4, 4, 2))

    Follows "Keras Model Wars: Functional vs Sequential", its simple model diagram.
    """
    if not isinstance(units, (tuple, list)) or len(units) < 2:
        raise InputError(f"`units` should be two or more whole numbers, one per layer. Received: units={units!r}.")
    units = [whole_number("units", count, highest=32) for count in units]
    roles = ["input", *["hidden"] * (len(units) - 2), "output"]
    heights = [np.arange(count) - (count - 1) / 2 for count in units]
    figure, axis = plt.subplots(figsize=(2 * len(units), max(3, 0.7 * max(units))), layout="constrained")
    for place, (left, right) in enumerate(zip(heights, heights[1:])):
        for a in left:
            axis.plot([place, place + 1], np.stack([np.full(len(right), a), right]), color="0.75", zorder=1)
    for place, (role, neurons) in enumerate(zip(roles, heights)):
        axis.scatter(np.full(len(neurons), place), neurons, s=500, color=LAYER_COLORS[role], zorder=2)
        name = role if role != "hidden" or len(units) == 3 else f"hidden {place}"
        axis.annotate(f"{name}\nlayer", (place, max(units) / 2 + 0.2), ha="center", va="bottom", annotation_clip=False)
    axis.set(xlim=(-0.5, len(units) - 0.5), ylim=(-max(units) / 2 - 0.2, max(units) / 2 + 1))
    axis.axis("off")
    return save_figure(figure, to_file)


def plot_learning_curves(
    history: History, to_file: str | os.PathLike | None = None, *, title: str | None = None
) -> Figure:
    """Draw loss and accuracy over the epochs, training as lines and validation dashed, one panel per output.

    Takes a run's ``history``, or what ``fit`` returned; of a model with several outputs the total loss, their sum, is
    not drawn. Writes ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for anything that is not a history,
    or for an unsupported file extension.

    >>> figure = plot_learning_curves(run.history)

    Follows "Sequential API vs Functional API model in Keras", its learning curves.
    """
    history = as_history(history)
    names = [name for name in history if not name.startswith("val_")]
    outputs = [name.removesuffix("_loss") for name in names if name.endswith("_loss")]
    panels = [[name for name in names if name.startswith(f"{output}_")] for output in outputs] or [names]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(1 + 7 * len(panels), 5), squeeze=False, sharey=True, layout="constrained"
    )
    for axis, panel in zip(axes.flat, panels):
        for name in panel:
            (line,) = axis.plot(history.index, history[name], marker="o", markersize=3, label=name)
            if f"val_{name}" in history:
                axis.plot(history.index, history[f"val_{name}"], "--", color=line.get_color(), label=f"val_{name}")
        _label_epochs(axis, "loss and accuracy")
    # A diverged run has losses that are infinite or NaN, and its curves end there.
    drawn = history[[name for name in history if name.removeprefix("val_") in sum(panels, [])]].to_numpy()
    axes[0, 0].set_ylim(0, 1.05 * max([1, *drawn[np.isfinite(drawn)]]))
    figure.suptitle(title)
    return save_figure(figure, to_file)


def plot_article_comparison(
    comparison: pd.DataFrame, to_file: str | os.PathLike | None = None, *, title: str | None = None
) -> Figure:
    """Draw a run as lines, the article's log as points, and the interval of our other seeds as a band.

    Takes what ``compare_with_article`` returns. Every output gets a panel for loss and a panel for accuracy. Writes
    ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for anything else, or an unsupported file extension.

    >>> figure = plot_article_comparison(compare_with_article(run.history, "sequential"))
    """
    needed = {"epoch", "metric", "article", "measured", "low", "high"}
    if not isinstance(comparison, pd.DataFrame) or comparison.empty or not needed <= set(comparison):
        raise InputError(f"`comparison` should be what compare_with_article returns. Received: {comparison!r:.80}.")
    tables = {metric: table.set_index("epoch") for metric, table in comparison.groupby("metric")}
    accuracies = [name for name in tables if name.endswith("accuracy") and not name.startswith("val_")]
    figure, axes = plt.subplots(
        len(accuracies), 2, figsize=(10, 4 * len(accuracies)), squeeze=False, sharex=True, layout="constrained"
    )
    for row, accuracy in zip(axes, accuracies):
        for axis, name in zip(row, (accuracy.replace("accuracy", "loss"), accuracy)):
            for metric, style in ((name, "-"), (f"val_{name}", "--")):
                table = tables[metric]
                (line,) = axis.plot(table["measured"], style, label=f"{metric}, measured")
                axis.plot(table["article"], "o", markersize=4, color=line.get_color(), label=f"{metric}, article")
                axis.fill_between(
                    table.index, table["low"], table["high"], color=line.get_color(), alpha=0.2, linewidth=0,
                    label=f"{metric}, 95 % of other seeds",
                )  # fmt: skip
            _label_epochs(axis, name)
    figure.suptitle(title)
    return save_figure(figure, to_file)


def plot_mistakes(
    model: keras.Model, x: Any, y: Any, to_file: str | os.PathLike | None = None, *, title: str | None = None
) -> Figure:
    """Draw a model's confusion matrix beside the twelve digits that it gets most wrong.

    Takes ``x`` and ``y`` as ``model.evaluate`` does: images of shape (count, 28, 28) or (count, 784), or a dict of them,
    and their labels. Each digit has its label, the model's answer and the answer's probability; a model with two outputs
    gets one row per output, and a pair is one question. Writes ``to_file`` (.png, .svg or .pdf) if given. Raises an
    InputError for labels that do not belong to the model's outputs, or for an unsupported file extension.

    >>> figure = plot_mistakes(run.model, scale_pixels(x_test), y_test)
    """
    from sklearn.metrics import ConfusionMatrixDisplay  # takes a second to import

    labels = y if isinstance(y, dict) else {"": y}
    images = [image.reshape(-1, 28, 28) for image in (x.values() if isinstance(x, dict) else [x])]
    outputs = keras.tree.flatten(model.predict(x, verbose=0))
    if len(outputs) != len(labels) or any(len(a) != len(b) for a, b in zip(outputs, labels.values())):
        raise InputError(
            f"`y` should hold the labels of {len(outputs)} outputs, one per image. Received: {len(labels)} of them."
        )
    if len(images) > len(outputs):
        images = [np.concatenate(images, axis=2)]
    figure = plt.figure(figsize=(12, 5 * len(outputs)), layout="constrained")
    for half, (name, truth), shown, found in zip(
        figure.subfigures(len(outputs), squeeze=False)[:, 0], labels.items(), images, outputs
    ):
        names = np.arange(10)
        if found.shape[1] == 1:
            found, names = np.hstack([1 - found, found]), np.array(["different", "same"])
        answers, rows = found.argmax(axis=1), np.arange(len(found))
        left, right = half.subfigures(1, 2, width_ratios=[1, 1.4])
        ConfusionMatrixDisplay.from_predictions(
            truth,
            answers,
            labels=range(len(names)),
            display_labels=names,
            ax=left.subplots(),
            colorbar=False,
            cmap="Blues",
        )
        worst = [row for row in np.argsort(found[rows, truth], kind="stable") if answers[row] != truth[row]][:_WORST]
        for axis, row in itertools.zip_longest(right.subplots(3, 4).flat, worst):
            axis.axis("off")
            if row is None:  # fewer mistakes than places
                continue
            axis.imshow(shown[row], cmap="gray_r")
            axis.set_title(f"{names[truth[row]]} taken for {names[answers[row]]}\n({found[row].max():.2f})", fontsize=9)
        accuracy = np.mean(answers == truth)
        half.suptitle(f"{name or title or model.name}: {accuracy:.2%} right")
    return save_figure(figure, to_file)


def save_figure(figure: Figure, to_file: str | os.PathLike | None) -> Figure:
    """Write a figure where a file is named, and return it closed in pyplot: left open, a notebook shows it twice."""
    plt.close(figure)
    if to_file is not None:
        check_picture_path(to_file)
        with replacing(to_file) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure


def _label_epochs(axis: plt.Axes, name: str) -> None:
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="epoch", ylabel=name)
    axis.grid(True, alpha=0.4)
    axis.legend(fontsize=9)
