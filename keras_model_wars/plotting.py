"""Draw digits, diagrams, learning curves, the comparison with the article, and mistakes."""

import io
import itertools
from collections import Counter
from collections.abc import Sequence
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
from keras_model_wars.checks import (
    InputError,
    PictureFile,
    array,
    picture_path,
    quiet_stderr,
    replacing,
    whole_number,
)

# From the palette of Okabe and Ito, which the color-blind can tell apart; white text is legible on all three.
LAYER_COLORS = {"input": "#0072B2", "hidden": "#4D4D4D", "output": "#B34700"}


def plot_samples(
    x: np.ndarray, y: np.ndarray, to_file: PictureFile = None, *, columns: int = 10
) -> Figure:
    """Draw digits with their labels.

    Takes 1 to 400 images (count, 28, 28) and labels (count,), numbers or words, and draws ``columns`` in a row. Writes
    ``to_file`` (.png, .svg or .pdf) if given, as every plot does, and raises an InputError for other shapes or an
    unsupported file extension. Follows both articles, which show some digits before they train.

    >>> figure = plot_samples(x_train[:40], y_train[:40])
    """
    x, y = (
        array("x", x, "an array of images"),
        array("y", y, "an array of labels", kinds="biufU"),
    )
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1] or not 0 < len(x) <= 400:
        expected = "`x` should be 1 to 400 images of shape (28, 28) and `y` as many labels; pass a slice such as x[:40]"
        raise InputError(expected, f"shapes {x.shape} and {y.shape}")
    columns = min(whole_number("columns", columns), len(x))
    rows = -(-len(x) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(columns * 0.9, rows * 1.1),
        squeeze=False,
        layout="constrained",
    )
    _show_digits(axes, x, map(str, y))
    return save_figure(figure, to_file)


def plot_model(
    model: keras.Model, to_file: PictureFile = None, *, dpi: int = 96
) -> Image.Image:
    """Draw a model's diagram with shapes and activations, without a system Graphviz.

    Input, hidden and output layers have their own colors; a layer that is used twice has its arrows twice. Returns a
    Pillow image, which a notebook shows, and writes ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for
    anything but a built Keras model. Does what ``keras.utils.plot_model`` does, with the Graphviz of pygraphviz.

    >>> image = plot_model(build_sequential())
    """
    picture_path(to_file)
    if not isinstance(model, keras.Model) or not model.built:
        expected = "`model` should be a Keras model that starts with a keras.Input or was called once"
        raise InputError(expected, type(model).__name__)
    if isinstance(model, keras.Sequential):
        model = to_functional(model)  # Keras draws no input layer for a Sequential one
    options = {
        "show_shapes": True,
        "show_layer_names": True,
        "show_layer_activations": True,
    }
    dot = keras.utils.model_to_dot(model, **options, dpi=whole_number("dpi", dpi))
    dot.set("concentrate", False)  # or Graphviz merges arrows
    # Keras draws one arrow for all uses of a layer.
    drawn = Counter(
        (edge.get_source(), edge.get_destination()) for edge in dot.get_edges()
    )
    uses = Counter(
        (str(id(source)), str(id(target))) for source, target in connections(model)
    )
    for source, target in (uses - drawn).elements():
        dot.add_edge(pydot.Edge(source, target, penwidth="2"))  # as Keras's own
    graph = pygraphviz.AGraph(string=dot.to_string())
    for node in graph.nodes():
        role = (
            "input"
            if not graph.in_degree(node)
            else "hidden"
            if graph.out_degree(node)
            else "output"
        )
        label = node.attr["label"].replace(
            'bgcolor="black"', f'bgcolor="{LAYER_COLORS[role]}"'
        )
        node.attr["label"] = f"<{label}>"
    cell = '<td bgcolor="{}"><font face="helvetica" color="white">{} layer</font></td>'
    legend = "".join(cell.format(color, role) for role, color in LAYER_COLORS.items())
    graph.graph_attr["label"] = (
        f'<<table border="0" cellspacing="8" cellpadding="6"><tr>{legend}</tr></table>>'
    )
    # Drawn in memory, because Graphviz ends the whole program where it can't write a file.
    with quiet_stderr():
        picture = graph.draw(format="png", prog="dot")
        if to_file is not None:
            with replacing(to_file) as temporary:
                temporary.write_bytes(
                    graph.draw(format=temporary.suffix.lower()[1:], prog="dot")
                )
    return Image.open(io.BytesIO(picture))


def plot_neurons(
    units: Sequence[int] = (3, 4, 4, 2), to_file: PictureFile = None
) -> Figure:
    """Draw an input layer, hidden layers and an output layer as neurons and connections.

    ``units`` are the neurons of each layer, the input first and the output last: two or more layers of 1 to 32 neurons,
    or an InputError is raised. Follows "Keras Model Wars: Functional vs Sequential", its simple model diagram.

    >>> figure = plot_neurons((3, 4, 4, 2))
    """
    if not isinstance(units, (tuple, list)) or len(units) < 2:
        raise InputError(
            "`units` should be two or more whole numbers, one per layer",
            f"units={units!r}",
        )
    units = [whole_number("units", count, highest=32) for count in units]
    roles = ["input", *["hidden"] * (len(units) - 2), "output"]
    layers = [np.arange(count) - (count - 1) / 2 for count in units]
    figure, axis = plt.subplots(
        figsize=(2 * len(units), max(3, 0.7 * max(units))), layout="constrained"
    )
    for place, (left, right) in enumerate(zip(layers, layers[1:])):
        for start, end in itertools.product(left, right):
            axis.plot([place, place + 1], [start, end], color="0.75", zorder=1)
    for place, (role, neurons) in enumerate(zip(roles, layers)):
        axis.scatter(
            np.full(len(neurons), place),
            neurons,
            s=500,
            color=LAYER_COLORS[role],
            zorder=2,
        )
        axis.text(
            place, max(units) / 2 + 0.2, f"{role}\nlayer", ha="center", va="bottom"
        )
    axis.set(
        xlim=(-0.5, len(units) - 0.5), ylim=(-max(units) / 2 - 0.2, max(units) / 2 + 1)
    )
    axis.axis("off")
    return save_figure(figure, to_file)


def plot_learning_curves(
    history: History, to_file: PictureFile = None, *, title: str = ""
) -> Figure:
    """Draw loss and accuracy over the epochs, training as lines and validation dashed, one panel per output.

    Takes a run's ``history``, or what ``fit`` returned; of a model with several outputs the total loss, their sum, is
    not drawn. Raises an InputError for anything that is not a history. Follows "Sequential API vs Functional API model
    in Keras", its learning curves.

    >>> figure = plot_learning_curves(run.history)
    """
    history = as_history(history)
    names = [name for name in history if not name.startswith("val_")]
    outputs = [
        name.removesuffix("loss") for name in names if name.endswith("_loss")
    ] or [""]
    figure, axes = plt.subplots(
        1,
        len(outputs),
        figsize=(1 + 7 * len(outputs), 5),
        squeeze=False,
        layout="constrained",
    )
    for axis, output in zip(axes.flat, outputs):
        panel = history[
            [name for name in history if name.removeprefix("val_").startswith(output)]
        ]
        for name in (name for name in names if name in panel):
            (line,) = axis.plot(panel[name], marker="o", markersize=3, label=name)
            if f"val_{name}" in panel:
                axis.plot(
                    panel[f"val_{name}"],
                    "--",
                    color=line.get_color(),
                    label=f"val_{name}",
                )
        # The losses of a diverged run are infinite or NaN, and its curves end there.
        axis.set_ylim(
            0,
            1.05
            * max(
                [1, *(value for value in panel.to_numpy().flat if np.isfinite(value))]
            ),
        )
        _label_epochs(axis, "loss and accuracy")
    figure.suptitle(title)
    return save_figure(figure, to_file)


def plot_article_comparison(
    comparison: pd.DataFrame, to_file: PictureFile = None, *, title: str = ""
) -> Figure:
    """Draw a run as lines, the article's log as points, and the interval of our other seeds as a band.

    Takes what ``compare_with_article`` returns, or raises an InputError. Every output gets a panel for its loss and one
    for its accuracy. Follows "Sequential API vs Functional API model in Keras", its logs.

    >>> figure = plot_article_comparison(compare_with_article(run.history, "sequential"))
    """
    needed = {"epoch", "metric", "article", "measured", "low", "high"}
    if (
        not isinstance(comparison, pd.DataFrame)
        or comparison.empty
        or not needed <= set(comparison)
    ):
        raise InputError(
            "`comparison` should be what compare_with_article returns",
            f"{comparison!r:.80}",
        )
    tables = {
        metric: table.set_index("epoch")
        for metric, table in comparison.groupby("metric")
    }
    accuracies = [
        name
        for name in tables
        if name.endswith("accuracy") and not name.startswith("val_")
    ]
    size = (10, 4 * len(accuracies))
    figure, axes = plt.subplots(
        len(accuracies),
        2,
        figsize=size,
        squeeze=False,
        sharex=True,
        layout="constrained",
    )
    panels = [
        name
        for accuracy in accuracies
        for name in (accuracy.replace("accuracy", "loss"), accuracy)
    ]
    for axis, name in zip(axes.flat, panels):
        for metric, style in ((name, "-"), (f"val_{name}", "--")):
            table = tables[metric]
            (line,) = axis.plot(table["measured"], style, label=f"{metric}, measured")
            color = line.get_color()
            axis.plot(
                table["article"],
                "o",
                markersize=4,
                color=color,
                label=f"{metric}, article",
            )
            band = {
                "color": color,
                "alpha": 0.2,
                "linewidth": 0,
                "label": f"{metric}, 95 % of other seeds",
            }
            axis.fill_between(table.index, table["low"], table["high"], **band)
        _label_epochs(axis, name)
    figure.suptitle(title)
    return save_figure(figure, to_file)


def plot_mistakes(
    model: keras.Model, x: Any, y: Any, to_file: PictureFile = None, *, title: str = ""
) -> Figure:
    """Draw a model's confusion matrix beside the twelve digits that it gets most wrong.

    Takes ``x`` and ``y`` as ``model.evaluate`` does: images of shape (count, 28, 28) or (count, 784), or a list or a
    dict of them, and their labels as whole numbers. Each digit has its label, the model's answer and the answer's
    probability; a model with two outputs gets one row per output, and a pair is one question. Raises an InputError for
    labels that do not belong to the model's outputs.

    >>> figure = plot_mistakes(run.model, scale_pixels(x_test), y_test)
    """
    from sklearn.metrics import ConfusionMatrixDisplay  # takes a second to import

    heads = getattr(model, "output_names", []) or list(
        y if isinstance(y, dict) else [model.name]
    )  # a subclassed model
    labels = [np.ravel(truth) for truth in _in_order(y, heads)]
    outputs = (
        keras.tree.flatten(model.predict(x, verbose=0)) if all(map(len, labels)) else []
    )
    right = [
        truth.dtype.kind in "iu"
        and len(truth) == len(found)
        and {*truth} <= {*range(max(found.shape[1], 2))}
        for truth, found in zip(labels, outputs)
    ]
    if not len(heads) == len(labels) == len(outputs) == sum(right):
        expected = f"`y` should hold the labels of {len(heads)} outputs, one whole number per image"
        received = [
            f"{len(truth)} of {np.unique(truth)[:10].tolist()}" for truth in labels
        ]
        raise InputError(expected, " and ".join(received))
    if len(heads) == 1:
        heads = [title or model.name]
    inputs = [
        t.name
        for t in getattr(model, "inputs", None) or []
        if not isinstance(x, dict) or t.name in x
    ]
    images = [np.reshape(image, (-1, 28, 28)) for image in _in_order(x, inputs)]
    if len(images) > len(outputs):
        images = [np.concatenate(images, axis=2)]
    figure = plt.figure(figsize=(12, 5 * len(outputs)), layout="constrained")
    halves = figure.subfigures(len(outputs), squeeze=False)[:, 0]
    for half, name, truth, shown, found in zip(halves, heads, labels, images, outputs):
        names = np.arange(10)
        if found.shape[1] == 1:
            found, names = (
                np.hstack([1 - found, found]),
                np.array(["different", "same"]),
            )
        answers = found.argmax(axis=1)
        left, right = half.subfigures(1, 2, width_ratios=[1, 1.4])
        style = {
            "labels": range(len(names)),
            "display_labels": names,
            "colorbar": False,
            "cmap": "Blues",
        }
        ConfusionMatrixDisplay.from_predictions(
            truth, answers, ax=left.subplots(), **style
        )
        surest = np.argsort(found[np.arange(len(truth)), truth], kind="stable")
        worst = surest[answers[surest] != truth[surest]][:12]
        titles = [
            f"{names[truth[i]]} taken for {names[answers[i]]}\n({found[i].max():.2f})"
            for i in worst
        ]
        _show_digits(right.subplots(3, 4), shown[worst], titles)
        half.suptitle(f"{name}: {np.mean(answers == truth):.2%} right")
    return save_figure(figure, to_file)


def save_figure(figure: Figure, to_file: PictureFile) -> Figure:
    """Write a figure if a file is named, and return it closed in pyplot: left open, a notebook shows it twice."""
    plt.close(figure)
    if to_file is not None:
        picture_path(to_file)
        with replacing(to_file) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure


def _in_order(values: Any, names: list[str]) -> list[Any]:
    """Return what a model takes or should answer as a list in the model's own order, as ``evaluate`` finds it."""
    if isinstance(values, dict):
        return [values.get(name) for name in names or values]
    return list(values) if len(names) > 1 else [values]


def _show_digits(axes: np.ndarray, images: np.ndarray, titles: Any) -> None:
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles):
        axis.imshow(image, cmap="gray_r")
        axis.set_title(title, fontsize=9)


def _label_epochs(axis: plt.Axes, name: str) -> None:
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="epoch", ylabel=name)
    axis.grid(True, alpha=0.4)
    axis.legend(fontsize=9)
