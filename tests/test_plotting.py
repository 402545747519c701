"""The pictures: what they show, and how they are written."""

import re
from xml.etree import ElementTree

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

import keras_model_wars as kmw
from keras_model_wars.plotting import LAYER_COLORS

# The metrics in each panel.
ONE_OUTPUT = [["accuracy", "loss"]]
TWO_OUTPUTS = [
    ["output_a_accuracy", "output_a_loss"],
    ["output_b_accuracy", "output_b_loss"],
]
# The arrows from layer to layer; what is used twice has its arrows twice.
ARROWS = {
    "sequential": ["image flatten hidden_1 hidden_2 output"],
    "wide_deep": [
        "image flatten hidden_1 hidden_2 hidden_3 reshape bypass flatten_both output",
        "image bypass",
    ],
    "two_input_two_output": [
        "input_a flatten hidden_1 hidden_2 hidden_3 reshape bypass_a flatten_a output_a",
        "input_a bypass_a",
        "reshape bypass_b flatten_b hidden_b output_b",
        "input_b bypass_b",
    ],
    "added_sequential": ["pixels hidden_1 relu_1 hidden_2 relu_2 output softmax"],
    "functional_twin": ["image flatten hidden_1 hidden_2 output"],
    "shared_layers": [
        "left flatten hidden_1 hidden_2 difference squared same",
        "right flatten hidden_1 hidden_2 difference squared",
    ],
}


def history(panels):
    names = sorted({"loss"}.union(*panels))
    columns = [*names, *(f"val_{name}" for name in names)]
    return pd.DataFrame(
        np.random.default_rng(0).random((3, len(columns))), [1, 2, 3], columns
    ).rename_axis("epoch")


COMPARISON = kmw.compare_with_article(kmw.article_log("sequential"), "sequential")
PICTURES = {
    "samples": lambda to_file=None: kmw.plot_samples(
        np.eye(28)[None], np.array([1]), to_file
    ),
    "diagram": lambda to_file=None: kmw.plot_model(
        kmw.build_sequential((2, 2)), to_file
    ),
    "learning curves": lambda to_file=None: kmw.plot_learning_curves(
        history(ONE_OUTPUT), to_file
    ),
    "neurons": lambda to_file=None: kmw.plot_neurons(to_file=to_file),
    "comparison": lambda to_file=None: kmw.plot_article_comparison(COMPARISON, to_file),
}


@pytest.mark.parametrize("picture", PICTURES)
def test_picture_is_written_for_its_extension_and_nothing_else_is(
    picture, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    draw = PICTURES[picture]
    assert isinstance(draw(), Image.Image if picture == "diagram" else Figure)
    for name in ("picture.jpg", "picture", ".png", "picture.png.txt"):
        with pytest.raises(
            kmw.InputError, match=r"end in \.png, \.svg, \.pdf\. Received: "
        ):
            draw(tmp_path / name)
    assert not list(tmp_path.iterdir())
    for path in (
        "new folder/picture.PNG",
        tmp_path / "picture.svg",
        tmp_path / "picture.pdf",
    ):
        draw(path)
    with Image.open("new folder/picture.PNG") as image:
        assert image.format == "PNG"
        assert len(set(image.convert("L").tobytes())) > 1, "it shows something"
    assert (
        ElementTree.parse("picture.svg").getroot().tag
        == "{http://www.w3.org/2000/svg}svg"
    )
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "new folder",
        "picture.pdf",
        "picture.svg",
    ]


@pytest.mark.parametrize("name", ARROWS)
def test_diagram_holds_every_layer_and_every_arrow(name, tmp_path):
    model, path = (
        kmw.EXPERIMENTS[name].build(hidden_units=(16, 8)),
        tmp_path / "diagram.svg",
    )
    kmw.plot_model(model, path)
    diagram = ElementTree.parse(path)
    texts = {
        node.findtext("{*}title"): "".join(node.itertext())
        for node in diagram.iterfind(".//{*}g[@class='node']")
    }
    arrows = [
        edge.findtext("{*}title").split("->")
        for edge in diagram.iterfind(".//{*}g[@class='edge']")
    ]
    names = {
        node: re.search(r"(\w+)\s*\(\w+\)", text)[1] for node, text in texts.items()
    }
    for layer in model.layers:
        (text,) = (texts[node] for node in texts if names[node] == layer.name)
        assert str(layer.output.shape) in text
        if isinstance(layer, keras.layers.Dense):
            assert layer.activation.__name__ in text
    chains = [chain.split() for chain in ARROWS[name]]
    expected = [arrow for chain in chains for arrow in zip(chain, chain[1:])]
    assert sorted((names[start], names[end]) for start, end in arrows) == sorted(
        expected
    )
    for role, color in LAYER_COLORS.items():
        assert f"{role} layer" in path.read_text()
        assert path.read_text().count(f'fill="{color.lower()}"') > 1, (
            "in the legend and on a layer"
        )


def test_diagram_returned_is_the_diagram_written_and_grows_with_its_dpi(tmp_path):
    model = kmw.build_sequential((4, 4))
    returned = kmw.plot_model(model, tmp_path / "diagram.png")
    with Image.open(tmp_path / "diagram.png") as written:
        assert returned.convert("RGB").tobytes() == written.convert("RGB").tobytes()
    assert kmw.plot_model(model, dpi=192).width > 1.5 * returned.width


@pytest.mark.parametrize(
    "panels", [ONE_OUTPUT, TWO_OUTPUTS], ids=["one output", "two outputs"]
)
def test_learning_curves_tell_metrics_and_validation_apart_in_one_panel_per_output(
    panels,
):
    run = history(panels)
    figure = kmw.plot_learning_curves(run, title="A title")
    assert figure.get_suptitle() == "A title"
    for axis, panel in zip(figure.axes, panels, strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        assert set(lines) == {*panel, *(f"val_{name}" for name in panel)}
        assert len({lines[name].get_color() for name in panel}) == len(panel)
        for name in panel:
            solid, dashed = lines[name], lines[f"val_{name}"]
            assert (
                solid.get_linestyle(),
                dashed.get_linestyle(),
                dashed.get_color(),
            ) == ("-", "--", solid.get_color())
        for name, line in lines.items():
            np.testing.assert_array_equal(
                line.get_xydata(), np.column_stack([[1, 2, 3], run[name]])
            )
        assert {text.get_text() for text in axis.get_legend().get_texts()} == set(lines)
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "loss and accuracy")


def test_learning_curves_show_losses_above_one_or_beyond_all_bounds_in_the_epochs_that_fit_counted():
    for last, highest in ((7.0, 7.35), (np.inf, 1.05), (np.nan, 1.05)):
        fitted = keras.callbacks.History()
        fitted.epoch, fitted.history = (
            [5, 6],
            {"loss": [1.0, last], "accuracy": [0.5, 0.5]},
        )
        (axis,) = kmw.plot_learning_curves(fitted).axes
        assert axis.get_ylim() == (0, pytest.approx(highest))
        assert list(axis.lines[0].get_xdata()) == [6, 7]


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 10, 1), (7, 3, 3), (11, 10, 2)]
)
def test_samples_show_each_digit_with_its_label(few_digits, count, columns, rows):
    x, y = (array[:count] for array in few_digits[0])
    axes = kmw.plot_samples(x, y, columns=columns).axes
    assert len(axes) == rows * min(columns, count)
    assert [len(axis.images) for axis in axes] == [
        place < count for place in range(len(axes))
    ]
    for axis, image, label in zip(axes, x, y):
        np.testing.assert_array_equal(axis.images[0].get_array(), image)
        assert axis.get_title() == str(label)


def test_neurons_are_drawn_and_connected():
    (axis,) = kmw.plot_neurons((3, 4, 2)).axes
    assert [len(layer.get_offsets()) for layer in axis.collections] == [3, 4, 2]
    assert [
        to_hex(layer.get_facecolor()[0]).upper() for layer in axis.collections
    ] == list(LAYER_COLORS.values())
    assert len(axis.lines) == 3 * 4 + 4 * 2
    assert [text.get_text() for text in axis.texts] == [
        "input\nlayer",
        "hidden\nlayer",
        "output\nlayer",
    ]


@pytest.mark.parametrize("model", ["sequential", "wide_deep", "two_input_two_output"])
def test_comparison_shows_the_run_as_lines_the_article_as_points_and_other_seeds_as_a_band(
    model,
):
    log = kmw.article_log(model)
    comparison = kmw.compare_with_article(log * 1.01, model)
    figure = kmw.plot_article_comparison(comparison, title="A title")
    assert figure.get_suptitle() == "A title"
    outputs = ["output_a_", "output_b_"] if model == "two_input_two_output" else [""]
    metrics = [f"{output}{name}" for output in outputs for name in ("loss", "accuracy")]
    for axis, metric in zip(figure.axes, metrics, strict=True):
        lines = {line.get_label(): line for line in axis.lines}
        assert len(lines) == 4
        assert axis.get_ylabel() == metric
        for name, band in zip((metric, f"val_{metric}"), axis.collections, strict=True):
            measured, article = lines[f"{name}, measured"], lines[f"{name}, article"]
            np.testing.assert_allclose(measured.get_ydata(), log[name] * 1.01)
            np.testing.assert_array_equal(
                article.get_xydata(), np.column_stack([log.index, log[name]])
            )
            assert (measured.get_marker(), article.get_linestyle()) == ("None", "None")
            assert measured.get_color() == article.get_color()
            rows = comparison[comparison["metric"] == name]
            bounds = {
                *zip(rows["epoch"], rows["low"]),
                *zip(rows["epoch"], rows["high"]),
            }
            assert bounds <= set(map(tuple, band.get_paths()[0].vertices))


def test_mistakes_show_the_confusion_matrix_and_the_digits_that_are_most_wrong(
    good_run, sample
):
    x, y = kmw.scale_pixels(sample[1][0]), sample[1][1]
    probabilities = good_run.model.predict(x, verbose=0)
    answers = probabilities.argmax(axis=1)
    matrix, *digits = kmw.plot_mistakes(good_run.model, x, y).axes
    counts = np.array(
        [int(text.get_text()) for text in matrix.texts if text.get_text()]
    ).reshape(10, 10)
    np.testing.assert_array_equal(
        counts,
        [[np.sum((y == t) & (answers == a)) for a in range(10)] for t in range(10)],
    )
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == (
        "Predicted label",
        "True label",
    )
    worst = sorted(
        np.flatnonzero(answers != y), key=lambda place: probabilities[place, y[place]]
    )[:12]
    for axis, place in zip(digits, worst, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array(), x[place])
        assert (
            axis.get_title()
            == f"{y[place]} taken for {answers[place]}\n({probabilities[place].max():.2f})"
        )


@pytest.mark.parametrize(
    ("model", "rows", "width"),
    [("two_input_two_output", 2, 28), ("shared_layers", 1, 56)],
)
def test_mistakes_get_one_row_per_output_and_pairs_stand_side_by_side(
    model, rows, width, small_runs, few_digits
):
    run = small_runs[model]
    figure = kmw.plot_mistakes(
        run.model, *kmw.EXPERIMENTS[model].prepare(few_digits).test
    )
    assert len(figure.axes) == rows * 13
    assert {
        axis.images[0].get_array().shape for axis in figure.axes[1:13] if axis.images
    } == {(28, width)}
    accuracies = [
        f"{value:.2%}"
        for name, value in run.test_metrics.items()
        if name.endswith("accuracy")
    ]
    assert [half.get_suptitle().split()[-2] for half in figure.subfigs] == accuracies


def test_mistakes_take_inputs_and_labels_by_name_or_in_a_list_as_evaluate_does(
    small_runs, few_digits
):
    model = small_runs["two_input_two_output"].model
    x, y = kmw.EXPERIMENTS["two_input_two_output"].prepare(few_digits).test
    pictures = [
        [
            axis.images[0].get_array().tobytes()
            for axis in kmw.plot_mistakes(model, *given).axes
            if axis.images
        ]
        for given in (
            (x, y),
            (dict(reversed(x.items())), dict(reversed(y.items()))),
            ([*x.values()], [*y.values()]),
        )
    ]
    assert pictures[0] == pictures[1] == pictures[2]
