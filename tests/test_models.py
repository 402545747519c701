"""The models of the first article: their size, their names and how their layers are wired."""

import keras
import numpy as np
import pytest

from keras_model_wars.models import build_sequential, build_two_input_two_output, build_wide_deep

SMALL = {
    "sequential": lambda: build_sequential((16, 8)),
    "wide_deep": lambda: build_wide_deep((16, 8)),
    "two_input_two_output": lambda: build_two_input_two_output((16, 8), branch_units=12),
}


@pytest.fixture
def small():
    """Build a model with few units, its first weights the same each time; its biases above zero keep units alive."""

    def build(name):
        keras.utils.set_random_seed(1)
        model = SMALL[name]()
        for weight in model.trainable_weights:
            if weight.name == "bias":
                weight.assign(np.full(weight.shape, 0.1))
        return model

    return build


@pytest.fixture
def images():
    return np.random.default_rng(1).random((3, 4, 28, 28), dtype=np.float32)


def weights(model, layer):
    return model.get_layer(layer).get_weights()


def silence(model, layer):
    """Let a layer's output be zero whatever comes in."""
    model.get_layer(layer).set_weights([np.zeros_like(array) for array in weights(model, layer)])


def cut_bypass(model, layer):
    """Let the layer behind a bypass see what comes from the deep path alone."""
    kernel, bias = weights(model, layer)
    kernel.reshape(28, 56, -1)[:, :28] = 0
    model.get_layer(layer).set_weights([kernel, bias])


def moves(before, after):
    """Say whether every digit's probabilities moved, and refuse an answer where only some did."""
    moved = np.abs(np.asarray(before) - np.asarray(after)).max(axis=1) > 1e-6
    assert moved.all() or not moved.any()
    return bool(moved.all())


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(build_sequential, 235_146), (build_wide_deep, 21_668_442), (build_two_input_two_output, 22_476_900)],
)
def test_default_builder_has_the_articles_number_of_parameters(build, parameters):
    assert build().count_params() == parameters


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("sequential", ["image"], ["output"]),
        ("wide_deep", ["image"], ["output"]),
        ("two_input_two_output", ["input_a", "input_b"], ["output_a", "output_b"]),
    ],
)
def test_inputs_and_outputs_are_named_and_shaped(name, inputs, outputs):
    model = SMALL[name]()

    assert model.name == name
    assert [tensor.name for tensor in model.inputs] == inputs
    assert [layer.name for layer in model.layers if layer.name.startswith("output")] == outputs
    assert isinstance(model, keras.Sequential) or model.output_names == outputs
    assert {tensor.shape for tensor in model.inputs} == {(None, 28, 28)}
    assert {tensor.shape for tensor in model.outputs} == {(None, 10)}


def test_sequential_model_is_a_sequential():
    assert isinstance(SMALL["sequential"](), keras.Sequential)


@pytest.mark.parametrize("name", SMALL)
def test_no_layer_leaves_its_name_to_keras(name):
    first, second = SMALL[name](), SMALL[name]()

    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


@pytest.mark.parametrize("name", SMALL)
def test_builder_returns_an_uncompiled_model(name):
    assert not SMALL[name]().compiled


@pytest.mark.parametrize("name", SMALL)
def test_hidden_layers_are_relu_and_outputs_softmax(name):
    model = SMALL[name]()
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]

    assert {layer.name: layer.activation.__name__ for layer in dense} == {
        layer.name: "softmax" if layer.name.startswith("output") else "relu" for layer in dense
    }


@pytest.mark.parametrize("name", SMALL)
def test_hidden_units_are_the_first_two_widths(name):
    model = SMALL[name]()

    assert (model.get_layer("hidden_1").units, model.get_layer("hidden_2").units) == (16, 8)


@pytest.mark.parametrize("name", ["wide_deep", "two_input_two_output"])
def test_deep_path_ends_as_wide_as_an_image(name):
    model = SMALL[name]()

    assert model.get_layer("hidden_3").units == 784
    assert model.get_layer("reshape").output.shape == (None, 28, 28)


def test_branch_units_are_the_width_of_the_second_outputs_hidden_layer():
    assert SMALL["two_input_two_output"]().get_layer("hidden_b").units == 12


def dense(x, kernel, bias):
    return x @ kernel + bias


def relu(x):
    return np.maximum(x, 0)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def deep_path(model, image):
    """Return what the deep path makes of an image, by hand."""
    x = image.reshape(-1, 784)
    for layer in ("hidden_1", "hidden_2", "hidden_3"):
        x = relu(dense(x, *weights(model, layer)))
    return x.reshape(-1, 28, 28)


def side_by_side(image, deep):
    return np.concatenate([image, deep], axis=2).reshape(-1, 28 * 56)


def test_sequential_computes_its_formula(small, images):
    model = small("sequential")
    x = images[0].reshape(-1, 784)
    for layer in ("hidden_1", "hidden_2"):
        x = relu(dense(x, *weights(model, layer)))

    expected = softmax(dense(x, *weights(model, "output")))

    np.testing.assert_allclose(model(images[0]), expected, atol=1e-5)


def test_wide_deep_computes_its_formula(small, images):
    model = small("wide_deep")
    both = side_by_side(images[0], deep_path(model, images[0]))

    expected = softmax(dense(both, *weights(model, "output")))

    np.testing.assert_allclose(model(images[0]), expected, atol=1e-5)


def test_two_input_two_output_computes_its_formula(small, images):
    model = small("two_input_two_output")
    deep = deep_path(model, images[0])
    hidden = relu(dense(side_by_side(images[1], deep), *weights(model, "hidden_b")))

    expected_a = softmax(dense(side_by_side(images[0], deep), *weights(model, "output_a")))
    expected_b = softmax(dense(hidden, *weights(model, "output_b")))

    output_a, output_b = model([images[0], images[1]])
    np.testing.assert_allclose(output_a, expected_a, atol=1e-5)
    np.testing.assert_allclose(output_b, expected_b, atol=1e-5)


def test_bypass_carries_input_to_output(small, images):
    model = small("wide_deep")
    silence(model, "hidden_3")

    assert moves(model(images[0]), model(images[1]))


def test_deep_path_carries_input_to_output(small, images):
    model = small("wide_deep")
    cut_bypass(model, "output")

    assert moves(model(images[0]), model(images[1]))


def test_nothing_but_bypass_and_deep_path_carries_input_to_output(small, images):
    model = small("wide_deep")
    silence(model, "hidden_3")
    cut_bypass(model, "output")

    assert not moves(model(images[0]), model(images[1]))


@pytest.mark.parametrize(
    ("changed", "output", "moved"), [("a", "a", True), ("a", "b", True), ("b", "a", False), ("b", "b", True)]
)
def test_outputs_follow_their_inputs(small, images, changed, output, moved):
    model = small("two_input_two_output")
    other = [images[2], images[1]] if changed == "a" else [images[0], images[2]]

    before, after = model([images[0], images[1]]), model(other)

    assert moves(before["ab".index(output)], after["ab".index(output)]) is moved


def test_bypass_carries_input_a_to_output_a_alone(small, images):
    model = small("two_input_two_output")
    silence(model, "hidden_3")

    before, after = model([images[0], images[1]]), model([images[2], images[1]])

    assert moves(before[0], after[0])
    assert not moves(before[1], after[1])


def test_deep_path_carries_input_a_to_both_outputs(small, images):
    model = small("two_input_two_output")
    cut_bypass(model, "output_a")
    cut_bypass(model, "hidden_b")

    before, after = model([images[0], images[1]]), model([images[2], images[1]])

    assert moves(before[0], after[0])
    assert moves(before[1], after[1])


def test_bypass_is_all_that_carries_input_b_to_output_b(small, images):
    model = small("two_input_two_output")
    cut_bypass(model, "hidden_b")

    before, after = model([images[0], images[1]]), model([images[0], images[2]])

    assert not moves(before[1], after[1])


@pytest.mark.parametrize("build", [build_sequential, build_wide_deep, build_two_input_two_output])
@pytest.mark.parametrize(
    "units", [(8,), (8, 4, 2), 8, "8,4", (8, 0), (-8, 4), (8, 4.0), (True, 4), (8, None), (8, 2**20)]
)
def test_bad_hidden_units_are_refused(build, units):
    with pytest.raises((TypeError, ValueError), match=r"`hidden_units` should .*Received: "):
        build(hidden_units=units)


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "8", (8,), None])
def test_bad_branch_units_are_refused(units):
    with pytest.raises((TypeError, ValueError), match="`branch_units` should .*Received: "):
        build_two_input_two_output((8, 4), branch_units=units)


def test_hidden_units_may_be_a_list_or_numpy_integers():
    assert build_sequential([16, np.int64(8)]).count_params() == build_sequential((16, 8)).count_params()
