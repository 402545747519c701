"""The pictures: what they show, and how they are written."""

import io
import re
from xml.etree import ElementTree

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_model_wars.experiments import EXPERIMENTS
from keras_model_wars.plotting import plot_learning_curves, plot_model, plot_samples

HISTORIES = {
    "one output": ["accuracy", "loss"],
    "two outputs": ["loss", "output_a_accuracy", "output_a_loss", "output_b_accuracy", "output_b_loss"],
}
# The first article's arrows, from layer to layer.
ARROWS = {
    "sequential": ["flatten hidden_1 hidden_2 output"],
    "wide_deep": ["image flatten hidden_1 hidden_2 hidden_3 reshape bypass flatten_both output", "image bypass"],
    "two_input_two_output": [
        "input_a flatten hidden_1 hidden_2 hidden_3 reshape bypass_a flatten_a output_a",
        "input_a bypass_a",
        "reshape bypass_b flatten_b hidden_b output_b",
        "input_b bypass_b",
    ],
}


@pytest.fixture(scope="module")
def built():
    """Build each experiment's model once, as it comes."""
    models = {}

    def build(name):
        if name not in models:
            models[name] = EXPERIMENTS[name].build()
        return models[name]

    return build


@pytest.fixture
def small_model():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="only")])


@pytest.fixture
def history():
    def make(names, epochs=3):
        columns = [*names, *(f"val_{name}" for name in names)]
        values = np.random.default_rng(0).random((epochs, len(columns)))
        return pd.DataFrame(values, columns=columns, index=pd.RangeIndex(1, epochs + 1, name="epoch"))

    return make


@pytest.fixture
def draw(few_digits, history, small_model):
    """Draw one of the three kinds of picture to a file."""
    (x, y), _ = few_digits
    drawings = {
        "samples": lambda to_file: plot_samples(x[:3], y[:3], to_file),
        "diagram": lambda to_file: plot_model(small_model, to_file),
        "learning curves": lambda to_file: plot_learning_curves(history(HISTORIES["one output"]), to_file),
    }
    return lambda picture, to_file=None: drawings[picture](to_file)


PICTURES = ["samples", "diagram", "learning curves"]


@pytest.mark.parametrize("picture", PICTURES)
def test_png_is_written_for_its_ending(draw, picture, tmp_path):
    draw(picture, tmp_path / "new folder" / "picture.PNG")

    with Image.open(tmp_path / "new folder" / "picture.PNG") as image:
        assert image.format == "PNG"
        # More than one colour: it shows something.
        assert len(set(image.convert("L").tobytes())) > 1


@pytest.mark.parametrize("picture", PICTURES)
def test_svg_is_written_for_its_ending(draw, picture, tmp_path):
    draw(picture, tmp_path / "picture.svg")

    assert ElementTree.parse(tmp_path / "picture.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("picture", PICTURES)
def test_pdf_is_written_for_its_ending(draw, picture, tmp_path):
    draw(picture, str(tmp_path / "picture.pdf"))

    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("picture", PICTURES)
def test_nothing_but_the_picture_is_left(draw, picture, tmp_path):
    draw(picture, tmp_path / "picture.png")

    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", ["picture.jpg", "picture", "png", ".png", "picture.png.txt"])
def test_other_endings_are_refused_and_nothing_written(draw, picture, name, tmp_path):
    with pytest.raises(ValueError, match=r"end in \.png, \.svg, \.pdf\. Received: "):
        draw(picture, tmp_path / name)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("picture", PICTURES)
def test_drawing_without_a_file_writes_none(draw, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = draw(picture)

    assert isinstance(result, Image.Image if picture == "diagram" else Figure)
    assert not list(tmp_path.iterdir())


def test_diagram_shows_itself_in_a_notebook(small_model):
    with Image.open(io.BytesIO(plot_model(small_model)._repr_png_())) as image:
        assert image.width > 50


def test_diagram_returned_is_the_diagram_written(small_model, tmp_path):
    returned = plot_model(small_model, tmp_path / "diagram.png")

    with Image.open(tmp_path / "diagram.png") as written:
        assert returned.convert("RGB").tobytes() == written.convert("RGB").tobytes()


def test_diagram_grows_with_its_dots_an_inch(small_model):
    assert plot_model(small_model, dpi=192).width > 1.5 * plot_model(small_model, dpi=96).width


def read_diagram(path):
    """Return the texts of each node of an SVG diagram, and its arrows as pairs of nodes."""
    nodes, arrows = {}, set()
    for group in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}g"):
        title = group.findtext("{http://www.w3.org/2000/svg}title")
        if group.get("class") == "node":
            nodes[title] = "".join(text for text in group.itertext()).split("\n", 2)[-1]
        elif group.get("class") == "edge":
            arrows.add(tuple(title.split("->")))
    return nodes, arrows


def layer_nodes(model, nodes):
    """Return the node that each layer is drawn as."""
    found = {}
    for layer in model.layers:
        named = [
            title for title, text in nodes.items() if re.search(rf"\b{layer.name}\s*\({type(layer).__name__}\)", text)
        ]
        assert len(named) == 1, f"{layer.name} is drawn as {len(named)} nodes"
        found[layer.name] = named[0]
    return found


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_diagram_holds_every_layer_with_its_shapes_and_activation(built, name, tmp_path):
    model = built(name)
    plot_model(model, tmp_path / "diagram.svg")

    nodes, _ = read_diagram(tmp_path / "diagram.svg")
    for layer, node in layer_nodes(model, nodes).items():
        text, layer = nodes[node], model.get_layer(layer)
        assert str(layer.output.shape) in text
        if not isinstance(layer, keras.layers.InputLayer):
            shapes = [tensor.shape for tensor in keras.tree.flatten(layer.input)]
            assert all(str(shape) in text for shape in shapes)
        if isinstance(layer, keras.layers.Dense):
            assert layer.activation.__name__ in text


@pytest.mark.parametrize("name", ARROWS)
def test_diagram_leads_from_layer_to_layer_as_the_article_does(built, name, tmp_path):
    model = built(name)
    plot_model(model, tmp_path / "diagram.svg")

    nodes, arrows = read_diagram(tmp_path / "diagram.svg")
    layers = {node: layer for layer, node in layer_nodes(model, nodes).items()}
    drawn = {(layers[start], layers[end]) for start, end in arrows if start in layers and end in layers}
    paths = (path.split() for path in ARROWS[name])
    expected = {arrow for path in paths for arrow in zip(path, path[1:])}
    assert drawn == expected


def test_model_without_shapes_is_not_drawn(tmp_path):
    with pytest.raises(ValueError, match="keras.Input"):
        plot_model(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "diagram.png")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", [None, "sequential", keras.layers.Dense(2)])
def test_what_is_no_model_is_not_drawn(model):
    with pytest.raises(TypeError, match="should be a Keras model. Received: "):
        plot_model(model)


@pytest.mark.parametrize("names", HISTORIES.values(), ids=HISTORIES)
def test_learning_curves_have_a_line_a_metric(history, names):
    run = history(names)

    (axis,) = plot_learning_curves(run, title="A title").axes

    lines = {line.get_label(): line for line in axis.lines}
    assert set(lines) == set(run.columns)
    assert {text.get_text() for text in axis.get_legend().get_texts()} == set(run.columns)
    for name, line in lines.items():
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), run[name])
    assert axis.get_title() == "A title"
    assert axis.get_xlabel() == "epoch"
    assert all(line.get_visible() for line in axis.get_xgridlines() + axis.get_ygridlines())


@pytest.mark.parametrize("names", HISTORIES.values(), ids=HISTORIES)
def test_learning_curves_tell_metrics_and_validation_apart(history, names):
    (axis,) = plot_learning_curves(history(names)).axes

    lines = {line.get_label(): line for line in axis.lines}
    assert len({lines[name].get_color() for name in names}) == len(names)
    for name in names:
        assert lines[f"val_{name}"].get_color() == lines[name].get_color()
        assert (lines[name].get_linestyle(), lines[f"val_{name}"].get_linestyle()) == ("-", "--")


def test_learning_curves_show_losses_above_one(history):
    run = history(["loss"])
    run.loc[1, "loss"] = 7.0

    (axis,) = plot_learning_curves(run).axes

    assert axis.get_ylim()[0] == 0
    assert axis.get_ylim()[1] > 7


def test_learning_curves_take_what_fit_returned():
    fitted = keras.callbacks.History()
    fitted.epoch, fitted.history = [0, 1], {"loss": [0.5, 0.25]}

    (axis,) = plot_learning_curves(fitted).axes

    (line,) = axis.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([1, 2], [0.5, 0.25])


@pytest.mark.parametrize("history", [None, {"loss": [0.5]}, [0.5]])
def test_what_is_no_history_is_not_drawn(history):
    with pytest.raises(TypeError, match="Received: "):
        plot_learning_curves(history)


@pytest.mark.parametrize("history", [pd.DataFrame({"loss": []}), pd.DataFrame({"accuracy": [0.5]})])
def test_history_without_losses_is_not_drawn(history):
    with pytest.raises(ValueError, match="column `loss`.* Received: "):
        plot_learning_curves(history)


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 10, 1), (7, 3, 3), (10, 10, 1), (11, 10, 2)])
def test_samples_show_each_digit_with_its_label(few_digits, count, columns, rows):
    (x, y), _ = few_digits

    figure = plot_samples(x[:count], y[:count], columns=columns)

    assert len(figure.axes) == rows * min(columns, count)
    for place, axis in enumerate(figure.axes):
        assert len(axis.images) == (place < count)
        if place < count:
            np.testing.assert_array_equal(axis.images[0].get_array(), x[place])
            assert axis.get_title() == str(y[place])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((3, 28, 28)), np.zeros(2)),
        (np.zeros((3, 784)), np.zeros(3)),
        (np.zeros((28, 28)), np.zeros(28)),
        (np.zeros((0, 28, 28)), np.zeros(0)),
        (np.zeros((401, 28, 28)), np.zeros(401)),
    ],
)
def test_what_is_no_sample_is_not_drawn(x, y):
    with pytest.raises(ValueError, match="1 to 400 images .* Received: shapes"):
        plot_samples(x, y)


@pytest.mark.parametrize("columns", [0, -1, 1.5, True])
def test_bad_columns_are_refused(few_digits, columns):
    (x, y), _ = few_digits

    with pytest.raises((TypeError, ValueError), match="`columns` should be .*Received: "):
        plot_samples(x[:3], y[:3], columns=columns)
