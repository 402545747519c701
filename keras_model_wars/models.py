"""Build the models: one builder per model, which reads from top to bottom like its diagram and compiles nothing."""

import keras
from keras import layers

from keras_model_wars.checks import InputError, whole_number


def build_sequential(hidden_units: tuple[int, int] = (256, 128)) -> keras.Sequential:
    """Build the first article's Sequential model: a plain stack of layers.

    Takes images of shape (28, 28), float32 in [0, 1], and returns ten probabilities, one per digit. ``hidden_units``
    are the widths of its two hidden layers; every builder raises an InputError for anything but two whole numbers
    above zero. Has 235,146 parameters. Follows "Sequential API vs Functional API model in Keras", the first model.

    >>> build_sequential().output_shape
    (None, 10)
    """
    first, second = _two_widths(hidden_units)
    return keras.Sequential(
        [
            keras.Input((28, 28), name="image"),
            layers.Flatten(name="flatten"),
            layers.Dense(first, activation="relu", name="hidden_1"),
            layers.Dense(second, activation="relu", name="hidden_2"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="sequential",
    )


def build_wide_deep(hidden_units: tuple[int, int] = (2**14, 512)) -> keras.Model:
    """Build the first article's wide and deep model: a deep path, and a bypass around it.

    Takes images of shape (28, 28), float32 in [0, 1], and returns ten probabilities. The image goes through three
    hidden layers, two of ``hidden_units`` and one of 784, to be reshaped into an image, and, unchanged, past them; both
    meet in the layer ``bypass``. Has 21,668,442 parameters. Follows "Sequential API vs Functional API model in Keras",
    the second model; the idea is from Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016).

    >>> build_wide_deep(hidden_units=(64, 32)).get_layer("bypass").output.shape
    (None, 28, 56)
    """
    first, second = _two_widths(hidden_units)
    inputs = keras.Input((28, 28), name="image")
    x = layers.Flatten(name="flatten")(inputs)
    x = layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = layers.Dense(second, activation="relu", name="hidden_2")(x)
    x = layers.Dense(784, activation="relu", name="hidden_3")(x)
    x = layers.Reshape((28, 28), name="reshape")(x)
    x = layers.Concatenate(name="bypass")([inputs, x])
    x = layers.Flatten(name="flatten_both")(x)
    outputs = layers.Dense(10, activation="softmax", name="output")(x)
    return keras.Model(inputs, outputs, name="wide_deep")


def build_two_input_two_output(
    hidden_units: tuple[int, int] = (2**14, 512), branch_units: int = 512
) -> keras.Model:
    """Build the first article's model with two inputs and two outputs that share one deep path.

    Takes two images of shape (28, 28), float32 in [0, 1], named ``input_a`` and ``input_b``, and returns ten
    probabilities for each, named ``output_a`` and ``output_b``. The deep path, of ``hidden_units`` and 784, starts at
    ``input_a``; its result is joined with ``input_a`` for the first output and with ``input_b`` for the second, whose
    own hidden layer has ``branch_units``. Has 22,476,900 parameters. Follows "Sequential API vs Functional API model in
    Keras", the third model.

    >>> build_two_input_two_output(hidden_units=(64, 32), branch_units=16).output_names
    ['output_a', 'output_b']
    """
    first, second, branch = (
        *_two_widths(hidden_units),
        whole_number("branch_units", branch_units),
    )
    input_a = keras.Input((28, 28), name="input_a")
    input_b = keras.Input((28, 28), name="input_b")
    x = layers.Flatten(name="flatten")(input_a)
    x = layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = layers.Dense(second, activation="relu", name="hidden_2")(x)
    x = layers.Dense(784, activation="relu", name="hidden_3")(x)
    deep = layers.Reshape((28, 28), name="reshape")(x)

    a = layers.Concatenate(name="bypass_a")([input_a, deep])
    a = layers.Flatten(name="flatten_a")(a)
    output_a = layers.Dense(10, activation="softmax", name="output_a")(a)

    b = layers.Concatenate(name="bypass_b")([input_b, deep])
    b = layers.Flatten(name="flatten_b")(b)
    b = layers.Dense(branch, activation="relu", name="hidden_b")(b)
    output_b = layers.Dense(10, activation="softmax", name="output_b")(b)
    return keras.Model(
        [input_a, input_b], [output_a, output_b], name="two_input_two_output"
    )


def build_added_sequential(
    hidden_units: tuple[int, int] = (256, 128),
) -> keras.Sequential:
    """Build the second article's Sequential model: layers added one by one, activations as layers of their own.

    Takes flat vectors of 784 pixels, float32 in [0, 1], and returns ten probabilities: the network of
    ``build_sequential``, with its ``hidden_units``, written differently. Has 235,146 parameters. Follows "Keras Model
    Wars: Functional vs Sequential", with an ``Input`` first in place of ``input_dim``.

    >>> build_added_sequential().input_shape
    (None, 784)
    """
    first, second = _two_widths(hidden_units)
    model = keras.Sequential(name="added_sequential")
    model.add(keras.Input((784,), name="pixels"))
    model.add(layers.Dense(first, name="hidden_1"))
    model.add(layers.Activation("relu", name="relu_1"))
    model.add(layers.Dense(second, name="hidden_2"))
    model.add(layers.Activation("relu", name="relu_2"))
    model.add(layers.Dense(10, name="output"))
    model.add(layers.Activation("softmax", name="softmax"))
    return model


def build_functional_twin(hidden_units: tuple[int, int] = (256, 128)) -> keras.Model:
    """Build the network of ``build_sequential`` with the Functional API: one model, two ways to write it.

    Takes and returns what ``build_sequential`` does. With the same weights, its predictions are bit-identical. Follows
    "Keras Model Wars: Functional vs Sequential": whatever a Sequential model can express, a Functional one can.

    >>> build_functional_twin().set_weights(build_sequential().get_weights())
    """
    first, second = _two_widths(hidden_units)
    inputs = keras.Input((28, 28), name="image")
    x = layers.Flatten(name="flatten")(inputs)
    x = layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = layers.Dense(second, activation="relu", name="hidden_2")(x)
    outputs = layers.Dense(10, activation="softmax", name="output")(x)
    return keras.Model(inputs, outputs, name="functional_twin")


def build_shared_layers(hidden_units: tuple[int, int] = (256, 128)) -> keras.Model:
    """Build a model that tells whether two images show the same digit: two inputs, one shared stack of layers.

    Takes two images of shape (28, 28), float32 in [0, 1], named ``left`` and ``right``, and returns the probability
    that both show the same digit. Both go through the same layers of ``hidden_units``, so that both sides train them.
    Has 233,985 parameters. Follows "Keras Model Wars: Functional vs Sequential", its inputs "that share the same
    layers"; after Bromley et al., "Signature Verification using a Siamese Time Delay Neural Network" (1993).

    >>> build_shared_layers().input_shape
    [(None, 28, 28), (None, 28, 28)]
    """
    first, second = _two_widths(hidden_units)
    left = keras.Input((28, 28), name="left")
    right = keras.Input((28, 28), name="right")
    flatten = layers.Flatten(name="flatten")
    hidden_1 = layers.Dense(first, activation="relu", name="hidden_1")
    hidden_2 = layers.Dense(second, activation="relu", name="hidden_2")
    features_left = hidden_2(hidden_1(flatten(left)))
    features_right = hidden_2(hidden_1(flatten(right)))
    x = layers.Subtract(name="difference")([features_left, features_right])
    x = layers.Multiply(name="squared")([x, x])
    outputs = layers.Dense(1, activation="sigmoid", name="same")(x)
    return keras.Model([left, right], outputs, name="shared_layers")


def _two_widths(hidden_units: tuple[int, int]) -> tuple[int, ...]:
    if not isinstance(hidden_units, (tuple, list)) or len(hidden_units) != 2:
        received = (
            f"hidden_units={hidden_units!r}. To add a layer, add a line to the builder"
        )
        raise InputError(
            "`hidden_units` should be two whole numbers above zero, such as (256, 128)",
            received,
        )
    return tuple(
        whole_number("hidden_units", units, highest=2**16) for units in hidden_units
    )
