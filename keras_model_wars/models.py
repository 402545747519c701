"""Build the models: one builder per model, read from top to bottom like its diagram.

The builders compile nothing. Their bodies are plain Keras, to be copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    import keras
else:
    # `import keras`, put off until a model is built: it takes seconds, and nobody who
    # only lists the models should wait for it.
    keras = lazy_loader.load("keras")


def build_sequential(hidden_units: tuple[int, int] = (256, 128)) -> keras.Sequential:
    """Build the first article's Sequential model: a plain stack of layers.

    Takes images of shape (28, 28), float32 in [0, 1], and returns ten probabilities,
    one per class. ``hidden_units`` are the widths of the two hidden layers. Has 235,146
    parameters. Follows "Sequential API vs Functional API model in Keras", the first
    model.

    >>> kmw.build_sequential().output_shape
    (None, 10)
    """
    first, second = hidden_units
    return keras.Sequential(
        [
            keras.Input((28, 28), name="image"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(first, activation="relu", name="hidden_1"),
            keras.layers.Dense(second, activation="relu", name="hidden_2"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ],
        name="sequential",
    )


def build_wide_deep(hidden_units: tuple[int, int] = (2**14, 512)) -> keras.Model:
    """Build the first article's wide and deep model: a deep path, and a bypass.

    Takes images of shape (28, 28), float32 in [0, 1], and returns ten probabilities.
    The image goes through three hidden layers, two of ``hidden_units`` and one of 784
    that is reshaped into an image, and also past them, unchanged; both meet in the
    layer ``bypass``. Has 21,668,442 parameters. Follows "Sequential API vs Functional
    API model in Keras", the second model; the idea is from Cheng et al., "Wide & Deep
    Learning for Recommender Systems" (2016).

    >>> kmw.build_wide_deep(hidden_units=(64, 32)).get_layer("bypass").output.shape
    (None, 28, 56)
    """
    first, second = hidden_units
    inputs = keras.Input((28, 28), name="image")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = keras.layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = keras.layers.Dense(second, activation="relu", name="hidden_2")(x)
    x = keras.layers.Dense(784, activation="relu", name="hidden_3")(x)
    x = keras.layers.Reshape((28, 28), name="reshape")(x)
    x = keras.layers.Concatenate(name="bypass")([inputs, x])
    x = keras.layers.Flatten(name="flatten_both")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="output")(x)
    return keras.Model(inputs, outputs, name="wide_deep")


def build_two_input_two_output(
    hidden_units: tuple[int, int] = (2**14, 512), branch_units: int = 512
) -> keras.Model:
    """Build the first article's model: two inputs and two outputs share a deep path.

    Takes two images of shape (28, 28), float32 in [0, 1], named ``input_a`` and
    ``input_b``, and returns ten probabilities for each, named ``output_a`` and
    ``output_b``. The deep path, of ``hidden_units`` and 784, starts at ``input_a``. Its
    result is joined with ``input_a`` for the first output and with ``input_b`` for the
    second, whose own hidden layer has ``branch_units``. Has 22,476,900 parameters.
    Follows "Sequential API vs Functional API model in Keras", the third model.

    >>> model = kmw.build_two_input_two_output(hidden_units=(64, 32), branch_units=16)
    >>> model.output_shape
    [(None, 10), (None, 10)]
    """
    first, second = hidden_units
    input_a = keras.Input((28, 28), name="input_a")
    input_b = keras.Input((28, 28), name="input_b")
    x = keras.layers.Flatten(name="flatten")(input_a)
    x = keras.layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = keras.layers.Dense(second, activation="relu", name="hidden_2")(x)
    x = keras.layers.Dense(784, activation="relu", name="hidden_3")(x)
    deep = keras.layers.Reshape((28, 28), name="reshape")(x)

    a = keras.layers.Concatenate(name="bypass_a")([input_a, deep])
    a = keras.layers.Flatten(name="flatten_a")(a)
    output_a = keras.layers.Dense(10, activation="softmax", name="output_a")(a)

    b = keras.layers.Concatenate(name="bypass_b")([input_b, deep])
    b = keras.layers.Flatten(name="flatten_b")(b)
    b = keras.layers.Dense(branch_units, activation="relu", name="hidden_b")(b)
    output_b = keras.layers.Dense(10, activation="softmax", name="output_b")(b)
    return keras.Model(
        [input_a, input_b], [output_a, output_b], name="two_input_two_output"
    )


def build_added_sequential(
    hidden_units: tuple[int, int] = (256, 128),
) -> keras.Sequential:
    """Build the second article's Sequential model: layers added one by one.

    Takes flat vectors of 784 pixels, float32 in [0, 1], and returns ten probabilities:
    the network of ``build_sequential``, with its ``hidden_units``, and its activations
    as layers of their own. Has 235,146 parameters. Follows "Keras Model Wars:
    Functional vs Sequential", with an ``Input`` first in place of ``input_dim``.

    >>> kmw.build_added_sequential().input_shape
    (None, 784)
    """
    first, second = hidden_units
    model = keras.Sequential(name="added_sequential")
    model.add(keras.Input((784,), name="pixels"))
    model.add(keras.layers.Dense(first, name="hidden_1"))
    model.add(keras.layers.Activation("relu", name="relu_1"))
    model.add(keras.layers.Dense(second, name="hidden_2"))
    model.add(keras.layers.Activation("relu", name="relu_2"))
    model.add(keras.layers.Dense(10, name="output"))
    model.add(keras.layers.Activation("softmax", name="softmax"))
    return model


def build_functional_twin(hidden_units: tuple[int, int] = (256, 128)) -> keras.Model:
    """Build the network of ``build_sequential`` with the Functional API.

    Takes and returns what ``build_sequential`` does. With the same weights, its
    predictions are bit-identical. Follows "Keras Model Wars: Functional vs Sequential":
    a Functional model can express whatever a Sequential one can.

    >>> twin = kmw.build_functional_twin()
    >>> twin.set_weights(kmw.build_sequential().get_weights())
    """
    first, second = hidden_units
    inputs = keras.Input((28, 28), name="image")
    x = keras.layers.Flatten(name="flatten")(inputs)
    x = keras.layers.Dense(first, activation="relu", name="hidden_1")(x)
    x = keras.layers.Dense(second, activation="relu", name="hidden_2")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="output")(x)
    return keras.Model(inputs, outputs, name="functional_twin")


def build_shared_layers(hidden_units: tuple[int, int] = (256, 128)) -> keras.Model:
    """Build a model that tells whether two images show the same digit.

    Takes two images of shape (28, 28), float32 in [0, 1], named ``left`` and ``right``,
    and returns the probability that both show the same digit. Both go through the same
    layers of ``hidden_units``, so both inputs train them. Has 233,985 parameters.
    Follows "Keras Model Wars: Functional vs Sequential", its inputs "that share the
    same layers"; after Bromley et al., "Signature Verification using a Siamese Time
    Delay Neural Network" (1993).

    >>> kmw.build_shared_layers().input_shape
    [(None, 28, 28), (None, 28, 28)]
    """
    first, second = hidden_units
    left = keras.Input((28, 28), name="left")
    right = keras.Input((28, 28), name="right")
    flatten = keras.layers.Flatten(name="flatten")
    hidden_1 = keras.layers.Dense(first, activation="relu", name="hidden_1")
    hidden_2 = keras.layers.Dense(second, activation="relu", name="hidden_2")
    features_left = hidden_2(hidden_1(flatten(left)))
    features_right = hidden_2(hidden_1(flatten(right)))
    x = keras.layers.Subtract(name="difference")([features_left, features_right])
    x = keras.layers.Multiply(name="squared")([x, x])
    outputs = keras.layers.Dense(1, activation="sigmoid", name="same")(x)
    return keras.Model([left, right], outputs, name="shared_layers")
