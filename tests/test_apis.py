"""Which API a model needs, and the reasons."""

import keras
import pytest
from keras import layers

from keras_model_wars import models, which_api


def functional(build, shape=(4,), dtype="float32"):
    """Return the Functional model whose outputs ``build`` makes of its input."""
    inputs = keras.Input(shape, name="input", dtype=dtype)
    return keras.Model(inputs, build(inputs), name="mine")


def stack(*parts, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *parts])


def dense(name="dense"):
    return layers.Dense(4, name=name)


def bypass(x):
    return layers.Add(name="add")([x, dense("deep")(x)])


@pytest.mark.parametrize(
    ("name", "api"),
    [
        ("sequential", "sequential"),
        ("wide_deep", "functional"),
        ("two_input_two_output", "functional"),
        ("added_sequential", "sequential"),
        ("functional_twin", "sequential"),
        ("shared_layers", "functional"),
    ],
)
def test_the_articles_models(name, api):
    model = getattr(models, f"build_{name}")((8, 8))

    assert which_api(model).api == api


def test_every_input_and_join_is_named():
    both = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    model = keras.Model(both, layers.Add(name="add")(both))

    expected = "functional: 2 inputs: 'a' and 'b'; 'add' joins 'a' and 'b'"
    assert str(which_api(model)) == expected


def residual(x):
    return dense("h")(x) + x


def two_heads(x):
    return [dense("left")(x), dense("right")(x)]


def one_state_of_three(x):
    return layers.LSTM(3, return_state=True, name="lstm")(x)[1]


def noise_at_any_time(x):
    return layers.Dropout(0.5, name="noise")(x, training=True)


def twice(x):
    shared = dense()
    return shared(shared(x))


def twice_in_a_sequential_model():
    shared = dense()
    return stack(shared, shared)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (functional(bypass), "'input' feeds 'deep' and 'add'"),
        (functional(two_heads), "2 outputs: 'left' and 'right'"),
        (functional(residual), "is an operation, not a layer"),
        (functional(one_state_of_three, (5, 4)), "'lstm' returns 3 tensors"),
        (functional(noise_at_any_time), "'noise' is called with training=True"),
        (functional(twice), "'dense' is used 2 times"),
        (twice_in_a_sequential_model(), "'dense' is used 2 times"),
        (stack(functional(bypass)), "in 'mine': 'add' joins 'input' and 'deep'"),
    ],
)
def test_a_model_that_needs_the_functional_api(model, reason):
    verdict = which_api(model)

    assert verdict.api == "functional"
    assert reason in str(verdict)
    assert verdict.in_words.startswith("needs the Functional API: ")


def all_states(x):
    return list(layers.LSTM(3, return_state=True)(x))


def regularized(x):
    return layers.BatchNormalization()(layers.Dropout(0.1)(x))


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([dense()]),
        stack(functional(dense()), stack(dense("last"))),
        functional(regularized),
        functional(all_states, (5, 4)),
        functional(layers.Bidirectional(layers.LSTM(3)), (5, 4)),
        keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3)),
    ],
)
def test_a_chain_can_be_sequential_however_it_is_written(model):
    verdict = which_api(model)

    assert str(verdict) == "sequential"
    assert verdict.in_words == "can be Sequential"


def test_a_mask_that_keras_passes_on_is_no_reason(tmp_path):
    words = layers.Embedding(10, 4, mask_zero=True)
    model = functional(lambda x: layers.LSTM(3)(words(x)), (5,), "int32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")

    assert str(which_api(model)) == str(which_api(loaded)) == "sequential"


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    "model", [Subclassed(name="own"), stack(Subclassed(name="own"), dense())]
)
def test_layers_joined_in_code_need_subclassing(model):
    verdict = which_api(model)

    assert verdict.api == "subclassing"
    assert str(verdict).endswith("'own' joins its layers in call()")
