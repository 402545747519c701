"""The second article's models: wiring, pairs of digits, training, and their commands."""

import keras
import numpy as np
import pytest

from keras_model_wars import (
    build_added_sequential,
    build_functional_twin,
    build_sequential,
    build_shared_layers,
    make_pairs,
    plot_model,
    plot_neurons,
    train,
)
from keras_model_wars.data import prepare_flat, prepare_pairs
from keras_model_wars.plotting import LAYER_COLOURS

SMALL = {"hidden_units": (16, 8)}


def images(count=3, seed=0):
    return np.random.default_rng(seed).random((count, 28, 28), dtype="float32")


def test_added_sequential_adds_activations_as_layers_of_their_own():
    model = build_added_sequential()
    assert isinstance(model, keras.Sequential)
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Activation"] * 3
    assert all(layer.activation is keras.activations.linear for layer in model.layers[::2])
    assert (model.input_shape, model.output_shape) == ((None, 784), (None, 10))
    assert model.count_params() == 235_146


def test_three_spellings_of_one_network_predict_the_same_to_the_bit():
    sequential, twin, added = build_sequential(), build_functional_twin(), build_added_sequential()
    twin.set_weights(sequential.get_weights())
    added.set_weights(sequential.get_weights())
    x = images()
    assert np.array_equal(twin.predict(x, verbose=0), sequential.predict(x, verbose=0))
    assert np.array_equal(added.predict(x.reshape(-1, 784), verbose=0), sequential.predict(x, verbose=0))


def test_shared_layers_use_one_stack_for_both_images():
    model = build_shared_layers()
    assert model.count_params() == 784 * 256 + 256 + 256 * 128 + 128 + 128 + 1
    left, right = images(seed=1), images(seed=2)
    assert np.array_equal(model([left, right]), model([right, left]))  # what differs is squared
    alike = keras.ops.convert_to_numpy(model([left, left]))
    assert np.array_equal(alike, np.full_like(alike, alike[0]))
    assert not np.array_equal(model([left, right]), alike)


def test_a_stack_for_each_image_is_found_out():
    left, right = keras.Input((28, 28)), keras.Input((28, 28))
    features = [keras.layers.Dense(8)(keras.layers.Flatten()(image)) for image in (left, right)]
    difference = keras.layers.Subtract()(features)
    wrong = keras.Model([left, right], keras.layers.Multiply()([difference, difference]))
    assert not np.array_equal(wrong([images(seed=1), images(seed=2)]), wrong([images(seed=2), images(seed=1)]))


@pytest.fixture(scope="module")
def labelled():
    y = np.random.default_rng(0).integers(0, 10, 1001).astype("uint8")
    # Each image holds its own number, so that pairs can be traced.
    x = np.broadcast_to(np.arange(1001)[:, None, None], (1001, 28, 28))
    return x, y


def test_pairs_are_balanced_and_labelled_by_their_digits(labelled):
    x, y = labelled
    pairs, same = make_pairs(x, y)
    left, right = (y[pairs[side][:, 0, 0]] for side in ("left", "right"))
    assert np.array_equal(same, left == right)
    assert abs(int(same.sum()) - len(x) / 2) < 1
    assert np.array_equal(pairs["left"], x)
    other = right[same == 0]
    assert np.bincount(other, minlength=10).min() > 0.5 * len(other) / 10


def test_pairs_depend_on_the_seed_alone(labelled):
    first, again, other = (make_pairs(*labelled, seed=seed)[0]["right"] for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((3, 28, 28)), np.array([1, 1, 1]), "two digits or more"),
        (np.zeros((3, 28, 28)), np.array([1, 2]), "of one length"),
        (np.zeros((3, 28, 28)), np.array([0.5, 1, 2]), "whole numbers"),
        (np.zeros((3, 28, 28)), np.eye(3, dtype=int), "one label a digit"),
    ],
)
def test_what_makes_no_pairs_is_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        make_pairs(x, y)


def test_prepared_digits_fit_the_models(few_digits):
    flat, pairs = prepare_flat(few_digits), prepare_pairs(few_digits)
    assert [x.shape for x, _ in flat] == [(344, 784), (31, 784), (60, 784)]
    assert [x["right"].shape for x, _ in pairs] == [(344, 28, 28), (31, 28, 28), (60, 28, 28)]
    assert [set(np.unique(same)) for _, same in pairs] == [{0, 1}] * 3


@pytest.mark.parametrize("model", ["added_sequential", "functional_twin", "shared_layers"])
def test_each_trains_the_same_to_the_bit_in_any_stepping(model, few_digits, tmp_path):
    settings = {"data": few_digits, "epochs": 2, "batch_size": 5, "verbose": False, **SMALL}
    fast = train(model, out=tmp_path / "fast", **settings)
    plain = train(model, out=tmp_path / "plain", steps_per_execution=1, **settings)
    assert fast.history.equals(plain.history)
    assert not (tmp_path / "fast" / "article_comparison.csv").exists()


def test_added_and_twin_learn_what_sequential_learns_to_the_bit(few_digits, tmp_path):
    runs = [
        train(model, data=few_digits, epochs=2, out=tmp_path / model, verbose=False, **SMALL)
        for model in ("sequential", "functional_twin", "added_sequential")
    ]
    assert runs[0].history.equals(runs[1].history)
    assert runs[0].history.equals(runs[2].history)


def test_shared_layers_tell_pairs_apart_after_five_epochs(full_mnist, tmp_path):
    run = train("shared_layers", data=full_mnist, out=tmp_path, verbose=False)
    assert len(run.history) <= 5
    assert run.test_metrics["accuracy"] >= 0.95


def test_neurons_are_drawn_and_connected():
    figure = plot_neurons((3, 4, 2))
    (axis,) = figure.axes
    assert [len(layer.get_offsets()) for layer in axis.collections] == [3, 4, 2]
    colours = [
        "#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in layer.get_facecolor()[0][:3]))
        for layer in axis.collections
    ]
    assert colours == [LAYER_COLOURS[role].lower() for role in ("input", "hidden", "output")]
    assert sum(line.get_ydata().ndim for line in axis.lines) == 3 * 4 + 4 * 2
    assert [text.get_text() for text in axis.texts] == ["input\nlayer", "hidden\nlayer", "output\nlayer"]


def test_the_legend_names_input_hidden_and_output_layers(tmp_path):
    plot_model(build_shared_layers(**SMALL), tmp_path / "model.svg")
    drawing = (tmp_path / "model.svg").read_text()
    for role, colour in LAYER_COLOURS.items():
        assert f"{role} layer" in drawing
        assert drawing.count(f'fill="{colour.lower()}"') > 1  # in the legend and on a layer


def test_the_commands_tell_verdicts_and_draw_neurons(run_process, tmp_path):
    build_sequential(**SMALL).save(tmp_path / "mine.keras")
    (tmp_path / "notes.keras").write_text("no model")
    of_a_name = run_process("keras-model-wars", "verdict", "wide_deep", folder=tmp_path)
    assert of_a_name.returncode == 0, of_a_name.stderr
    assert "wide_deep needs the functional API." in of_a_name.stdout
    assert "'bypass' joins 'image' and 'reshape'" in of_a_name.stdout
    of_a_file = run_process("keras-model-wars", "verdict", "mine.keras", folder=tmp_path)
    assert of_a_file.stdout == "sequential needs the sequential API.\n"
    drawn = run_process("keras-model-wars", "plot", "simple", folder=tmp_path)
    assert drawn.stdout == "Written: simple.png\n"
    assert (tmp_path / "simple.png").stat().st_size > 5000
    for wrong in ("notes.keras", "missing.keras", "resnet"):
        refused = run_process("keras-model-wars", "verdict", wrong, folder=tmp_path)
        assert refused.returncode == 2
        (line,) = refused.stderr.splitlines()
        assert line.startswith("error: ")
        assert wrong in line


def test_the_command_prints_the_claims_and_the_changes(run_process, tmp_path):
    printed = run_process("keras-model-wars", "claims", folder=tmp_path)
    assert printed.returncode == 0, printed.stderr
    assert printed.stderr == ""
    assert "| a Sequential model has several inputs" in printed.stdout
    assert "`plot_model` without Graphviz" in printed.stdout
    assert list(tmp_path.iterdir()) == []
