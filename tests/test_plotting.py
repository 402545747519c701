"""The pictures: what they show, and how they are written."""

import itertools
from collections import Counter
from functools import partial

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from keras import layers
from matplotlib.figure import Figure

import keras_model_wars as kmw
from keras_model_wars.plotting import LAYER_COLORS, plot_validation, to_graph


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def titles(axes):
    return [axis.get_title() for axis in axes]


def texts(axis):
    return [text.get_text() for text in axis.texts]


def labels_of(axis):
    return [line.get_label() for line in axis.lines]


def shown(axis):
    return axis.images[0].get_array()


def heading(axis):
    return axis.figure.get_suptitle()


# Files


draw_neurons = partial(kmw.plot_neurons, (3, 2))
draw_diagram = partial(kmw.plot_model, kmw.build_sequential((2, 2)))
each_kind = pytest.mark.parametrize("draw", [draw_neurons, draw_diagram])
STARTS = {"new/a.PNG": b"\x89PNG", "a.svg": b"<?xml", "a.pdf": b"%PDF"}


@each_kind
@pytest.mark.parametrize("name", STARTS)
def test_picture_is_written_in_the_format_of_its_extension(draw, name, tmp_path):
    file = tmp_path / name
    open_before = plt.get_fignums()
    draw(file)
    assert file.read_bytes().startswith(STARTS[name])
    assert plt.get_fignums() == open_before


@each_kind
def test_other_extensions_are_refused(draw, tmp_path):
    with pytest.raises(kmw.InputError, match=r"\.png, \.svg"):
        draw(tmp_path / "picture.jpg")
    assert not list(tmp_path.iterdir())


def test_old_picture_stays_if_writing_fails(tmp_path, monkeypatch):
    def write_half(figure, file, **_):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", write_half)
    file = tmp_path / "picture.png"
    file.write_bytes(b"old")
    with pytest.raises(OSError, match="no space left"):
        draw_neurons(file)
    assert file.read_bytes() == b"old"


# Samples and neurons


def test_samples_show_each_digit_with_its_label(sample):
    x, y = sample[0]
    axes = kmw.plot_samples(x[:4].reshape(4, 784), y[:4], columns=3)
    assert titles(axes) == [str(label) for label in y[:4]]
    np.testing.assert_array_equal(shown(axes[3]), x[3])
    assert axes[3].get_subplotspec().colspan.start == 0


def test_neurons_are_connected_and_have_the_color_of_their_layer():
    axis = kmw.plot_neurons((3, 4, 2))
    colors = Counter(line.get_color() for line in axis.lines)
    assert colors == {**dict.fromkeys(LAYER_COLORS.values(), 1), "0.75": 3 * 4 + 4 * 2}


def test_figure_without_a_file_stays_open_with_pyplot():
    assert kmw.plot_neurons().figure is plt.gcf()


# Diagrams

CHAIN = "image flatten hidden_1 hidden_2 output"
DEEP = "flatten hidden_1 hidden_2 hidden_3 reshape"
PATHS = {
    "sequential": [CHAIN],
    "functional_twin": [CHAIN],
    "added_sequential": ["pixels hidden_1 relu_1 hidden_2 relu_2 output softmax"],
    "wide_deep": [f"image {DEEP} bypass flatten_both output", "image bypass"],
    "two_input_two_output": [
        f"input_a {DEEP} bypass_a flatten_a output_a",
        "input_a bypass_a",
        "reshape bypass_b flatten_b hidden_b output_b",
        "input_b bypass_b",
    ],
    "shared_layers": [
        "left flatten hidden_1 hidden_2 difference squared same",
        "right flatten hidden_1 hidden_2 difference squared",
    ],
}


@pytest.mark.parametrize("name", PATHS)
def test_diagram_has_a_box_for_each_layer_and_an_arrow_for_each_use(name):
    model = kmw.EXPERIMENTS[name].builder(hidden_units=(16, 8))
    graph = to_graph(model, dpi=64)
    arrows = []
    for path in PATHS[name]:
        arrows += itertools.pairwise(path.split())
    assert sorted(graph.edges()) == sorted(arrows)
    assert graph.graph_attr["dpi"] == "64"
    for layer in model.layers:
        label = graph.get_node(layer.name).attr["label"]
        assert f"Output shape: <b>{layer.output.shape}</b>" in label


def roles(model):
    graph = to_graph(model, dpi=96)
    return {
        box: next(
            role for role, color in LAYER_COLORS.items() if color in box.attr["label"]
        )
        for box in graph.nodes()
    }


def test_boxes_have_the_color_of_their_role_and_masks_have_none():
    x = keras.Input((5,), name="words")
    embedding = layers.Embedding(10, 4, mask_zero=True, name="embedding")(x)
    lstm = layers.LSTM(3, name="lstm")(embedding)
    model = keras.Model(x, [lstm, layers.Dense(2, name="dense")(lstm)])
    assert roles(model) == {
        "words": "input",
        "embedding": "hidden",
        "lstm": "output",
        "dense": "output",
    }


def test_activation_without_a_name_is_drawn(tmp_path, capfd):
    dense = layers.Dense(2, activation=lambda x: x)
    file = tmp_path / "diagram.svg"
    kmw.plot_model(keras.Sequential([keras.Input((2,)), dense]), file)
    assert "&lt;lambda&gt;" in file.read_text()
    assert capfd.readouterr().err == ""


class Subclassed(keras.Model):
    def call(self, x):
        return x


def test_subclassed_model_is_one_box_and_refused_before_it_is_built():
    model = Subclassed(name="mine")
    with pytest.raises(kmw.InputError, match="mine should be built"):
        kmw.plot_model(model)
    model(np.zeros((1, 3)))
    assert roles(model) == {"mine": "hidden"}


# Curves

TWO_OUTPUTS = dict.fromkeys(
    ["loss", "b_loss", "a_loss", "a_accuracy", "b_accuracy", "val_a_accuracy", "lr"],
    [0.7, 0.8],
)


def test_learning_curves_show_training_and_validation_by_epoch():
    history = {"loss": [0.9, 0.7], "val_loss": [0.8, 0.6]}
    (axis,) = kmw.plot_learning_curves(history)
    assert labels_of(axis) == ["loss", "val_loss"]
    assert [list(line.get_ydata()) for line in axis.lines] == list(history.values())
    assert list(axis.lines[0].get_xdata()) == [1, 2]


def test_every_metric_has_a_panel_and_every_output_a_row():
    axes = kmw.plot_learning_curves(TWO_OUTPUTS)
    metrics = " ".join(axis.get_ylabel() for axis in axes)
    assert metrics == "a_accuracy a_loss b_accuracy b_loss lr loss"


def test_epochs_are_integers_even_if_there_is_one():
    (axis,) = kmw.plot_learning_curves({"loss": [0.9]})
    assert all(tick % 1 == 0 for tick in axis.get_xticks())


def test_comparison_shows_the_run_the_article_and_the_seeds():
    history = kmw.seed_histories("sequential")[0]
    table = kmw.compare_with_article(history, "sequential")
    accuracy, loss = kmw.plot_article_comparison(table)
    assert labels_of(loss) == ["loss", "article", "val_loss", "article"]
    run, article, *_ = accuracy.lines
    log = kmw.article_log("sequential")
    assert list(run.get_ydata()) == list(history["accuracy"])
    assert list(article.get_ydata()) == list(log["accuracy"])
    assert len(accuracy.collections) == 2


def test_equal_runs_can_be_told_apart():
    runs = {"mine": TWO_OUTPUTS, "mine-2": TWO_OUTPUTS}
    axis = plot_validation(runs)
    assert labels_of(axis) == ["mine a_accuracy", "mine-2 a_accuracy"]
    first, second = axis.lines
    assert first.get_marker() != second.get_marker()


# Mistakes


def model_of(units, inputs=1, outputs=1):
    """Return a model that answers what the first pixels of its images hold."""
    images = [keras.Input((28, 28), name=name) for name in ["left", "right"][:inputs]]
    answers = []
    sources = images if inputs <= outputs else [layers.maximum(images)]
    for name, image in zip(["b", "a"][:outputs], itertools.cycle(sources)):
        dense = layers.Dense(
            units, use_bias=False, kernel_initializer="identity", name=name
        )
        answers.append(dense(layers.Flatten()(image)))
    return keras.Model(images, answers, name="mine")


def images_of(*answers):
    images = np.zeros((len(answers), 28, 28))
    images[:, 0, : len(answers[0])] = answers
    return images


ZERO = np.array([0])


def test_mistakes_show_all_counts_and_the_twelve_worst_first():
    x = images_of(*[(0.4, 0.6, 0)] * 13, (0.1, 0.9, 0), (0.1, 0.9, 0))
    y = np.append(np.zeros(14), 1)
    matrix, *images = kmw.plot_mistakes(model_of(3), x, y)
    assert texts(matrix) == ["0", "14", "0", "0", "1", "0", "0", "0", "0"]
    assert heading(matrix) == "mine: 6.67% right"
    assert heading(images[0]) == "The 12 worst mistakes"
    assert images[0].get_title() == "0 taken for 1\nprobability 0.90"
    assert len(images) == 12
    np.testing.assert_array_equal(shown(images[0]), x[13])


def test_classes_may_have_names_and_answers_may_be_logits():
    x = images_of((-3.0, 3.0))
    _, image = kmw.plot_mistakes(model_of(2), x, ZERO, display_labels=["no", "yes"])
    assert image.get_title() == "no taken for yes\nprobability 1.00"


def test_only_two_images_are_different_or_the_same():
    x = images_of((0.9,))
    _, image = kmw.plot_mistakes(model_of(1), x, [[0.0]])
    _, pair = kmw.plot_mistakes(model_of(1, inputs=2), [x, x], ZERO)
    assert image.get_title() == "0 taken for 1\nprobability 0.90"
    assert pair.get_title() == "different taken for same\nprobability 0.90"
    assert shown(pair).shape == (28, 56)
    (border,) = pair.lines
    assert border.get_xdata() == [27.5, 27.5]


def test_outputs_get_their_own_labels_and_images():
    x = {"right": images_of((0.3, 0.7)), "left": images_of((0.2, 0.8))}
    y = {"a": ZERO, "b": ZERO + 1}
    model = model_of(2, inputs=2, outputs=2)
    first, second, mistake = kmw.plot_mistakes(model, x, y)
    assert heading(first) == "b: 100.00% right"
    assert heading(second) == "a: 0.00% right"
    np.testing.assert_array_equal(shown(mistake), x["right"][0])


def test_one_image_may_have_two_outputs():
    x = images_of((0.2, 0.8))
    axes = kmw.plot_mistakes(model_of(2, outputs=2), x, [ZERO, ZERO])
    assert titles(axes).count("0 taken for 1\nprobability 0.80") == 2


def test_model_that_answers_nan_is_refused():
    with pytest.raises(kmw.InputError, match="NaN"):
        kmw.plot_mistakes(model_of(2), images_of((np.nan, 0)), ZERO)


# Predictions


def test_predictions_show_each_pair_as_the_network_sees_it(sample):
    x = list(sample[0][0][:4])
    predictions = pd.DataFrame({"same digit": [0.7, 0.2]}, ["a, b", "c, d"])
    _, pair, _, bars = kmw.plot_predictions(x, predictions)
    assert pair.get_title() == "c, d"
    seen = [kmw.prepare_image(image) for image in x[2:]]
    np.testing.assert_array_equal(shown(pair), np.hstack(seen))
    assert texts(bars) == ["0.20"]
