"""Draw images, diagrams, learning curves, the comparison with the article, mistakes and predictions."""

import html
import io
import itertools
import logging
import math
import os
import re
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pygraphviz
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from keras_model_wars.answers import as_probabilities, logit_outputs
from keras_model_wars.apis import connections, inputs_of, made_by
from keras_model_wars.article_logs import History, as_history
from keras_model_wars.checks import (
    InputError,
    PictureFile,
    check_integer,
    picture_path,
    replacing,
)
from keras_model_wars.digits import name_pictures, prepare_image

# Every model traces its own functions, and TensorFlow takes five models in one process
# for a mistake.
logging.getLogger("tensorflow").addFilter(
    lambda record: "tf.function retracing" not in record.getMessage()
)

# Each color has one meaning in all pictures, and the color-blind can tell them apart.
# The layers' colors, from the palette of Okabe and Ito, are dark enough for white text.
LAYER_COLORS = {"input": "#0072B2", "hidden": "#4D4D4D", "output": "#B34700"}
TRAINING_COLOR = "#009E73"
VALIDATION_COLOR = "#882255"
MISTAKES_COLORMAP = "Reds"

# What Keras's callbacks add to a history, and no metric.
LEARNING_RATES = ["learning_rate", "lr"]

# One line style per metric of a panel; the color tells training from validation.
METRIC_STYLES = ["-", "--", ":", "-."]


def plot_samples(
    x: np.ndarray,
    y: np.ndarray,
    to_file: PictureFile = None,
    *,
    columns: int = 10,
) -> Figure:
    """Draw images with their labels.

    Takes 1 to 400 images, (count, height, width), gray or with 1, 3 or 4 channels, or
    flat and square, such as (count, 784), and as many labels, numbers or words. Draws
    ``columns`` in a row. Writes ``to_file`` (.png, .svg or .pdf) if given, as every
    plot does. Raises an InputError for other shapes or an unsupported file extension.
    Follows both articles, which show some digits before they train.

    >>> figure = kmw.plot_samples(x_train[:40], y_train[:40])
    """
    check_integer("columns", columns, lowest=1, highest=400)
    images = _as_images(x)
    labels = _as_array(y)
    if images is None or labels.shape != images.shape[:1] or len(labels) > 400:
        raise InputError(
            "`x` should be 1 to 400 images and `y` their labels. Received: shapes "
            f"{_as_array(x).shape} and {labels.shape}. Pass a slice such as x[:40], y[:40]."
        )
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    aspect = images.shape[2] / images.shape[1]
    figure = _new_figure(columns * 0.9 * min(max(aspect, 1), 4), rows * 1.2)
    axes = figure.subplots(rows, columns, squeeze=False)
    _show_images(axes, images, [str(label) for label in labels], width=12)
    return save_figure(figure, to_file)


def plot_model(
    model: keras.Model,
    to_file: PictureFile = None,
    *,
    dpi: int = 96,
) -> Image.Image:
    """Draw a model's diagram with shapes and activations, without a system Graphviz.

    Input, hidden and output layers have their own colors; a layer that is used twice
    has its arrows twice, and a subclassed model is one box. A very large diagram gets
    fewer dots per inch. Returns a Pillow image, which a notebook shows, and writes
    ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError for anything but a
    built Keras model. Looks as ``keras.utils.plot_model`` does.

    >>> image = kmw.plot_model(kmw.build_sequential())
    """
    picture_path(to_file)
    check_integer("dpi", dpi, lowest=1, highest=10_000)
    if not isinstance(model, keras.Model) or not model.built:
        raise InputError(
            "`model` should be a built Keras model. Received: a "
            f"{type(model).__name__}. Start it with a keras.Input or call it once."
        )
    graph = _layer_graph(model)
    # Drawn in memory: Graphviz ends the whole program if it can't write a file.
    with _without_font_warnings():
        graph.graph_attr["dpi"] = min(dpi, _highest_dpi(graph))
        picture = graph.draw(format="png", prog="dot")
        if to_file is not None:
            with replacing(to_file) as temporary:
                extension = temporary.suffix.lower().removeprefix(".")
                temporary.write_bytes(graph.draw(format=extension, prog="dot"))
    return Image.open(io.BytesIO(picture))


def plot_neurons(
    units: Sequence[int] = (3, 4, 4, 2),
    to_file: PictureFile = None,
    *,
    ax: Axes | None = None,
) -> Figure:
    """Draw an input layer, hidden layers and an output layer as connected neurons.

    ``units`` are the neurons of each layer, the input first and the output last: two or
    more layers of 1 to 32 neurons, or an InputError is raised. Draws into ``ax`` if
    given. Follows "Keras Model Wars: Functional vs Sequential", its simple diagram.

    >>> figure = kmw.plot_neurons((3, 4, 4, 2))
    """
    if not isinstance(units, (tuple, list)) or len(units) < 2:
        raise InputError(
            "`units` should be two or more integers, one per layer. "
            f"Received: units={units!r}."
        )
    for count in units:
        check_integer("units", count, lowest=1, highest=32)
    tallest = max(units)
    axis = ax or _new_figure(2 * len(units), max(3, 0.7 * tallest)).subplots()
    roles = ["input", *["hidden"] * (len(units) - 2), "output"]
    layers = [np.arange(count) - (count - 1) / 2 for count in units]
    for place, (left, right) in enumerate(itertools.pairwise(layers)):
        for start, end in itertools.product(left, right):
            axis.plot(
                [place, place + 1],
                [start, end],
                color="0.75",
                zorder=1,
            )
    for place, (role, neurons) in enumerate(zip(roles, layers)):
        places = np.full(len(neurons), place)
        axis.scatter(
            places,
            neurons,
            s=500,
            color=LAYER_COLORS[role],
            zorder=2,
        )
        top = tallest / 2 + 0.2
        axis.text(
            place,
            top,
            f"{role}\nlayer",
            ha="center",
            va="bottom",
        )
    axis.set_xlim(-0.5, len(units) - 0.5)
    axis.set_ylim(-tallest / 2 - 0.2, tallest / 2 + 1)
    axis.axis("off")
    return save_figure(axis.figure.figure, to_file)


def plot_learning_curves(
    history: History,
    to_file: PictureFile = None,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw loss and metrics over the epochs, for training and validation.

    Takes a run's ``history``, or what ``fit`` returned. A model with several outputs
    gets one panel per output; what belongs to none of them, as the total loss, is not
    drawn, nor is the learning rate. ``<name>_loss`` belongs to an output if an output has another metric, as
    ``<name>_accuracy``. The curves of a diverged run end at its last finite values.
    Draws a single panel into ``ax`` if given. Raises an InputError for anything that is
    not a history, and for ``ax`` with several outputs. Follows "Sequential API vs
    Functional API model in Keras", its learning curves.

    >>> figure = kmw.plot_learning_curves(run.history)
    """
    table = as_history(history).drop(columns=LEARNING_RATES, errors="ignore")
    outputs = _metrics_by_output(list(table))
    if ax is not None and len(outputs) > 1:
        raise InputError(
            "`ax` should be given for the history of one output. Received: a history "
            f"of the outputs {', '.join(outputs)}. Select the columns of one of them."
        )
    if ax is not None:
        axes = [ax]
        ax.set_title(title, parse_math=False)
    else:
        figure = _new_figure(1 + 7 * len(outputs), 5)
        axes = list(figure.subplots(1, len(outputs), squeeze=False)[0])
        figure.suptitle(title, parse_math=False)
    for axis, (output, metrics) in zip(axes, outputs.items()):
        _draw_curves(axis, table, metrics)
        names = [name.removeprefix(f"{output}_") for name in metrics]
        axis.set_ylabel(" and ".join(names) if len(names) < 3 else "loss and metrics")
        if output:
            axis.set_title(output)
    return save_figure(axes[0].figure.figure, to_file)


def plot_article_comparison(
    comparison: pd.DataFrame,
    to_file: PictureFile = None,
    *,
    title: str = "",
) -> Figure:
    """Draw a run as lines, the article's log as points, our other seeds as bands.

    Takes what ``compare_with_article`` returns, or raises an InputError. Each metric
    has a panel with the 95% prediction interval, and below it a strip that shows how
    far each value lies from the mean of our seeds: within ±1, it lies in the interval.
    The strip is linear up to ±1 and logarithmic beyond. Follows "Sequential API vs
    Functional API model in Keras", its logs.

    >>> comparison = kmw.compare_with_article(run.history, "sequential")
    >>> figure = kmw.plot_article_comparison(comparison)
    """
    needed = {"epoch", "metric", "article", "measured", "mean", "low", "high"}
    is_table = isinstance(comparison, pd.DataFrame) and not comparison.empty
    if not is_table or not needed.issubset(comparison.columns):
        raise InputError(
            "`comparison` should be what compare_with_article returns. "
            f"Received: {type(comparison).__name__} {str(comparison)[:80]!r}."
        )
    rows = list(_metrics_by_output(list(comparison["metric"].unique())).values())
    columns = max(len(metrics) for metrics in rows)
    figure = _new_figure(5 * columns, 0.8 + 4.2 * len(rows))
    figure.suptitle(title, parse_math=False)
    heights = [3, 1] * len(rows)
    grid = figure.subplots(
        2 * len(rows),
        columns,
        squeeze=False,
        sharex=True,
        height_ratios=heights,
    )
    for row, metrics in enumerate(rows):
        for column, metric in enumerate(metrics):
            panel, strip = grid[2 * row : 2 * row + 2, column]
            _draw_comparison(panel, strip, comparison, metric)
        label = "distance\n(1: edge of\nthe interval)"
        grid[2 * row + 1, 0].set_ylabel(label, fontsize=8)
    for axis in grid[-1]:
        axis.set_xlabel("epoch")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=2,
    )
    return save_figure(figure, to_file)


def plot_validation(histories: dict[str, History]) -> Figure:
    """Draw the validation accuracy of several runs by epoch, one line per output.

    Takes runs' names and histories. The report shows it of all runs.

    >>> figure = plot_validation({"sequential": run.history})
    """
    figure, axis = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for name, history in histories.items():
        table = as_history(history)
        for column in table:
            if not column.startswith("val_") or not column.endswith("accuracy"):
                continue
            output = column.removeprefix("val_").removesuffix("accuracy").strip("_")
            label = f"{name}: {output}" if output else name
            values = table[column].dropna()
            marker = "o" if len(values) == 1 else None
            axis.plot(values, marker=marker, label=label)
    _label_epochs(axis)
    axis.set(xlabel="epoch", ylabel="validation accuracy")
    axis.grid(True, alpha=0.4)
    # Beside the axes, where it covers no line, however many runs there are.
    figure.legend(loc="outside right upper", fontsize=9)
    plt.close(figure)
    return figure


def plot_mistakes(
    model: keras.Model,
    x: Any,
    y: Any,
    to_file: PictureFile = None,
    *,
    title: str = "",
    display_labels: Sequence[Any] | dict[str, Sequence[Any]] | None = None,
) -> Figure:
    """Draw a model's confusion matrix beside the twelve images it gets most wrong.

    Takes ``x`` and ``y`` as ``model.evaluate`` does: images of any size, (count,
    height, width), gray or with 1, 3 or 4 channels, or flat and square, such as
    (count, 784), or a list or dict of them; and one integer label per image for each
    output. Draws one row per output. ``display_labels`` are the names of the classes, or
    a dict of them by output. A model with one value per answer says 0 or 1, and of a
    pair of images "different" or "same". Logits, which a last layer without an
    activation returns, become probabilities. Raises an InputError for inputs that are
    not images, and for labels or names that don't fit the outputs.

    >>> images = kmw.scale_pixels(x_test)
    >>> figure = kmw.plot_mistakes(run.model, images, y_test, title="A small run")
    """
    if not isinstance(model, keras.Model):
        raise InputError(
            f"`model` should be a Keras model. Received: {type(model).__name__}."
        )
    outputs = _read_outputs(model, x)
    if isinstance(display_labels, dict):
        known = [output.name for output in outputs]
        if not set(display_labels) <= set(known):
            raise InputError(
                f"`display_labels` should be names for the outputs {', '.join(known)}. "
                f"Received: those of {', '.join(display_labels)}."
            )
    labels = _labels_of(y, [output.name for output in outputs])
    # More classes need more room for their counts.
    classes = max(output.probabilities.shape[1] for output in outputs)
    side = min(5 + max(0, classes - 10) / 5, 12)
    figure = _new_figure(7 + side, side * len(outputs))
    halves = figure.subfigures(len(outputs), squeeze=False)[:, 0]
    for half, output, truth in zip(halves, outputs, labels):
        probabilities = output.probabilities
        truth = _as_labels(output.name, truth, probabilities.shape)
        names = _class_names(output, display_labels)
        _draw_mistakes(half, truth, probabilities, names, output.images)
        heading = output.name if len(outputs) > 1 else title or model.name
        finite = np.isfinite(probabilities).all(axis=1)
        right = np.mean((probabilities.argmax(axis=1) == truth) & finite)
        heading = f"{heading}, {right:.2%} right"
        if not np.isfinite(probabilities).all():
            heading += " (some answers are not finite)"
        half.suptitle(heading, parse_math=False)
    return save_figure(figure, to_file)


def plot_predictions(
    images: Any,
    predictions: pd.DataFrame,
    to_file: PictureFile = None,
) -> Figure:
    """Draw each picture as the network sees it, beside its probabilities as bars.

    Takes what ``predict_digits`` took and returned. A picture that shows no digit gets
    an empty row. Writes ``to_file`` (.png, .svg or .pdf) if given. Raises an InputError
    for the predictions of more or fewer pictures, or an unsupported file extension.

    >>> predictions = kmw.predict_digits(run.model, "three.png")
    >>> figure = kmw.plot_predictions("three.png", predictions)
    """
    pictures, names = name_pictures(images)
    if not isinstance(predictions, pd.DataFrame):
        raise InputError(
            "`predictions` should be what predict_digits returns. "
            f"Received: {type(predictions).__name__}."
        )
    wide = predictions.index.nlevels
    if len(pictures) != wide * len(predictions):
        raise InputError(
            "`predictions` should be what predict_digits returns for the "
            f"{len(pictures)} `images`. Received: {len(predictions)} rows."
        )
    if to_file is not None and str(to_file) in names:
        raise InputError(
            "`to_file` should be another file than the pictures. "
            f"Received: {to_file}, which would be replaced."
        )
    is_same = np.ravel(predictions.index.to_list()).tolist() == names
    prepared = predictions.attrs.get("prepared", {}) if is_same else {}
    figure = _new_figure(3.6 + 2 * wide, 2.8 * len(predictions))
    ratios = [*[1] * wide, 1.4]
    grid = figure.subplots(
        len(predictions),
        wide + 1,
        squeeze=False,
        width_ratios=ratios,
    )
    for axis, picture, name in zip(grid[:, :-1].flat, pictures, names):
        seen = prepared.get(name)
        try:
            seen = prepare_image(picture, name) if seen is None else seen
            axis.imshow(
                seen,
                cmap="gray",
                vmin=0,
                vmax=255,
            )
            axis.set(xticks=[], yticks=[])
        except InputError:
            _write_instead(axis, "no digit")
        _set_title(axis, os.path.basename(name), width=20)
    for axis, row in zip(grid[:, -1], predictions.to_numpy()):
        _draw_probabilities(axis, predictions.columns, row)
    return save_figure(figure, to_file)


def save_figure(figure: Figure, to_file: PictureFile) -> Figure:
    """Write a figure if a file is named, and return it."""
    if to_file is not None:
        picture_path(to_file)
        with replacing(to_file) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure


def _new_figure(width: float, height: float) -> Figure:
    """Return a figure that pyplot forgets: otherwise a notebook shows it twice."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    plt.close(figure)
    return figure


# Images


def _as_array(values: Any) -> np.ndarray:
    """Return an array, an empty one for what NumPy refuses, such as ragged lists."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(0)


def _as_images(x: Any) -> np.ndarray | None:
    """Return images as (count, height, width) or with channels, or None for others."""
    images = _as_array(x)
    if images.dtype.kind not in "biuf" or images.size == 0:
        return None
    if images.ndim == 4 and images.shape[3] == 1:
        return images[..., 0]
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        is_square = side > 1 and side**2 == images.shape[1]
        return images.reshape(-1, side, side) if is_square else None
    is_color = images.ndim == 4 and images.shape[3] in (3, 4)
    return images if images.ndim == 3 or is_color else None


def _show_images(
    axes: np.ndarray,
    images: np.ndarray,
    titles: Sequence[str],
    width: int,
) -> None:
    for axis in axes.flat:
        axis.axis("off")
    low, high = images.min(initial=0), images.max(initial=0)
    is_color = images.ndim == 4
    highest = 1 if images.dtype.kind == "f" else 255
    if is_color and (low < 0 or high > highest):
        images = (images - low) / (high - low)
    # Drawings on black, such as MNIST's, are shown as ink on paper.
    is_ink = images.size > 0 and np.median(images) == images.min()
    for axis, image, title in zip(axes.flat, images, titles):
        axis.imshow(image, cmap="gray_r" if is_ink else "gray")
        _set_title(axis, title, width)


def _set_title(axis: Axes, title: str, width: int) -> None:
    """Set a title that ends before its neighbor's, a line for each in ``title``."""
    lines = [
        textwrap.fill(line, width, max_lines=2, placeholder=" …")
        for line in title.splitlines()
    ]
    axis.set_title(
        "\n".join(lines),
        fontsize=9,
        parse_math=False,
    )


# Diagrams


def _layer_graph(model: keras.Model) -> pygraphviz.AGraph:
    """Return a model's layers and the arrows between them as a graph to draw."""
    if isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
        # A Sequential model has no input layer to draw.
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    graph = pygraphviz.AGraph(
        directed=True,
        strict=False,
        splines="ortho",
    )
    graph.node_attr.update(shape="plain", fontname="Helvetica")
    graph.edge_attr["penwidth"] = "2"
    if not isinstance(model, keras.Function):
        graph.add_node(id(model), label=_layer_label(model, "hidden", []))
        return graph
    arrows = connections(model)
    inputs = [made_by(tensor).operation for tensor in model.inputs]
    outputs = [made_by(tensor).operation for tensor in model.outputs]
    # Without the operations that compute a mask, which are no connections.
    roles = dict.fromkeys([*inputs, *itertools.chain(*arrows), *outputs], "hidden")
    roles.update(dict.fromkeys(outputs, "output"))
    roles.update(dict.fromkeys(inputs, "input"))
    for layer, role in roles.items():
        graph.add_node(id(layer), label=_layer_label(layer, role, roles))
    for source, target in arrows:
        graph.add_edge(id(source), id(target))
    graph.graph_attr["label"] = _legend()
    return graph


def _legend() -> str:
    cells = [
        f'<td bgcolor="{color}"><font face="helvetica" color="white">{role} layer'
        "</font></td>"
        for role, color in LAYER_COLORS.items()
    ]
    table = '<table border="0" cellspacing="8" cellpadding="6">'
    return f"<{table}<tr>{''.join(cells)}</tr></table>>"


def _layer_label(layer: keras.Operation, role: str, drawn: Iterable[Any]) -> str:
    """Return a box as Keras draws it, in the color of its role and with text escaped."""
    color = LAYER_COLORS[role]
    title = f"<b>{_escape(layer.name)}</b> ({_escape(type(layer).__name__)})"
    title = f'<font point-size="16" color="white">{title}</font>'
    rows = [f'<td colspan="2" bgcolor="{color}">{title}</td>']
    activation = getattr(layer, "activation", None)
    if activation is not None:
        function = getattr(activation, "func", activation)  # of a functools.partial
        name = getattr(function, "__name__", type(function).__name__)
        if isinstance(activation, str):
            name = activation
        rows.append(_cell("Activation", name, 'colspan="2"'))
    output = _shapes(layer, "output", drawn)
    if isinstance(layer, keras.layers.InputLayer):
        rows.append(_cell("Output shape", output, 'colspan="2"'))
    else:
        input_cell = _cell("Input shape", _shapes(layer, "input", drawn))
        rows.append(input_cell + _cell("Output shape", output))
    table = f'<table border="0" cellborder="1" bgcolor="{color}" cellpadding="10">'
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<{table}{lines}</table>>"


def _cell(name: str, value: Any, options: str = "") -> str:
    text = f'<font point-size="14">{name}: <b>{_escape(value)}</b></font>'
    return f'<td bgcolor="white" {options}>{text}</td>'


def _escape(text: Any) -> str:
    printable = re.sub(r"[\x00-\x1f]", " ", str(text))
    # Graphviz replaces a backslash and the letter that follows.
    return html.escape(printable).replace("\\", "\\\\")


def _shapes(layer: keras.Operation, side: str, drawn: Iterable[Any]) -> Any:
    """Return the shapes of a layer's ``input`` or ``output``, or a question mark."""
    try:
        tensors = keras.tree.flatten(getattr(layer, side))
    except (AttributeError, ValueError):  # never called on a symbolic tensor
        return "?"
    # A mask comes from an operation that is not drawn.
    own = [tensor for tensor in tensors if made_by(tensor).operation in drawn]
    shapes = [tensor.shape for tensor in own or tensors]
    return shapes[0] if len(shapes) == 1 else shapes


def _highest_dpi(graph: pygraphviz.AGraph) -> int:
    """Return how many dots per inch Cairo can draw and Pillow opens without warning."""
    graph.layout(prog="dot")
    corners = graph.graph_attr["bb"].split(",")
    inches = [float(corner) / 72 + 1 for corner in corners[2:]]  # with the margins
    by_side = 32_000 / max(inches)
    by_area = math.sqrt(80_000_000 / math.prod(inches))
    return max(1, int(min(by_side, by_area)))


@contextmanager
def _without_font_warnings() -> Iterator[None]:
    """Hold back what Graphviz's Fontconfig says about the system's own settings."""
    screen = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(screen, 2)
            os.close(screen)
            written.seek(0)
            for line in written:
                if not line.startswith(b"Fontconfig warning"):
                    os.write(2, line)


# Curves


def _metrics_by_output(names: list[str]) -> dict[str, list[str]]:
    """Return the metrics of each output, the loss first; one output has no name."""
    metrics = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    metrics.sort(key=lambda name: not name.endswith("loss"))
    candidates = [
        name.removesuffix("_loss") for name in metrics if name.endswith("_loss")
    ]
    owners = {name: _longest_prefix(name, candidates) for name in metrics}
    by_output = {
        output: [name for name in metrics if owners[name] == output]
        for output in candidates
    }
    # A metric of a single output can be called center_loss or kl_loss as well: outputs
    # have another metric each, and only the total loss is of no output.
    have_others = all(len(owned) > 1 for owned in by_output.values())
    unowned = [name for name in metrics if not owners[name] and name != "loss"]
    if len(by_output) > 1 and have_others and not unowned:
        return by_output
    return {"": metrics}


def _longest_prefix(name: str, outputs: list[str]) -> str:
    """Return the output of a metric: of digit_even_accuracy not digit but digit_even."""
    owners = [output for output in outputs if name.startswith(f"{output}_")]
    return max(owners, key=len, default="")


def _draw_curves(axis: Axes, table: pd.DataFrame, metrics: list[str]) -> None:
    for metric, style in zip(metrics, itertools.cycle(METRIC_STYLES)):
        _draw_line(axis, table, metric, style, TRAINING_COLOR)
        _draw_line(axis, table, f"val_{metric}", style, VALIDATION_COLOR)
    if not any(np.isfinite(line.get_ydata()).any() for line in axis.lines):
        _write_instead(axis, "no finite values")
    else:
        _label_epochs(axis)
    axis.set_xlabel("epoch")
    axis.legend(fontsize=9)


def _write_instead(axis: Axes, text: str) -> None:
    """Say why axes are empty."""
    axis.text(
        0.5,
        0.5,
        text,
        ha="center",
        transform=axis.transAxes,
    )
    axis.set(xticks=[], yticks=[])


def _draw_line(
    axis: Axes,
    table: pd.DataFrame,
    name: str,
    style: str,
    color: str,
) -> None:
    if name not in table:
        return
    # Missing values are bridged; infinite ones, of a diverged run, interrupt the line.
    values = _finite(table[name].dropna())
    marker = "o" if len(values) <= 30 else None  # or they can't be told apart
    axis.plot(
        values,
        style,
        marker=marker,
        markersize=3,
        color=color,
        label=name,
    )


def _finite(values: pd.Series) -> pd.Series:
    return values.replace([np.inf, -np.inf], np.nan)


def _label_epochs(axis: Axes) -> None:
    locator = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    axis.xaxis.set_major_locator(locator)
    axis.grid(True, alpha=0.4)


def _draw_comparison(
    panel: Axes,
    strip: Axes,
    comparison: pd.DataFrame,
    metric: str,
) -> None:
    """Draw the values of a metric, and below how far they are from the seeds' mean."""
    tables = dict(list(comparison.set_index("epoch").groupby("metric")))
    strip.axhspan(-1, 1, color="0.88")
    if metric in tables:
        _draw_part(panel, strip, tables[metric], "training", TRAINING_COLOR)
    if f"val_{metric}" in tables:
        table = tables[f"val_{metric}"]
        _draw_part(panel, strip, table, "validation", VALIDATION_COLOR)
    panel.set_ylabel(metric)
    _label_epochs(panel)
    _label_epochs(strip)
    strip.set_yscale("symlog", linthresh=1)
    strip.yaxis.set_major_formatter("{x:g}")
    strip.tick_params(axis="y", labelsize=8)
    farthest = max(abs(limit) for limit in strip.get_ylim())
    strip.set_ylim(-1.2 * farthest, 1.2 * farthest)


def _draw_part(
    panel: Axes,
    strip: Axes,
    table: pd.DataFrame,
    part: str,
    color: str,
) -> None:
    """Draw the training's or the validation's values, and their residuals."""
    measured = _finite(table["measured"])
    article = table["article"]
    panel.plot(
        measured,
        "x-",
        markersize=4,
        color=color,
        label=f"{part}: this run",
    )
    panel.plot(
        article,
        "o",
        markersize=4,
        markerfacecolor="none",
        color=color,
        label=f"{part}: the article",
    )
    panel.fill_between(
        table.index,
        table["low"],
        table["high"],
        color=color,
        alpha=0.2,
        linewidth=0 if len(table) > 1 else 4,  # a single epoch has no width to fill
        label=f"{part}: 95% prediction interval of other seeds",
    )
    half = (table["high"] - table["low"]) / 2
    strip.plot((measured - table["mean"]) / half, "x", markersize=4, color=color)
    strip.plot(
        (article - table["mean"]) / half,
        "o",
        markersize=4,
        markerfacecolor="none",
        color=color,
    )


# Mistakes and predictions


@dataclass(frozen=True)
class Output:
    """One output of a model: the probability of each class, and images to show."""

    name: str
    probabilities: np.ndarray
    images: np.ndarray
    is_pair: bool


def _read_outputs(model: keras.Model, x: Any) -> list[Output]:
    images = _input_images(model, x)
    predicted = model.predict(x, verbose=0)
    answers = keras.tree.flatten(predicted)
    are_logits = logit_outputs(model)
    if len(are_logits) != len(answers):
        are_logits = [False] * len(answers)
    outputs = []
    for place, name in enumerate(_output_names(model, predicted)):
        values = np.asarray(answers[place], np.float32)
        if values.ndim != 2:
            raise InputError(
                f"The model's output '{name}' should hold one answer per image. "
                f"Received: shape {values.shape}."
            )
        probabilities = as_probabilities(values, are_logits[place])
        is_pair = values.shape[1] == 1 and len(images) == 2
        if values.shape[1] == 1:  # of the second of two classes
            probabilities = np.hstack([1 - probabilities, probabilities])
        if len(images) == len(answers):
            shown = images[_input_of(model, place, len(images))]
        else:
            shown = np.concatenate(images, axis=2)
        outputs.append(Output(name, probabilities, shown, is_pair))
    return outputs


def _output_names(model: keras.Model, predicted: Any) -> list[str]:
    """Return the names of a model's outputs, in the order in which Keras has them."""
    count = len(keras.tree.flatten(predicted))
    if isinstance(predicted, dict) and len(predicted) == count:
        return keras.tree.flatten({name: name for name in predicted})
    names = getattr(model, "output_names", [])  # Functional models have them
    if len(names) == count:
        return names
    return [f"output_{place}" for place in range(1, count + 1)]


def _input_of(model: keras.Model, place: int, count: int) -> int:
    """Return the place of the input that an output depends on alone, or its own."""
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) == count:
        needed = inputs_of(model.outputs[place])
        for other, tensor in enumerate(inputs):
            if len(needed) == 1 and needed[0] is tensor:
                return other
    return place


def _labels_of(y: Any, names: list[str]) -> list[Any]:
    """Return the labels of each output, by its name or in the order of the outputs."""
    if isinstance(y, dict) and not names[0].startswith("output_1"):
        labels = [y[name] for name in names if name in y]
    elif isinstance(y, dict):  # a subclassed model has no names
        labels = list(y.values())
    else:
        labels = _as_list(y)
    if len(labels) != len(names):
        received = f"those of {', '.join(y)}" if isinstance(y, dict) else len(labels)
        raise InputError(
            f"`y` should hold labels for {len(names)} outputs, {', '.join(names)}. "
            f"Received: {received}."
        )
    return labels


def _as_list(values: Any) -> list[Any]:
    is_list = isinstance(values, (list, tuple))
    if is_list and any(_as_array(value).ndim for value in values):
        return list(values)
    return [values]


def _input_images(model: keras.Model, x: Any) -> list[np.ndarray]:
    """Return those of a model's inputs that are images."""
    values = _as_list(x)
    if isinstance(x, dict):
        names = [tensor.name for tensor in getattr(model, "inputs", None) or []]
        by_name = [x[name] for name in names if name in x]
        values = by_name or keras.tree.flatten(x)
    # A vector beside an image is no image, even if it has 16 values.
    spatial = [value for value in values if _as_array(value).ndim > 2]
    images = [_as_images(value) for value in spatial or values]
    found = [image for image in images if image is not None]
    if len({image.shape for image in found}) != 1:
        received = [f"{type(v).__name__} of shape {_as_array(v).shape}" for v in values]
        raise InputError(
            "`x` should hold arrays of images of one shape, (height, width), with 1, 3 "
            f"or 4 channels or flat and square. Received: {', '.join(received[:4])}."
        )
    return found


def _as_labels(name: str, truth: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return an output's labels as integers, or raise an InputError."""
    count, classes = shape
    labels = _as_array(truth)
    fits = labels.shape in ((count,), (count, 1)) and labels.dtype.kind in "biuf"
    if not fits or not np.isin(labels, np.arange(classes)).all():
        advice = "Number the classes from 0; their names are `display_labels`."
        if labels.shape == shape:
            advice = "Turn one-hot labels into y.argmax(axis=1)."
        raise InputError(
            f"`y` should hold {count} integers from 0 to {classes - 1}, one per image, "
            f"for the output '{name}'. Received: shape {labels.shape}, values "
            f"{labels.ravel()[:9].tolist()}. {advice}"
        )
    return labels.ravel().astype(int)


def _class_names(output: Output, display_labels: Any) -> list[str]:
    classes = output.probabilities.shape[1]
    if isinstance(display_labels, dict):
        display_labels = display_labels.get(output.name)
    if display_labels is None:
        display_labels = ["different", "same"] if output.is_pair else range(classes)
    names = list(display_labels) if isinstance(display_labels, Iterable) else []
    if len(names) != classes:
        raise InputError(
            f"`display_labels` should hold {classes} names for the output "
            f"'{output.name}'. Received: {display_labels!r}."
        )
    return [str(name) for name in names]


def _draw_mistakes(
    half: Any,
    truth: np.ndarray,
    probabilities: np.ndarray,
    names: list[str],
    images: np.ndarray,
) -> None:
    """Draw one output's confusion matrix, and the images it gets most wrong."""
    answers = probabilities.argmax(axis=1)
    left, right = half.subfigures(1, 2, width_ratios=[1, 1.4])
    _draw_matrix(left.subplots(), truth, answers, names)
    of_truth = probabilities[np.arange(len(truth)), truth]
    surest = np.argsort(of_truth, kind="stable")
    worst = surest[answers[surest] != truth[surest]][:12]
    titles = [
        f"{names[truth[place]]} taken for {names[answers[place]]}\n"
        f"probability {probabilities[place].max():.2f}"
        for place in worst
    ]
    _show_images(
        right.subplots(3, 4),
        images[worst],
        titles,
        width=24,
    )
    heading = f"The {len(worst)} whose true label got the lowest probability"
    right.suptitle(heading if len(worst) else "No mistakes", fontsize=10)


def _draw_matrix(
    axis: Axes,
    truth: np.ndarray,
    answers: np.ndarray,
    names: list[str],
) -> None:
    """Draw a confusion matrix whose colors show the mistakes alone."""
    # Imported here, because it takes a second.
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    counts = confusion_matrix(truth, answers, labels=range(len(names)))
    mistakes = counts - np.diag(np.diag(counts))
    plain = [name.replace("$", r"\$") for name in names]  # no formulas
    display = ConfusionMatrixDisplay(mistakes, display_labels=plain)
    is_short = max(len(name) for name in names) < 3
    tick_size = min(10, 450 / len(names))
    display.plot(
        ax=axis,
        cmap=MISTAKES_COLORMAP,
        colorbar=False,
        values_format="d",
        include_values=len(names) <= 50,  # more are unreadable, and take a minute
        xticks_rotation="horizontal" if is_short else "vertical",
        text_kw={"fontsize": min(10, 300 / len(names))},
    )
    axis.tick_params(labelsize=tick_size)
    if display.text_ is not None:
        for place, count in enumerate(np.diag(counts)):
            display.text_[place, place].set_text(str(count))
    # What is right is gray.
    display.im_.set_data(np.ma.masked_array(mistakes, np.eye(len(names), dtype=bool)))
    axis.set_facecolor("0.88")
    axis.set_title("The darker, the more mistakes", fontsize=10)


def _draw_probabilities(axis: Axes, labels: pd.Index, row: np.ndarray) -> None:
    if np.isnan(row).all():
        _write_instead(axis, "no digit")
        return
    places = np.arange(len(row))
    axis.barh(places, row, color=LAYER_COLORS["output"])
    for place, value in enumerate(row):
        axis.text(
            1.03,
            place,
            f"{value:.2f}",
            va="center",
            fontsize=8,
        )
    # From the top down, and a single bar no broader than one of ten.
    middle = (len(row) - 1) / 2
    axis.set(
        xlim=(0, 1),
        ylim=(middle + 5, middle - 5),
        xticks=[0, 0.5, 1],
    )
    axis.set_yticks(places, [str(label) for label in labels])
    axis.set_xlabel("probability")
    axis.set_ylabel(labels.name)
