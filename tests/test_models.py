"""The six models: their sizes and names, and what they compute."""

import keras
import numpy as np
import pytest

from keras_model_wars import EXPERIMENTS

IMAGES = np.random.default_rng(1).random((2, 4, 28, 28), dtype=np.float32)


def build(name, **keywords):
    """Build a model with biases that matter."""
    keras.utils.set_random_seed(1)
    model = EXPERIMENTS[name].builder((16, 8), **keywords)
    for weight in model.trainable_weights:
        if weight.name == "bias":
            weight.assign(np.linspace(0.1, 0.2, weight.shape[0]))
    return model


@pytest.mark.parametrize(
    ("name", "parameters", "inputs"),
    [
        ("sequential", 235_146, ["image"]),
        ("wide_deep", 21_668_442, ["image"]),
        ("two_input_two_output", 22_476_900, ["input_a", "input_b"]),
        ("added_sequential", 235_146, ["pixels"]),
        ("functional_twin", 235_146, ["image"]),
        ("shared_layers", 233_985, ["left", "right"]),
    ],
)
def test_model_has_the_articles_size(name, parameters, inputs):
    model = EXPERIMENTS[name].builder()
    assert model.name == name
    assert model.count_params() == parameters
    assert [tensor.name for tensor in model.inputs] == inputs


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_layer_is_named_and_nothing_is_compiled(name):
    # Keras numbers the layers that it names itself, on and on.
    first, second = build(name), build(name)
    assert [a.name for a in first.layers] == [b.name for b in second.layers]
    assert not first.compiled


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


def test_three_spellings_of_one_network_predict_bit_for_bit_the_same():
    x = IMAGES[0]
    sequential = build("sequential")
    hidden = dense(sequential, x, "hidden_1", "hidden_2")
    predictions = sequential(x)
    expected = answer(sequential, hidden, "output")
    np.testing.assert_allclose(predictions, expected, atol=1e-5)
    # One seed draws the same weights for each.
    np.testing.assert_array_equal(build("functional_twin")(x), predictions)
    flat = x.reshape(-1, 784)
    np.testing.assert_array_equal(build("added_sequential")(flat), predictions)


def beside(image, deep):
    """Return each row of the image followed by the row that the deep path made."""
    return np.concatenate([image, deep.reshape(-1, 28, 28)], axis=2)


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
    output_a = answer(model, beside(a, deep), "output_a")
    output_b = answer(model, hidden, "output_b")
    np.testing.assert_allclose(model([a, b]), [output_a, output_b], atol=1e-5)
    assert hidden.shape == (4, 12)


def test_shared_layers_compare_what_one_stack_makes_of_both_images():
    model = build("shared_layers")
    left, right = (dense(model, image, "hidden_1", "hidden_2") for image in IMAGES)
    expected = 1 / (1 + np.exp(-logits(model, (left - right) ** 2, "same")))
    np.testing.assert_allclose(model([*IMAGES]), expected, atol=1e-5)
