"""The six models: their size, their names, how their layers are wired, and what each of them computes."""

import keras
import numpy as np
import pytest

from keras_model_wars import models
from keras_model_wars.checks import InputError

BUILDERS = {
    "sequential": models.build_sequential,
    "wide_deep": models.build_wide_deep,
    "two_input_two_output": models.build_two_input_two_output,
    "added_sequential": models.build_added_sequential,
    "functional_twin": models.build_functional_twin,
    "shared_layers": models.build_shared_layers,
}
each_builder = pytest.mark.parametrize("name", BUILDERS)


@pytest.fixture
def small():
    """Build a model with few units, with the same weights each time and biases that matter."""

    def build(name, **keywords):
        keras.utils.set_random_seed(1)
        model = BUILDERS[name](hidden_units=(16, 8), **keywords)
        for weight in model.trainable_weights:
            if weight.name == "bias":
                weight.assign(np.linspace(0.1, 0.2, weight.shape[0]))
        return model

    return build


@pytest.fixture(scope="module")
def images():
    """Three batches of four images."""
    return np.random.default_rng(1).random((3, 4, 28, 28), dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sequential", 235_146),
        ("wide_deep", 21_668_442),
        ("two_input_two_output", 22_476_900),
        ("added_sequential", 235_146),
        ("functional_twin", 235_146),
        ("shared_layers", 233_985),
    ],
)
def test_default_widths_give_the_articles_number_of_parameters(name, parameters):
    assert BUILDERS[name]().count_params() == parameters


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("sequential", {"image": (28, 28)}, {"output": 10}),
        ("wide_deep", {"image": (28, 28)}, {"output": 10}),
        ("two_input_two_output", {"input_a": (28, 28), "input_b": (28, 28)}, {"output_a": 10, "output_b": 10}),
        ("added_sequential", {"pixels": (784,)}, {"softmax": 10}),
        ("functional_twin", {"image": (28, 28)}, {"output": 10}),
        ("shared_layers", {"left": (28, 28), "right": (28, 28)}, {"same": 1}),
    ],
)
def test_inputs_and_outputs_are_named_and_shaped(small, name, inputs, outputs):
    model = small(name)

    assert model.name == name
    assert {tensor.name: tensor.shape[1:] for tensor in model.inputs} == inputs
    assert {output: model.get_layer(output).output.shape[1] for output in outputs} == outputs
    assert [tensor.shape[1] for tensor in model.outputs] == list(outputs.values())
    assert isinstance(model, keras.Sequential) or model.output_names == list(outputs)


@each_builder
def test_builder_uses_the_api_that_its_article_shows(small, name):
    assert isinstance(small(name), keras.Sequential) == (name in ("sequential", "added_sequential"))


@each_builder
def test_every_layer_is_named_and_the_model_is_not_compiled(small, name):
    first, second = small(name), small(name)

    # Keras numbers the layers that it names itself, and would number those of the second model on.
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert not first.compiled


@each_builder
def test_hidden_units_are_the_first_two_widths(small, name):
    assert [small(name).get_layer(layer).units for layer in ("hidden_1", "hidden_2")] == [16, 8]


def test_deep_path_ends_as_an_image_and_branch_units_are_the_second_outputs_hidden_layer(small):
    model = small("two_input_two_output", branch_units=12)

    for deep in (model, small("wide_deep")):
        assert deep.get_layer("hidden_3").units == 784
        assert deep.get_layer("reshape").output.shape == (None, 28, 28)
    assert model.get_layer("hidden_b").units == 12


def test_added_sequential_adds_activations_as_layers_of_their_own(small):
    model = small("added_sequential")

    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Activation"] * 3
    assert all(layer.activation is keras.activations.linear for layer in model.layers[::2])


def dense(model, x, *layers):
    """Compute relu layers by hand."""
    for layer in layers:
        x = np.maximum(logits(model, x, layer), 0)
    return x


def logits(model, x, layer):
    kernel, bias = model.get_layer(layer).get_weights()
    return x.reshape(len(x), -1) @ kernel + bias


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def beside(image, deep):
    """Return each row of the image followed by the row that the deep path made."""
    return np.concatenate([image, deep.reshape(-1, 28, 28)], axis=2)


@pytest.mark.parametrize("name", ["sequential", "functional_twin", "added_sequential"])
def test_three_spellings_compute_one_formula(small, images, name):
    model = small(name)
    expected = softmax(logits(model, dense(model, images[0], "hidden_1", "hidden_2"), "output"))

    np.testing.assert_allclose(model(images[0].reshape(-1, *model.input_shape[1:])), expected, atol=1e-5)


def test_three_spellings_with_the_same_weights_predict_the_same_to_the_bit(images):
    sequential, twin, added = (BUILDERS[name]() for name in ("sequential", "functional_twin", "added_sequential"))
    twin.set_weights(sequential.get_weights())
    added.set_weights(sequential.get_weights())

    expected = sequential.predict(images[0], verbose=0)
    assert np.array_equal(twin.predict(images[0], verbose=0), expected)
    assert np.array_equal(added.predict(images[0].reshape(-1, 784), verbose=0), expected)


def test_wide_deep_puts_the_image_beside_what_the_deep_path_makes_of_it(small, images):
    model = small("wide_deep")
    deep = dense(model, images[0], "hidden_1", "hidden_2", "hidden_3")

    expected = softmax(logits(model, beside(images[0], deep), "output"))
    np.testing.assert_allclose(model(images[0]), expected, atol=1e-5)


def test_two_outputs_share_the_deep_path_and_bypass_it_with_an_image_each(small, images):
    model = small("two_input_two_output", branch_units=12)
    a, b, _ = images
    deep = dense(model, a, "hidden_1", "hidden_2", "hidden_3")

    output_a, output_b = model([a, b])
    np.testing.assert_allclose(output_a, softmax(logits(model, beside(a, deep), "output_a")), atol=1e-5)
    hidden = dense(model, beside(b, deep), "hidden_b")
    np.testing.assert_allclose(output_b, softmax(logits(model, hidden, "output_b")), atol=1e-5)


def test_shared_layers_compare_what_one_stack_makes_of_both_images(small, images):
    model = small("shared_layers")
    left, right, _ = images
    features = [dense(model, image, "hidden_1", "hidden_2") for image in (left, right)]

    expected = 1 / (1 + np.exp(-logits(model, (features[0] - features[1]) ** 2, "same")))
    np.testing.assert_allclose(model([left, right]), expected, atol=1e-5)
    assert np.array_equal(model([left, right]), model([right, left]))
    assert not np.array_equal(model([left, right]), model([left, left]))


@pytest.mark.parametrize("units", [(8,), (8, 4, 2), 8, "8,4", (8, 0), (-8, 4), (8, 4.0), (True, 4), (8, None)])
def test_hidden_units_other_than_two_whole_numbers_above_zero_are_refused(units):
    with pytest.raises(InputError, match="`hidden_units` should be .* Received: "):
        models.build_sequential(units)


@each_builder
def test_every_builder_refuses_bad_hidden_units(name):
    with pytest.raises(InputError, match="hidden_units"):
        BUILDERS[name](hidden_units=(8, 0))


def test_bad_branch_units_are_refused():
    with pytest.raises(InputError, match="`branch_units` should be .* Received: branch_units=1.5"):
        models.build_two_input_two_output((8, 4), branch_units=1.5)


def test_hidden_units_may_be_a_list_or_numpy_integers():
    assert models.build_sequential([16, np.int64(8)]).get_layer("hidden_2").units == 8
