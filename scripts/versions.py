"""Wrong and other versions of the article's models: what the comparison with our seeds should tell apart, and what it can't."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_model_wars import EXPERIMENTS, Run, scale_pixels, train
from keras_model_wars.mnist import Mnist
from keras_model_wars.splits import Splits, prepare_digits


class Version(NamedTuple):
    """A model of the article's with something changed: ``settings`` of ``train``, its builder, or its preparation."""

    name: str
    model: str
    epochs: int
    settings: dict[str, Any] = {}
    build: Callable[[], keras.Model] | None = None
    prepare: Callable[[Mnist], Splits] | None = None


def build_without_bypass() -> keras.Model:
    """Build the wide and deep model without its bypass."""
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    x = layers.Dense(2**14, activation="relu")(x)
    x = layers.Dense(512, activation="relu")(x)
    x = layers.Dense(784, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def build_shallow() -> keras.Model:
    """Build the wide and deep model with a deep path of 256 and 784 units."""
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dense(784, activation="relu")(x)
    x = layers.Reshape((28, 28))(x)
    x = layers.Concatenate()([inputs, x])
    return keras.Model(
        inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    )


def prepare_last(mnist: Mnist) -> Splits:
    """Prepare MNIST with the last digits as validation set."""
    (x_train, y_train), (x_test, y_test) = mnist
    x, size = scale_pixels(x_train), len(x_train) // 12
    return Splits(
        (x[:-size], y_train[:-size]),
        (x[-size:], y_train[-size:]),
        (scale_pixels(x_test), y_test),
    )


def prepare_unscaled(mnist: Mnist) -> Splits:
    """Prepare MNIST with pixels from 0 to 255."""
    return Splits(*((x * np.float32(255), y) for x, y in prepare_digits(mnist)))


VERSIONS = (
    Version("no bypass", "wide_deep", 2, build=build_without_bypass),
    Version("a deep path of 256 and 784 units", "wide_deep", 10, build=build_shallow),
    Version("learning rate 0.02", "sequential", 20, {"learning_rate": 0.02}),
    Version("learning rate 0.013", "sequential", 20, {"learning_rate": 0.013}),
    Version("batches of 64", "sequential", 20, {"batch_size": 64}),
    Version(
        "the last 5,000 digits as validation set",
        "sequential",
        20,
        prepare=prepare_last,
    ),
    Version("pixels not scaled", "sequential", 20, prepare=prepare_unscaled),
    Version(
        "hidden layers of 300 and 100 units",
        "sequential",
        20,
        {"hidden_units": (300, 100)},
    ),
    Version("a branch of 784 units", "two_input_two_output", 2, {"branch_units": 784}),
)


def train_version(version: Version, **settings: Any) -> Run:
    """Train a version as ``train`` does its model; ``settings`` are those of ``train``."""
    experiment = EXPERIMENTS[version.model]
    changed = dataclasses.replace(
        experiment,
        builder=version.build or experiment.builder,
        prepare=version.prepare or experiment.prepare,
        epochs=version.epochs,
    )
    return train(changed, **({"verbose": False} | version.settings | settings))
