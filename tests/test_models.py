"""The six models: their size, their names, how their layers are wired, and what each of them computes."""

import keras
import numpy as np
import pytest

from keras_model_wars import models

# Parameters with the default widths, inputs, outputs.
IMAGE = (28, 28)
MODELS = {
    "sequential": (235_146, {"image": IMAGE}, {"output": 10}),
    "wide_deep": (21_668_442, {"image": IMAGE}, {"output": 10}),
    "two_input_two_output": (
        22_476_900,
        {"input_a": IMAGE, "input_b": IMAGE},
        {"output_a": 10, "output_b": 10},
    ),
    "added_sequential": (235_146, {"pixels": (784,)}, {"softmax": 10}),
    "functional_twin": (235_146, {"image": IMAGE}, {"output": 10}),
    "shared_layers": (233_985, {"left": IMAGE, "right": IMAGE}, {"same": 1}),
}
IMAGES = np.random.default_rng(1).random((2, 4, 28, 28), dtype=np.float32)


def build(name, hidden_units=(16, 8), **keywords):
    """Build a model with biases that matter."""
    keras.utils.set_random_seed(1)
    model = getattr(models, f"build_{name}")(hidden_units, **keywords)
    for weight in model.trainable_weights:
        if weight.name == "bias":
            weight.assign(np.linspace(0.1, 0.2, weight.shape[0]))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_model_has_the_articles_number_of_parameters_and_named_inputs_outputs_layers_and_widths(
    name,
):
    parameters, inputs, outputs = MODELS[name]
    assert getattr(models, f"build_{name}")().count_params() == parameters
    model, again = build(name), build(name, [16, np.int64(8)])
    assert model.name == name
    assert {tensor.name: tensor.shape[1:] for tensor in model.inputs} == inputs
    assert {
        output: model.get_layer(output).output.shape[1] for output in outputs
    } == outputs
    assert [tensor.shape[1] for tensor in model.outputs] == list(outputs.values())
    assert isinstance(model, keras.Sequential) or model.output_names == list(outputs)
    for built in (model, again):
        assert [built.get_layer(layer).units for layer in ("hidden_1", "hidden_2")] == [
            16,
            8,
        ]
    # Keras numbers the layers that it names itself, and would number those of the second model on.
    assert [layer.name for layer in model.layers] == [
        layer.name for layer in again.layers
    ]
    assert isinstance(model, keras.Sequential) == (
        name in ("sequential", "added_sequential")
    )
    assert not model.compiled


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


def test_three_spellings_compute_one_formula_to_the_bit():
    spellings = ("sequential", "functional_twin", "added_sequential")
    sequential, twin, added = (build(name, (256, 128)) for name in spellings)
    assert [type(layer).__name__ for layer in added.layers] == [
        "Dense",
        "Activation",
    ] * 3
    for model in (twin, added):
        model.set_weights(sequential.get_weights())
    predictions = sequential.predict(IMAGES[0], verbose=0)
    expected = answer(
        sequential, dense(sequential, IMAGES[0], "hidden_1", "hidden_2"), "output"
    )
    np.testing.assert_allclose(predictions, expected, atol=1e-5)
    assert np.array_equal(twin.predict(IMAGES[0], verbose=0), predictions)
    assert np.array_equal(
        added.predict(IMAGES[0].reshape(-1, 784), verbose=0), predictions
    )


def test_wide_deep_puts_the_image_beside_what_the_deep_path_makes_of_it():
    model = build("wide_deep")
    deep = dense(model, IMAGES[0], "hidden_1", "hidden_2", "hidden_3")
    np.testing.assert_allclose(
        model(IMAGES[0]), answer(model, beside(IMAGES[0], deep), "output"), atol=1e-5
    )


def test_two_outputs_share_the_deep_path_and_bypass_it_with_an_image_each():
    model = build("two_input_two_output", branch_units=12)
    a, b = IMAGES
    deep = dense(model, a, "hidden_1", "hidden_2", "hidden_3")
    output_a, output_b = model([a, b])
    np.testing.assert_allclose(
        output_a, answer(model, beside(a, deep), "output_a"), atol=1e-5
    )
    hidden = dense(model, beside(b, deep), "hidden_b")
    np.testing.assert_allclose(output_b, answer(model, hidden, "output_b"), atol=1e-5)
    assert hidden.shape == (4, 12)


def test_shared_layers_compare_what_one_stack_makes_of_both_images():
    model = build("shared_layers")
    left, right = (dense(model, image, "hidden_1", "hidden_2") for image in IMAGES)
    expected = 1 / (1 + np.exp(-logits(model, (left - right) ** 2, "same")))
    np.testing.assert_allclose(model([*IMAGES]), expected, atol=1e-5)
    assert not np.array_equal(model([*IMAGES]), model([IMAGES[0], IMAGES[0]]))
