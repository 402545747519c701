"""A model that doesn't fit the images, the labels or the loss is refused early."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_model_wars as kmw
from keras_model_wars import Experiment, InputError
from keras_model_wars.matching import (
    build_model,
    match_images,
    match_labels,
    prepare_splits,
)


def experiment(builder, **settings):
    return Experiment("mine", "My model", builder, **settings)


def chain(*parts):
    return keras.Sequential([*parts], name="mine")


@pytest.fixture(scope="module")
def splits(few_digits):
    return kmw.prepare_digits(few_digits)


def needs_argument(size):
    return chain(keras.Input((size,)))


def test_a_builder_that_wants_arguments_is_refused():
    with pytest.raises(InputError, match="needs_argument .*no arguments.*'size'"):
        build_model(experiment(needs_argument), {})


def test_a_builder_that_does_not_take_an_argument_is_refused():
    with pytest.raises(InputError, match="needs_argument .* unexpected .*'width'"):
        build_model(experiment(needs_argument), {"size": 3, "width": 5})


@pytest.mark.parametrize("returned", [None, 5, keras.Input((4,)), layers.Dense(4)])
def test_a_builder_that_returns_something_else_is_refused(returned):
    def build_mine():
        return returned

    message = "build_mine should return a Keras model. Received: "
    with pytest.raises(InputError, match=message + type(returned).__name__):
        build_model(experiment(build_mine), {})


def test_a_compiled_model_is_refused():
    def build_mine():
        model = chain(keras.Input((28, 28)), layers.Flatten())
        model.compile()
        return model

    with pytest.raises(InputError, match="an uncompiled model. Received: a compiled"):
        build_model(experiment(build_mine), {})


def test_a_bug_in_a_builder_keeps_its_own_error():
    def build_mine():
        return layers.Dense(8, activation="rleu")

    with pytest.raises(ValueError, match="rleu") as caught:
        build_model(experiment(build_mine), {})
    assert not isinstance(caught.value, InputError)


def test_images_that_fit_are_left_as_they_are(splits):
    assert match_images(kmw.build_sequential((4, 4)), splits) is splits


def test_a_channel_axis_is_added_for_a_model_that_takes_one(splits):
    model = chain(keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10))
    matched = match_images(model, splits)
    for before, after in zip(splits, matched):
        assert after[0].shape == (*before[0].shape, 1)
        assert after[1] is before[1]


def test_a_channel_axis_is_added_to_both_inputs(few_digits):
    pairs = kmw.prepare_pairs(few_digits)
    left = keras.Input((28, 28, 1), name="left")
    right = keras.Input((28, 28, 1), name="right")
    x = layers.Flatten()(layers.Subtract()([left, right]))
    model = keras.Model([left, right], layers.Dense(1, activation="sigmoid")(x))
    matched = match_images(model, pairs)
    assert matched.train[0]["left"].shape[1:] == (28, 28, 1)
    assert matched.test[0]["right"].shape[1:] == (28, 28, 1)


def test_a_model_without_an_input_is_built_for_the_images(splits):
    model = chain(layers.Flatten(), layers.Dense(10))
    match_images(model, splits)
    assert model.input_shape == (None, 28, 28)


def test_a_convolution_without_an_input_gets_its_channel(splits):
    model = chain(layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(10))
    matched = match_images(model, splits)
    assert matched.train[0].shape[1:] == (28, 28, 1)


@pytest.mark.parametrize("shape", [(32, 32, 3), (784,), (28, 28, 3), (27, 28)])
def test_a_model_for_other_images_is_refused_with_both_shapes(splits, shape):
    model = chain(keras.Input(shape), layers.Flatten(), layers.Dense(10))
    with pytest.raises(InputError) as refused:
        match_images(model, splits)
    assert f"mine takes {shape}; the digits are (28, 28)" in str(refused.value)


def test_a_model_with_two_inputs_for_one_image_is_refused(splits):
    with pytest.raises(InputError, match=r"takes \(28, 28\) and \(28, 28\); the digi"):
        match_images(kmw.build_shared_layers((4, 4)), splits)


def test_any_size_is_a_size_that_fits(splits):
    model = chain(keras.Input((None, 28)), layers.LSTM(4), layers.Dense(10))
    assert match_images(model, splits) is splits


@pytest.mark.parametrize("name", kmw.EXPERIMENTS)
def test_the_articles_models_fit(few_digits, name):
    ours = kmw.EXPERIMENTS[name]
    model = build_model(ours, {"hidden_units": (4, 4)})
    splits = match_images(model, ours.prepare(few_digits))
    match_labels(model, splits, ours.loss)


def with_output(*last):
    return chain(keras.Input((28, 28)), layers.Flatten(), *last)


@pytest.mark.parametrize("units", [1, 5, 9])
def test_fewer_outputs_than_classes_are_refused(splits, units):
    model = with_output(layers.Dense(units))
    with pytest.raises(InputError, match=rf"10 classes .*mine returns \({units},\)"):
        match_labels(model, splits, "sparse_categorical_crossentropy")


def test_more_outputs_than_classes_are_fine(splits):
    model = with_output(layers.Dense(12))
    match_labels(model, splits, keras.losses.SparseCategoricalCrossentropy())


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse", "hinge"])
def test_a_loss_that_would_compare_other_shapes_in_silence_is_refused(splits, loss):
    model = with_output(layers.Dense(10))
    with pytest.raises(InputError, match=f"should fit the loss {loss}"):
        match_labels(model, splits, loss)


def test_categorical_crossentropy_for_labels_as_numbers_is_refused(splits):
    model = with_output(layers.Dense(10))
    with pytest.raises(InputError, match="should fit the loss categorical_crossentr"):
        match_labels(model, splits, keras.losses.CategoricalCrossentropy())


def test_an_output_that_is_an_image_is_refused(splits):
    model = chain(keras.Input((28, 28)), layers.Dense(10))
    with pytest.raises(InputError, match=r"returns \(28, 10\)"):
        match_labels(model, splits, "sparse_categorical_crossentropy")


def test_two_outputs_for_one_label_are_refused(splits):
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    model = keras.Model(inputs, [layers.Dense(10)(x), layers.Dense(10)(x)])
    with pytest.raises(InputError, match="2 outputs of .* for 1 kinds of labels"):
        match_labels(model, splits, "sparse_categorical_crossentropy")


def test_an_autoencoder_of_ones_own_fits_with_its_own_preparation(splits):
    images = kmw.Splits(*((x, x) for x, _ in splits))
    model = with_output(layers.Dense(784), layers.Reshape((28, 28)))
    match_labels(model, images, "mse")


def test_a_loss_function_of_ones_own_is_left_to_its_author(splits):
    def loss(y_true, y_pred):
        return keras.ops.mean(y_pred)

    match_labels(with_output(layers.Dense(3)), splits, loss)


def test_images_are_not_changed_by_the_check(splits):
    before = np.copy(splits.train[0])
    match_labels(
        kmw.build_sequential((4, 4)), splits, "sparse_categorical_crossentropy"
    )
    np.testing.assert_array_equal(splits.train[0], before)


@pytest.mark.parametrize("returned", [3, None, (1, 2, 3), (([0], [0, 1]),) * 3])
def test_a_preparation_that_returns_something_else_is_refused(few_digits, returned):
    def prepare(mnist):
        return returned

    mine = experiment(kmw.build_sequential, prepare=prepare)
    with pytest.raises(InputError, match="`prepare` should return Splits"):
        prepare_splits(kmw.build_sequential((4, 4)), mine, few_digits)


def test_a_loss_that_keras_does_not_know_is_refused(splits):
    with pytest.raises(InputError, match="name of a loss of Keras.*'sparse_crossentr"):
        match_labels(kmw.build_sequential((4, 4)), splits, "sparse_crossentropy")


def test_one_hot_labels_for_a_sparse_loss_are_refused(splits):
    one_hot = kmw.Splits(*((x, np.eye(10)[y]) for x, y in splits))
    with pytest.raises(InputError, match="For one-hot labels: categorical_crossentr"):
        match_labels(
            kmw.build_sequential((4, 4)), one_hot, "sparse_categorical_crossentropy"
        )
