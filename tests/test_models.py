"""The six models: their size, names, widths and wiring, and what they compute."""

import keras
import numpy as np
import pytest

from keras_model_wars import EXPERIMENTS, models

PARAMETERS = {
    "sequential": 235_146,
    "wide_deep": 21_668_442,
    "two_input_two_output": 22_476_900,
    "added_sequential": 235_146,
    "functional_twin": 235_146,
    "shared_layers": 233_985,
}
INPUTS = {
    "sequential": {"image": (28, 28)},
    "wide_deep": {"image": (28, 28)},
    "two_input_two_output": {"input_a": (28, 28), "input_b": (28, 28)},
    "added_sequential": {"pixels": (784,)},
    "functional_twin": {"image": (28, 28)},
    "shared_layers": {"left": (28, 28), "right": (28, 28)},
}
OUTPUTS = {
    "sequential": {"output": 10},
    "wide_deep": {"output": 10},
    "two_input_two_output": {"output_a": 10, "output_b": 10},
    "added_sequential": {"softmax": 10},
    "functional_twin": {"output": 10},
    "shared_layers": {"same": 1},
}
IMAGES = np.random.default_rng(1).random((2, 4, 28, 28), dtype=np.float32)
each_model = pytest.mark.parametrize("name", PARAMETERS)


def build(name, hidden_units=(16, 8), **keywords):
    """Build a model with biases that matter."""
    keras.utils.set_random_seed(1)
    model = getattr(models, f"build_{name}")(hidden_units, **keywords)
    for weight in model.trainable_weights:
        if weight.name == "bias":
            weight.assign(np.linspace(0.1, 0.2, weight.shape[0]))
    return model


@each_model
def test_model_has_the_number_of_parameters_that_the_article_prints(name):
    model = getattr(models, f"build_{name}")()
    assert model.count_params() == PARAMETERS[name]
    assert EXPERIMENTS[name].parameters == PARAMETERS[name]


@each_model
def test_inputs_and_outputs_have_names_and_shapes(name):
    model = build(name)
    inputs = {tensor.name: tensor.shape[1:] for tensor in model.inputs}
    widths = [tensor.shape[1] for tensor in model.outputs]
    assert model.name == name
    assert inputs == INPUTS[name]
    assert widths == list(OUTPUTS[name].values())
    for output, width in OUTPUTS[name].items():
        assert model.get_layer(output).output.shape[1] == width


@each_model
def test_hidden_units_are_the_widths_of_the_first_two_hidden_layers(name):
    model = build(name, [16, 8])
    assert model.get_layer("hidden_1").units == 16
    assert model.get_layer("hidden_2").units == 8


@each_model
def test_every_layer_is_named_and_nothing_is_compiled(name):
    # Keras numbers the layers that it names itself, on and on.
    first, second = build(name), build(name)
    assert [a.name for a in first.layers] == [b.name for b in second.layers]
    assert not first.compiled


@each_model
def test_a_model_is_of_the_api_that_its_title_says(name):
    is_sequential = isinstance(build(name), keras.Sequential)
    assert is_sequential == EXPERIMENTS[name].title.startswith("Sequential")


@pytest.mark.parametrize("units", [(8,), (8, 4, 2), 8, (-8, 4), (8, "x")])
def test_a_wrong_width_is_pythons_or_keras_own_error(units):
    with pytest.raises((ValueError, TypeError)):
        models.build_sequential(units)


def logits(model, x, layer):
    kernel, bias = model.get_layer(layer).get_weights()
    return x.reshape(len(x), -1) @ kernel + bias


def dense(model, x, *layers):
    for layer in layers:
        x = np.maximum(logits(model, x, layer), 0)
    return x


def answer(model, x, layer):
    x = np.exp(logits(model, x, layer))
    return x / x.sum(axis=1, keepdims=True)


def beside(image, deep):
    """Return each row of the image followed by the row that the deep path made."""
    return np.concatenate([image, deep.reshape(-1, 28, 28)], axis=2)


def test_sequential_computes_its_formula():
    model = build("sequential")
    hidden = dense(model, IMAGES[0], "hidden_1", "hidden_2")
    expected = answer(model, hidden, "output")
    np.testing.assert_allclose(model(IMAGES[0]), expected, atol=1e-5)


def test_three_spellings_of_one_network_predict_bit_for_bit_the_same():
    sequential = build("sequential", (256, 128))
    twin = build("functional_twin", (256, 128))
    added = build("added_sequential", (256, 128))
    twin.set_weights(sequential.get_weights())
    added.set_weights(sequential.get_weights())
    predictions = sequential.predict(IMAGES[0], verbose=0)
    flat = IMAGES[0].reshape(-1, 784)
    np.testing.assert_array_equal(twin.predict(IMAGES[0], verbose=0), predictions)
    np.testing.assert_array_equal(added.predict(flat, verbose=0), predictions)


def test_added_sequential_has_its_activations_as_layers():
    kinds = [type(layer).__name__ for layer in build("added_sequential").layers]
    assert kinds == ["Dense", "Activation"] * 3


def test_wide_deep_puts_the_image_beside_what_the_deep_path_makes_of_it():
    model = build("wide_deep")
    deep = dense(model, IMAGES[0], "hidden_1", "hidden_2", "hidden_3")
    expected = answer(model, beside(IMAGES[0], deep), "output")
    np.testing.assert_allclose(model(IMAGES[0]), expected, atol=1e-5)


def test_two_outputs_share_the_deep_path_and_bypass_it_with_an_image_each():
    model = build("two_input_two_output", branch_units=12)
    a, b = IMAGES
    deep = dense(model, a, "hidden_1", "hidden_2", "hidden_3")
    hidden = dense(model, beside(b, deep), "hidden_b")
    output_a, output_b = model([a, b])
    expected_a = answer(model, beside(a, deep), "output_a")
    expected_b = answer(model, hidden, "output_b")
    np.testing.assert_allclose(output_a, expected_a, atol=1e-5)
    np.testing.assert_allclose(output_b, expected_b, atol=1e-5)
    assert hidden.shape == (4, 12)


def test_shared_layers_compare_what_one_stack_makes_of_both_images():
    model = build("shared_layers")
    left, right = (dense(model, image, "hidden_1", "hidden_2") for image in IMAGES)
    expected = 1 / (1 + np.exp(-logits(model, (left - right) ** 2, "same")))
    np.testing.assert_allclose(model([*IMAGES]), expected, atol=1e-5)
