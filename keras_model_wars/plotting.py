"""Pictures: samples of the digits, a model's diagram, its learning curves."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pygraphviz
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype
from PIL import Image

from keras_model_wars.arguments import array, whole_number
from keras_model_wars.files import check_picture_path, replacing
from keras_model_wars.startup import quiet_libraries
from keras_model_wars.verdict import to_functional

# Of Okabe and Ito's palette, which the colour-blind can tell apart; white text is legible on all three.
LAYER_COLOURS = {"input": "#0072B2", "hidden": "#4D4D4D", "output": "#B34700"}


def plot_samples(
    x: np.ndarray, y: np.ndarray, to_file: str | os.PathLike | None = None, *, columns: int = 10
) -> Figure:
    """Draw digits with their labels, as the first article shows a few before it trains.

    Takes images (count, 28, 28) and labels (count,), and draws all of them, ``columns`` in a row: pass a slice. Writes
    ``to_file`` (.png, .svg or .pdf) where given. Raises a ValueError for other shapes, more than 400 digits, or another ending.

    >>> figure = plot_samples(x_train[:40], y_train[:40])
    """
    x, y = array("x", x, "an array of images"), array("y", y, "an array of labels", kinds="biufU")
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1] or not 0 < len(x) <= 400:
        raise ValueError(
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
    return _finished(figure, to_file)


def plot_model(model: keras.Model, to_file: str | os.PathLike | None = None, *, dpi: int = 96) -> Image.Image:
    """Draw a model's diagram with shapes and activations, without a system Graphviz.

    Input, hidden and output layers have colours of their own, and a legend names them. Returns the picture as a Pillow
    image, which a notebook shows, and writes ``to_file`` (.png, .svg or .pdf) where given. Raises a TypeError for anything
    but a Keras model, a ValueError for an unbuilt one or for another ending.

    >>> image = plot_model(build_sequential())

    Does what ``keras.utils.plot_model`` does, with the Graphviz that the wheels of pygraphviz bring.
    """
    check_picture_path(to_file)
    whole_number("dpi", dpi, lowest=10, highest=600)
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` should be a Keras model. Received: {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            "`model` should be built, so that its shapes are known. Start it with a keras.Input, or call it once."
        )
    if isinstance(model, keras.Sequential):
        model = to_functional(model)  # Keras draws no input layer for a Sequential one
    dot = keras.utils.model_to_dot(model, show_shapes=True, show_layer_names=True, show_layer_activations=True, dpi=dpi)
    graph = pygraphviz.AGraph(string=dot.to_string())
    for node in graph.nodes():
        role = "input" if not graph.in_degree(node) else "hidden" if graph.out_degree(node) else "output"
        label = node.attr["label"].replace('bgcolor="black"', f'bgcolor="{LAYER_COLOURS[role]}"')
        node.attr["label"] = f"<{label}>"
    swatches = "".join(
        f'<td bgcolor="{c}"><font color="white">{role} layer</font></td>' for role, c in LAYER_COLOURS.items()
    )
    graph.graph_attr["label"] = (
        f'<<table border="0" cellborder="0" cellspacing="8" cellpadding="6"><tr>{swatches}</tr></table>>'
    )
    # Drawn in memory: Graphviz ends the whole program where it can't write a file.
    with quiet_libraries():
        picture = graph.draw(format="png", prog="dot")
        drawing = picture if to_file is None else graph.draw(format=Path(to_file).suffix.lower()[1:], prog="dot")
    if to_file is not None:
        with replacing(to_file) as temporary:
            temporary.write_bytes(drawing)
    return Image.open(io.BytesIO(picture))


def plot_neurons(units: Sequence[int] = (3, 4, 4, 2), to_file: str | os.PathLike | None = None) -> Figure:
    """Draw the second article's small picture: an input layer, hidden layers and an output layer, as neurons and connections.

    ``units`` are the neurons of each layer, the input first and the output last: two layers at least, of 1 to 32 neurons.
    Writes ``to_file`` (.png, .svg or .pdf) where given. Raises a ValueError for other units or for another ending.

    >>> figure = plot_neurons((3, 4, 4, 2))

    Follows "Keras Model Wars: Functional vs Sequential", its simple model diagram.
    """
    if (
        not isinstance(units, (tuple, list))
        or len(units) < 2
        or any(type(u) is not int or not 0 < u <= 32 for u in units)
    ):
        raise ValueError(
            f"`units` should be two or more whole numbers from 1 to 32, one a layer. Received: units={units!r}."
        )
    roles = ["input", *["hidden"] * (len(units) - 2), "output"]
    heights = [np.arange(count) - (count - 1) / 2 for count in units]
    figure, axis = plt.subplots(figsize=(2 * len(units), max(3, 0.7 * max(units))), layout="constrained")
    for place, (left, right) in enumerate(zip(heights, heights[1:])):
        for a in left:
            axis.plot([place, place + 1], np.stack([np.full(len(right), a), right]), color="0.75", zorder=1)
    for place, (role, neurons) in enumerate(zip(roles, heights)):
        axis.scatter(np.full(len(neurons), place), neurons, s=500, color=LAYER_COLOURS[role], zorder=2)
        name = role if role != "hidden" or len(units) == 3 else f"hidden {place}"
        axis.annotate(f"{name}\nlayer", (place, max(units) / 2 + 0.2), ha="center", va="bottom", annotation_clip=False)
    axis.set(xlim=(-0.5, len(units) - 0.5), ylim=(-max(units) / 2 - 0.2, max(units) / 2 + 1))
    axis.axis("off")
    return _finished(figure, to_file)


def plot_learning_curves(
    history: pd.DataFrame | keras.callbacks.History,
    to_file: str | os.PathLike | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """Draw every metric over the epochs on one grid, as the first article does.

    Takes the ``history`` of a run, or what ``fit`` returned. Training is a line, validation a dashed one in the same colour;
    the outputs of a model with several are told apart by colour. Writes ``to_file`` (.png, .svg or .pdf) where given.
    Raises a TypeError for anything that is no history, a ValueError for an empty one or for another ending.

    >>> figure = plot_learning_curves(run.history)
    """
    history = as_history(history)
    figure, axis = plt.subplots(figsize=(8, 5), layout="constrained")
    names = [name for name in history.columns if not name.startswith("val_")]
    for name in names:
        (line,) = axis.plot(history.index, history[name], marker="o", markersize=3, label=name)
        if f"val_{name}" in history:
            axis.plot(history.index, history[f"val_{name}"], "--", color=line.get_color(), label=f"val_{name}")
    # A diverged training has losses that are infinite or no numbers, and its curves end where they do.
    axis.set_ylim(0, 1.05 * max([1, *(value for value in history.to_numpy().flat if np.isfinite(value))]))
    label_epochs(axis)
    axis.set_ylabel("loss and accuracy")
    if title:
        axis.set_title(title)
    axis.legend(ncols=2 if len(names) > 2 else 1)
    return _finished(figure, to_file)


def plot_article_comparison(
    comparison: pd.DataFrame, to_file: str | os.PathLike | None = None, *, title: str | None = None
) -> Figure:
    """Draw what was measured as lines and what the article printed as points: a panel for loss, a panel for accuracy.

    Takes what ``compare_with_article`` returns. A model with several outputs gets a pair of panels an output. Writes
    ``to_file`` (.png, .svg or .pdf) where given. Raises a TypeError for anything but a DataFrame, a ValueError for one
    without the columns of ``compare_with_article`` or for another ending.

    >>> figure = plot_article_comparison(compare_with_article(run.history, "sequential"))
    """
    if not isinstance(comparison, pd.DataFrame):
        raise TypeError(
            f"`comparison` should be what compare_with_article returns. Received: {type(comparison).__name__}."
        )
    numbers = ("epoch", "article", "measured")
    if (
        not {"metric", *numbers} <= set(comparison.columns)
        or comparison.empty
        or not all(is_numeric_dtype(comparison[name]) for name in numbers)
        or not any(str(name).endswith("accuracy") for name in comparison["metric"])
    ):
        raise ValueError(
            f"`comparison` should be what compare_with_article returns. Received: {list(comparison.columns)}."
        )
    accuracies = [name for name in comparison["metric"].unique() if name.endswith("accuracy") and "val_" not in name]
    figure, axes = plt.subplots(
        len(accuracies), 2, figsize=(10, 4 * len(accuracies)), squeeze=False, sharex=True, layout="constrained"
    )
    for row, accuracy in zip(axes, accuracies):
        for axis, name in zip(row, (accuracy.replace("accuracy", "loss"), accuracy)):
            for metric, style in ((name, "-"), (f"val_{name}", "--")):
                rows = comparison[comparison["metric"] == metric]
                (line,) = axis.plot(rows["epoch"], rows["measured"], style, label=f"{metric}, measured")
                axis.plot(rows["epoch"], rows["article"], "o", color=line.get_color(), label=f"{metric}, article")
            label_epochs(axis)
            axis.set_ylabel("accuracy" if name == accuracy else "loss")
            axis.legend()
    if title:
        figure.suptitle(title)
    return _finished(figure, to_file)


def as_history(history: pd.DataFrame | keras.callbacks.History) -> pd.DataFrame:
    """Return a history as a DataFrame of one row an epoch, counted from 1; a TypeError or ValueError if it is none."""
    if isinstance(history, keras.callbacks.History):
        history = pd.DataFrame(history.history, index=pd.RangeIndex(1, len(history.epoch) + 1, name="epoch"))
    if not isinstance(history, pd.DataFrame):
        raise TypeError(
            f"`history` should be a run's history or what `fit` returned. Received: {type(history).__name__}."
        )
    numeric = all(isinstance(name, str) and is_numeric_dtype(history[name]) for name in history)
    if "loss" not in history or history.empty or not numeric:
        raise ValueError(
            f"`history` should hold a row an epoch, numbers alone, and a column `loss`. Received: columns {list(history.columns)}."
        )
    return history


def label_epochs(axis: plt.Axes) -> None:
    """Name the epochs below a panel, in whole numbers, over a grid."""
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("epoch")
    axis.grid(True, alpha=0.4)


def _finished(figure: Figure, to_file: str | os.PathLike | None) -> Figure:
    # Closed in pyplot, the figure still draws and saves; left open, a notebook would show it twice.
    plt.close(figure)
    if to_file is not None:
        check_picture_path(to_file)
        with replacing(to_file) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure
