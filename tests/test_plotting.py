"""The pictures: what they show, and how they are written."""

import functools
import itertools
import os
import re
from xml.etree import ElementTree

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers
from matplotlib.colors import to_hex
from PIL import Image

import keras_model_wars as kmw
from keras_model_wars.plotting import (
    LAYER_COLORS,
    _without_font_warnings,
    plot_predictions,
)

GAP = np.nan


def labels_of(axis):
    return [line.get_label() for line in axis.lines]


def answering(answers, shape=(28, 28)):
    """Return a model that gives the same answers for every image."""
    bias = keras.initializers.Constant(answers)
    dense = layers.Dense(
        len(answers),
        kernel_initializer="zeros",
        bias_initializer=bias,
    )
    return keras.Sequential([keras.Input(shape), layers.Flatten(), dense])


def captions(figure):
    titles = [axis.get_title() for axis in figure.axes if axis.images]
    return [title for title in titles if "taken for" in title]


def read_boxes(path):
    """Return the texts of a diagram's boxes by their layer's name."""
    texts = {}
    for node in ElementTree.parse(path).iterfind(".//{*}g[@class='node']"):
        text = "".join(node.itertext())
        name = re.search(r"(\S+)\s*\(\w+\)", text)[1]
        texts[name] = text
    return texts


def count_boxes(path, role):
    nodes = ElementTree.parse(path).iterfind(".//{*}g[@class='node']")
    texts = [ElementTree.tostring(node, "unicode") for node in nodes]
    return sum(LAYER_COLORS[role].lower() in text for text in texts)


def read_arrows(path):
    """Return a diagram's arrows as pairs of the names of layers."""
    names = {}
    for node in ElementTree.parse(path).iterfind(".//{*}g[@class='node']"):
        text = "".join(node.itertext())
        names[node.findtext("{*}title")] = re.search(r"(\S+)\s*\(\w+\)", text)[1]
    arrows = []
    for edge in ElementTree.parse(path).iterfind(".//{*}g[@class='edge']"):
        source, target = edge.findtext("{*}title").split("->")
        arrows.append((names[source], names[target]))
    return sorted(arrows)


def draw_neurons(file):
    kmw.plot_neurons((3, 2), file)


def draw_diagram(file):
    kmw.plot_model(kmw.build_sequential((2, 2)), file)


# Files


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("new/picture.PNG", b"\x89PNG"),
        ("picture.svg", b"<?xml"),
        ("picture.pdf", b"%PDF"),
    ],
)
@pytest.mark.parametrize("draw", [draw_neurons, draw_diagram])
def test_picture_is_written_in_the_format_of_its_extension(draw, name, start, tmp_path):
    file = tmp_path / name
    draw(file)
    assert file.read_bytes().startswith(start)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["picture.jpg", "picture", ".png", "picture.png.txt"])
@pytest.mark.parametrize("draw", [draw_neurons, draw_diagram])
def test_other_extensions_are_refused(draw, name, tmp_path):
    with pytest.raises(kmw.InputError, match=r"\.png, \.svg"):
        draw(tmp_path / name)
    assert not list(tmp_path.iterdir())


# Samples and neurons


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 10, 1), (7, 3, 3), (11, 10, 2)]
)
def test_samples_show_each_image_with_its_label(few_digits, count, columns, rows):
    x, y = few_digits[0]
    axes = kmw.plot_samples(x[:count], y[:count], columns=columns).axes
    assert len(axes) == rows * min(columns, count)
    shown = [axis for axis in axes if axis.images]
    assert [axis.get_title() for axis in shown] == [str(label) for label in y[:count]]
    for axis, image in zip(shown, x):
        np.testing.assert_array_equal(axis.images[0].get_array(), image)


@pytest.mark.parametrize(
    ("shape", "count"), [((3, 28, 28), 2), ((0, 28, 28), 0), ((401, 8, 8), 401)]
)
def test_samples_refuse_too_few_or_many_images_and_labels(shape, count):
    with pytest.raises(kmw.InputError, match="1 to 400 images"):
        kmw.plot_samples(np.zeros(shape), np.zeros(count))


def test_neurons_are_drawn_and_connected():
    (axis,) = kmw.plot_neurons((3, 4, 2)).axes
    assert [len(layer.get_offsets()) for layer in axis.collections] == [3, 4, 2]
    colors = [to_hex(layer.get_facecolor()[0]).upper() for layer in axis.collections]
    assert colors == list(LAYER_COLORS.values())
    assert len(axis.lines) == 3 * 4 + 4 * 2
    assert not plt.get_fignums(), "a notebook would show it twice"


@pytest.mark.parametrize("units", [(3,), 3, (3, 33), (3, 0), (3, 1.5)])
def test_neurons_refuse_what_is_no_list_of_counts(units):
    with pytest.raises(kmw.InputError, match="`units` should be"):
        kmw.plot_neurons(units)


# Diagrams

BRANCHES = {
    "sequential": ["image flatten hidden_1 hidden_2 output"],
    "two_input_two_output": [
        "input_a flatten hidden_1 hidden_2 hidden_3 reshape bypass_a flatten_a output_a",
        "input_a bypass_a",
        "reshape bypass_b flatten_b hidden_b output_b",
        "input_b bypass_b",
    ],
    "shared_layers": [
        "left flatten hidden_1 hidden_2 difference squared same",
        "right flatten hidden_1 hidden_2 difference squared",
    ],
}


@pytest.mark.parametrize("name", BRANCHES)
def test_diagram_holds_every_layer_and_every_arrow(name, tmp_path):
    model = kmw.EXPERIMENTS[name].builder(hidden_units=(16, 8))
    kmw.plot_model(model, tmp_path / "diagram.svg")
    boxes = read_boxes(tmp_path / "diagram.svg")
    for layer in model.layers:
        assert str(layer.output.shape) in boxes[layer.name]
    assert "relu" in boxes["hidden_1"]
    expected = []
    for branch in BRANCHES[name]:
        expected += itertools.pairwise(branch.split())
    assert read_arrows(tmp_path / "diagram.svg") == sorted(expected)


def test_diagram_shows_names_and_activations_as_they_are(tmp_path):
    odd = r'a>b&<c>"{d}|\N'
    slope = functools.partial(keras.activations.leaky_relu, negative_slope=0.1)
    x = keras.Input((2,))
    y = layers.Dense(2, name=odd, activation=lambda value: value)(x)
    model = keras.Model(x, layers.Dense(2, activation=slope)(y))
    kmw.plot_model(model, tmp_path / "diagram.svg")
    boxes = read_boxes(tmp_path / "diagram.svg")
    assert "<lambda>" in boxes[odd]
    assert any("leaky_relu" in text for text in boxes.values())


def test_layer_that_is_an_output_has_its_color_even_if_other_layers_use_it(tmp_path):
    x = keras.Input((2,))
    hidden = layers.Dense(2)(x)
    model = keras.Model(x, [hidden, layers.Dense(2)(hidden)])
    kmw.plot_model(model, tmp_path / "diagram.svg")
    assert count_boxes(tmp_path / "diagram.svg", "input") == 1
    assert count_boxes(tmp_path / "diagram.svg", "hidden") == 0
    assert count_boxes(tmp_path / "diagram.svg", "output") == 2


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def test_subclassed_model_is_one_box_and_refused_before_it_is_built(tmp_path):
    model = Subclassed()
    with pytest.raises(kmw.InputError, match="built Keras model"):
        kmw.plot_model(model)
    model(np.zeros((1, 3)))
    kmw.plot_model(model, tmp_path / "diagram.svg")
    assert list(read_boxes(tmp_path / "diagram.svg")) == [model.name]


def test_mask_is_no_box_and_no_input(tmp_path):
    x = keras.Input((5,), dtype="int32")
    embedding = layers.Embedding(10, 4, mask_zero=True)
    model = keras.Model(x, layers.LSTM(3, name="lstm")(embedding(x)))
    kmw.plot_model(model, tmp_path / "diagram.svg")
    boxes = read_boxes(tmp_path / "diagram.svg")
    assert len(boxes) == 3
    assert "Input shape: (None, 5, 4)" in " ".join(boxes["lstm"].split())


def test_sequential_model_that_was_built_by_a_call_is_drawn(tmp_path):
    model = keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    model(np.zeros((1, 4)))
    kmw.plot_model(model, tmp_path / "diagram.svg")
    assert ("a", "b") in read_arrows(tmp_path / "diagram.svg")


def test_very_large_diagram_has_fewer_dots_and_no_message(capfd):
    assert kmw.plot_model(kmw.build_sequential((2, 2)), dpi=9000).height <= 32_000
    assert capfd.readouterr().err == ""


def test_only_warnings_about_fonts_are_held_back(capfd):
    with _without_font_warnings():
        os.write(2, b"Fontconfig warning: a setting\nError: a cause\n")
    assert capfd.readouterr().err == "Error: a cause\n"


def test_diagram_grows_with_its_dpi():
    model = kmw.build_sequential((2, 2))
    small = kmw.plot_model(model, dpi=48)
    assert kmw.plot_model(model, dpi=96).width > 1.5 * small.width


# Learning curves


def test_learning_curves_color_training_and_validation_and_style_the_metrics(good_run):
    figure = kmw.plot_learning_curves(good_run.history, title="A title")
    (axis,) = figure.axes
    assert figure.get_suptitle() == "A title"
    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert lines["loss"].get_color() == lines["accuracy"].get_color()
    assert lines["loss"].get_color() != lines["val_loss"].get_color()
    assert lines["loss"].get_linestyle() == lines["val_loss"].get_linestyle()
    assert lines["loss"].get_linestyle() != lines["accuracy"].get_linestyle()
    for name, line in lines.items():
        np.testing.assert_array_equal(line.get_xdata(), good_run.history.index)
        np.testing.assert_array_equal(line.get_ydata(), good_run.history[name])


@pytest.mark.parametrize(
    ("first", "second"), [("digit", "digit_even"), ("dense", "dense_1"), ("b", "a")]
)
def test_each_output_has_its_panel_and_title(first, second):
    names = ["loss", "val_loss"]
    for output in (first, second):
        names += [f"{output}_loss", f"{output}_accuracy", f"val_{output}_loss"]
    figure = kmw.plot_learning_curves({name: [1.0, 0.5] for name in names})
    assert [axis.get_title() for axis in figure.axes] == [first, second]
    for axis, output in zip(figure.axes, (first, second)):
        expected = [f"{output}_loss", f"val_{output}_loss", f"{output}_accuracy"]
        assert labels_of(axis) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["accuracy", "center_loss"],
        ["kl_loss", "reconstruction_loss"],
        ["mae", "a_loss"],
    ],
)
def test_metric_called_loss_is_no_output(names):
    (axis,) = kmw.plot_learning_curves(
        {name: [1.0, 0.5] for name in ["loss", *names]}
    ).axes
    assert sorted(labels_of(axis)) == sorted(["loss", *names])


@pytest.mark.parametrize(
    "loss", [[-1.0, -200.0], [0.03, 0.02], [900.0, 7.0], [1.0, np.inf], [1.0, GAP]]
)
def test_curves_fill_the_axis(loss):
    (axis,) = kmw.plot_learning_curves({"loss": loss}).axes
    low, high = axis.get_ylim()
    values = [value for value in loss if np.isfinite(value)]
    assert low < min(values) <= max(values) < high
    if len(values) > 1:
        assert high - low < 1.2 * (max(values) - min(values))


def test_single_point_between_gaps_has_a_marker():
    table = pd.DataFrame({"loss": [3.0, 2, 1], "val_loss": [GAP, 2.5, GAP]})
    (axis,) = kmw.plot_learning_curves(table).axes
    _, validation = axis.lines
    assert list(validation.get_xdata()) == [2]
    assert validation.get_marker() == "o"


def test_epochs_are_integers_even_if_there_is_one():
    (axis,) = kmw.plot_learning_curves({"loss": [1.0]}).axes
    axis.figure.canvas.draw()
    labels = [label.get_text() for label in axis.get_xticklabels()]
    assert "1" in labels
    assert all(label.isdigit() for label in labels)


def test_run_without_finite_values_says_so():
    (axis,) = kmw.plot_learning_curves({"loss": [GAP, GAP]}).axes
    assert [text.get_text() for text in axis.texts] == ["no finite values"]


def test_pictures_of_one_panel_take_the_callers_axes(good_run):
    figure, axes = plt.subplots(1, 3)
    for axis in axes[:2]:
        drawn = kmw.plot_learning_curves(good_run.history, ax=axis, title="A run")
        assert drawn is figure
        assert (axis.get_title(), len(axis.lines)) == ("A run", 4)
    assert kmw.plot_neurons((3, 2), ax=axes[2]) is figure
    assert len(axes[2].lines) == 6
    assert plt.fignum_exists(figure.number)
    plt.close(figure)
    names = ["loss", "a_loss", "b_loss", "a_mae", "b_mae"]
    with pytest.raises(kmw.InputError, match="`ax` should be given .* one output"):
        kmw.plot_learning_curves({name: [1.0] for name in names}, ax=axes[0])


# The comparison with the article


@pytest.mark.parametrize(
    ("model", "outputs"),
    [("sequential", [""]), ("two_input_two_output", ["output_a_", "output_b_"])],
)
def test_comparison_shows_the_run_the_article_and_the_interval(model, outputs):
    log = kmw.article_log(model)
    comparison = kmw.compare_with_article(log * 1.01, model)
    figure = kmw.plot_article_comparison(comparison, title="A title")
    panels = [axis for axis in figure.axes if axis.get_yscale() == "linear"]
    metrics = [f"{output}{name}" for output in outputs for name in ("loss", "accuracy")]
    assert [axis.get_ylabel() for axis in panels] == metrics
    for axis, metric in zip(panels, metrics):
        for place, name in enumerate([metric, f"val_{metric}"]):
            measured, article = axis.lines[2 * place : 2 * place + 2]
            np.testing.assert_allclose(measured.get_ydata(), log[name] * 1.01)
            np.testing.assert_array_equal(article.get_ydata(), log[name])
            assert measured.get_color() == article.get_color()
            rows = comparison[comparison["metric"] == name]
            band = axis.collections[place].get_paths()[0].vertices
            assert {*zip(rows["epoch"], rows["low"])} <= {*map(tuple, band)}
    assert len(figure.legends) == 1


def test_strip_shows_how_far_values_lie_from_the_mean_in_half_intervals():
    log = kmw.article_log("sequential")
    comparison = kmw.compare_with_article(log * 1.01, "sequential")
    strip = kmw.plot_article_comparison(comparison).axes[2]
    rows = comparison[comparison["metric"] == "loss"]
    half = rows["high"] - rows["mean"]
    measured, article = strip.lines[:2]
    expected = (rows["measured"] - rows["mean"]) / half
    np.testing.assert_allclose(measured.get_ydata(), expected)
    expected = (rows["article"] - rows["mean"]) / half
    np.testing.assert_allclose(article.get_ydata(), expected)
    low, high = strip.get_ylim()
    assert low < -1 < 1 < high


def test_comparison_of_one_epoch_shows_points_and_the_interval():
    log = kmw.article_log("sequential")[:1]
    comparison = kmw.compare_with_article(log, "sequential")
    panel = kmw.plot_article_comparison(comparison).axes[0]
    assert "None" not in [line.get_marker() for line in panel.lines]
    assert panel.collections[0].get_linewidth()[0] > 0


@pytest.mark.parametrize(
    "table", [None, [1.0], pd.DataFrame(), pd.DataFrame({"a": [1]})]
)
def test_comparison_refuses_other_tables(table):
    with pytest.raises(kmw.InputError, match="compare_with_article"):
        kmw.plot_article_comparison(table)


# Mistakes


def test_mistakes_show_the_counts_and_the_images_that_are_most_wrong(good_run, sample):
    x, y = kmw.scale_pixels(sample[1][0]), sample[1][1]
    probabilities = good_run.model.predict(x, verbose=0)
    answers = probabilities.argmax(axis=1)
    matrix, *images = kmw.plot_mistakes(good_run.model, x, y).axes
    texts = [text.get_text() for text in matrix.texts if text.get_text()]
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (y, answers), 1)
    np.testing.assert_array_equal(np.reshape(texts, (10, 10)).astype(int), expected)
    colored = matrix.images[0].get_array()
    np.testing.assert_array_equal(colored.mask, np.eye(10, dtype=bool))
    wrong = np.flatnonzero(answers != y)
    worst = sorted(wrong, key=lambda place: probabilities[place, y[place]])[:12]
    for axis, place in zip(images, worst, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), x[place])
        highest = probabilities[place].max()
        title = f"{y[place]} taken for {answers[place]}\nprobability {highest:.2f}"
        assert axis.get_title() == title


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((32, 20), (32, 20)),
        ((28, 28, 1), (28, 28)),
        ((32, 20, 3), (32, 20, 3)),
        ((64,), (8, 8)),
    ],
)
@pytest.mark.parametrize("classes", [3, 26])
def test_mistakes_take_images_of_any_size_and_any_number_of_classes(
    shape, shown, classes
):
    x = np.random.default_rng(0).random((2, *shape))
    model = answering([0.0] * (classes - 1) + [5.0], shape)
    figure = kmw.plot_mistakes(model, x, np.array([0, classes - 1]))
    assert len(figure.axes[0].get_xticks()) == classes
    picture = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(picture, x[0].reshape(shown))


@pytest.mark.parametrize(
    ("answers", "names", "caption"),
    [
        ([0.1, 0.9], None, "0 taken for 1\nprobability 0.90"),
        ([0.1, 0.9], ["cat", "dog"], "cat taken for dog\nprobability 0.90"),
        ([2.0, 6.85], None, "0 taken for 1\nprobability 0.99"),
        ([0.75], ["even", "odd"], "even taken for odd\nprobability 0.68"),
        ([6.85], None, "0 taken for 1\nprobability 1.00"),
        ([0.1, 0.9], ["$a", "b" * 60], "taken for"),
    ],
)
def test_captions_hold_names_and_probabilities(answers, names, caption):
    model = answering(answers)
    x = np.zeros((1, 28, 28))
    figure = kmw.plot_mistakes(model, x, np.array([0]), display_labels=names)
    (title,) = captions(figure)
    assert caption in title
    assert max(len(line) for line in title.splitlines()) <= 24


@pytest.mark.parametrize(
    ("model", "rows", "width"),
    [("two_input_two_output", 2, 28), ("shared_layers", 1, 56)],
)
def test_mistakes_have_a_row_per_output_and_pairs_stand_side_by_side(
    model, rows, width, small_runs, few_digits
):
    run = small_runs[model]
    x, y = kmw.EXPERIMENTS[model].prepare(few_digits).test
    figure = kmw.plot_mistakes(run.model, x, y)
    assert len(figure.axes) == rows * 13
    shown = [axis.images[0] for axis in figure.axes[1:13] if axis.images]
    assert {image.get_array().shape for image in shown} == {(28, width)}
    metrics = run.test_metrics.items()
    accuracies = [f"{value:.2%}" for name, value in metrics if "accuracy" in name]
    assert [half.get_suptitle().split()[-2] for half in figure.subfigs] == accuracies
    if rows == 1:
        assert {"different", "same"} & set(captions(figure)[0].split())


def test_mistakes_take_inputs_and_labels_by_name_or_in_a_list(small_runs, few_digits):
    model = small_runs["two_input_two_output"].model
    x, y = kmw.EXPERIMENTS["two_input_two_output"].prepare(few_digits).test
    by_name = kmw.plot_mistakes(model, dict(reversed(x.items())), y)
    in_list = kmw.plot_mistakes(model, list(x.values()), list(y.values()))
    assert captions(by_name) == captions(in_list) != []


def test_one_image_can_have_several_answers():
    x = keras.Input((4, 4))
    flat = layers.Flatten()(x)
    outputs = {"digit": layers.Dense(3)(flat), "even": layers.Dense(1)(flat)}
    y = {"even": np.array([0, 1]), "digit": np.array([2, 1])}
    names = {"even": ["even", "odd"]}
    images = np.random.default_rng(0).random((2, 4, 4))
    figure = kmw.plot_mistakes(keras.Model(x, outputs), images, y, display_labels=names)
    assert [half.get_suptitle().split(",")[0] for half in figure.subfigs] == [*outputs]
    assert len(figure.axes[13].get_xticks()) == 2


def test_vector_beside_an_image_is_not_shown():
    image = keras.Input((6, 6))
    vector = keras.Input((16,))
    joined = layers.Concatenate()([layers.Flatten()(image), vector])
    model = keras.Model([image, vector], layers.Dense(3)(joined))
    x = [np.zeros((1, 6, 6)), np.zeros((1, 16))]  # of which 0 is the answer
    figure = kmw.plot_mistakes(model, x, np.array([2]))
    assert figure.axes[1].images[0].get_array().shape == (6, 6)


@pytest.mark.parametrize(
    "y",
    [[1, 2], [8, 9, 10], [-1, 0, 1], [0.5, 1, 2], ["1", "2", "3"], np.eye(10)[:3], []],
    ids=str,
)
def test_mistakes_refuse_labels_that_do_not_fit(y):
    with pytest.raises(kmw.InputError, match="`y` should hold"):
        kmw.plot_mistakes(answering([0.1] * 10), np.zeros((3, 28, 28)), np.array(y))


def test_logits_between_0_and_1_are_logits_too():
    images = np.zeros((2, 28, 28))
    figure = kmw.plot_mistakes(answering([0.3]), images, np.array([1, 1]))
    assert "100.00% right" in figure.subfigs[0].get_suptitle()


def test_output_is_shown_beside_the_image_that_it_answers():
    inputs = [keras.Input((4, 4), name="a"), keras.Input((4, 4), name="b")]
    flat = [layers.Flatten()(image) for image in inputs]
    outputs = [
        layers.Dense(3, name="of_b")(flat[1]),
        layers.Dense(3, name="of_a")(flat[0]),
    ]
    images = [np.zeros((1, 4, 4)), np.ones((1, 4, 4))]
    model = keras.Model(inputs, outputs)
    answers = [answer.argmax(axis=1) for answer in model.predict(images, verbose=0)]
    wrong = [(answer + 1) % 3 for answer in answers]
    figure = kmw.plot_mistakes(model, images, wrong)
    shown = [axis.images[0].get_array() for axis in (figure.axes[1], figure.axes[14])]
    np.testing.assert_array_equal(shown, [images[1][0], images[0][0]])


def test_labels_and_names_for_other_outputs_are_refused(small_runs, few_digits):
    model = small_runs["two_input_two_output"].model
    x, y = kmw.EXPERIMENTS["two_input_two_output"].prepare(few_digits).test
    with pytest.raises(kmw.InputError, match="Received: those of left, right"):
        kmw.plot_mistakes(model, x, dict(zip(["left", "right"], y.values())))
    with pytest.raises(kmw.InputError, match="`display_labels` should .* output_c"):
        kmw.plot_mistakes(model, x, y, display_labels={"output_c": range(10)})


def test_two_hundred_classes_are_drawn_without_counts():
    figure = kmw.plot_mistakes(
        answering([0.0] * 200), np.zeros((1, 28, 28)), np.array([1])
    )
    assert not figure.axes[0].texts


@pytest.mark.parametrize("kind", ["uint16", "int16"])
def test_colors_beyond_a_byte_are_scaled(kind):
    x = np.zeros((1, 4, 4, 3), kind)
    x[0, 0] = 1000
    figure = kmw.plot_samples(x, [1])
    assert figure.axes[0].images[0].get_array().max() == 1


def test_title_with_dollars_is_no_formula():
    kmw.plot_learning_curves({"loss": [1.0]}, title=r"$5 and \foo $").canvas.draw()


@pytest.mark.parametrize("rate", ["learning_rate", "lr"])
def test_learning_rate_is_no_metric_of_an_output(rate):
    names = ["loss", "a_loss", "a_accuracy", "b_loss", "b_accuracy", rate]
    figure = kmw.plot_learning_curves({name: [1.0, 0.5] for name in names})
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]


class Named(layers.Layer):
    """A layer that keeps the name of its activation, and a name in two lines."""

    activation = "relu"

    def call(self, x):
        return x


def test_activation_by_name_and_line_breaks_are_drawn(tmp_path, capfd):
    model = keras.Sequential([keras.Input((4,)), Named(name="two\1lines")])
    kmw.plot_model(model, tmp_path / "model.svg")
    assert "relu" in (tmp_path / "model.svg").read_text("utf-8")
    assert "Error" not in capfd.readouterr().err


def test_a_picture_is_not_replaced_by_its_prediction(good_run, sample, tmp_path):
    file = tmp_path / "digit.png"
    Image.fromarray(sample[1][0][0]).save(file)
    before = file.read_bytes()
    predictions = kmw.predict_digits(good_run.model, file)
    with pytest.raises(kmw.InputError, match="another file than the pictures"):
        plot_predictions(file, predictions, file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("y", "advice"),
    [
        (np.eye(10)[:3], "y.argmax(axis=1)"),
        (np.array([8, 9, 10]), "Number the classes from 0"),
        (np.array(["a", "b", "c"]), "`display_labels`"),
    ],
    ids=["one-hot", "counted from 1", "names"],
)
def test_mistakes_say_what_to_do_with_other_labels(y, advice):
    with pytest.raises(kmw.InputError, match=re.escape(advice)):
        kmw.plot_mistakes(answering([0.1] * 10), np.zeros((3, 28, 28)), y)


def test_names_of_a_hundred_classes_do_not_overlap():
    figure = kmw.plot_mistakes(
        answering([0.01] * 100), np.zeros((1, 28, 28)), np.array([0])
    )
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    for box, below in itertools.pairwise(boxes):
        assert below.y1 <= box.y0 + 1  # a pixel


def test_mistakes_refuse_inputs_that_are_no_images_and_names_that_do_not_fit():
    with pytest.raises(kmw.InputError, match="`x` should hold arrays of images"):
        kmw.plot_mistakes(answering([0, 1], (5,)), np.zeros((1, 5)), np.array([1]))
    model = answering([0.0, 1])
    with pytest.raises(kmw.InputError, match="`display_labels` should hold 2"):
        kmw.plot_mistakes(
            model, np.zeros((1, 28, 28)), np.array([1]), display_labels=["a"]
        )


def test_diverged_model_is_drawn_and_named_so():
    figure = kmw.plot_mistakes(
        answering([GAP] * 10), np.zeros((2, 28, 28)), np.array([0, 1])
    )
    assert "not finite" in figure.subfigs[0].get_suptitle()


# Predictions


def predictions_of(names, row):
    index = pd.Index(names, name="image")
    table = pd.DataFrame([row] * len(names), index, pd.RangeIndex(10, name="digit"))
    table.attrs["prepared"] = {name: np.eye(28).tolist() for name in names}
    return table


def test_predictions_show_each_picture_and_its_probabilities():
    names = ["digit.png", "a" * 90 + ".png"]
    row = np.array([1.0, *[0] * 9])
    figure = plot_predictions(names, predictions_of(names, row))
    for picture, bars in zip(figure.axes[0::2], figure.axes[1::2]):
        np.testing.assert_array_equal(picture.images[0].get_array(), np.eye(28))
        assert [bar.get_width() for bar in bars.patches] == list(row)
        assert bars.get_xlim() == (0, 1)
        assert (bars.get_xlabel(), bars.get_ylabel()) == ("probability", "digit")
    figure.canvas.draw()
    edge = figure.bbox
    for axis in figure.axes:
        box = axis.get_tightbbox()
        assert edge.x0 <= box.x0 < box.x1 <= edge.x1
        assert edge.y0 <= box.y0 < box.y1 <= edge.y1
    bars = figure.axes[3].get_tightbbox()
    assert figure.axes[2].title.get_window_extent().x1 < bars.x0


def test_picture_without_a_digit_has_an_empty_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (40, 40), 255).save("empty.png")
    table = predictions_of(["empty.png"], [GAP] * 10)
    table.attrs.clear()
    picture, bars = plot_predictions("empty.png", table).axes
    assert "no digit" in [text.get_text() for text in picture.texts]
    assert "no digit" in [text.get_text() for text in bars.texts]


def test_predictions_of_other_pictures_are_refused():
    table = predictions_of(["a.png"], [0.1] * 10)
    with pytest.raises(kmw.InputError, match="the 2 `images`. Received: 1 rows"):
        plot_predictions(["a.png", "b.png"], table)


def test_many_models_in_one_process_bring_no_word_of_retracing(capfd):
    for _ in range(7):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.predict(np.zeros((3, 4)), verbose=0)
    assert capfd.readouterr().err == ""


VAE = ["loss", "kl_loss", "kl_weight", "reconstruction_loss"]
NAMED_LIKE_OUTPUTS = ["loss", "top_k_accuracy", "top_loss", "log_loss"]


@pytest.mark.parametrize("names", [VAE, NAMED_LIKE_OUTPUTS])
def test_no_metric_is_dropped_if_names_look_like_outputs(names):
    figure = kmw.plot_learning_curves({name: [1.0, 0.5] for name in names})
    (axis,) = figure.axes
    drawn = {text.get_text() for text in axis.get_legend().get_texts()}
    assert drawn == set(names)


def test_an_answer_that_is_no_number_is_not_right():
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    model.set_weights([np.full((784, 10), np.nan), np.zeros(10)])
    figure = kmw.plot_mistakes(model, np.ones((4, 28, 28)), np.zeros(4, int))
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert "0.00% right" in titles[0]
