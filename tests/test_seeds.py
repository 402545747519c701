"""Is a run one of ours? Tested by its distance from our seeds.

With n seeds, a correct run is the farthest of all with probability 1 / (n + 1). Few
seeds make that coarse, so a wrong model must be farther than any by half.
"""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from conftest import ROOT
from keras_model_wars import (
    EXPERIMENTS,
    Splits,
    how_typical,
    prepare_digits,
    seed_histories,
    train,
)
from keras_model_wars.article_logs import LOGGED_MODELS

SEQUENTIAL = EXPERIMENTS["sequential"]


def build_shallow():
    """Build the wide and deep model with a deep path of 256 and 784 units."""
    inputs = keras.Input((28, 28))
    x = layers.Flatten()(inputs)
    x = layers.Dense(256, activation="relu")(x)
    x = layers.Dense(784, activation="relu")(x)
    x = layers.Concatenate()([inputs, layers.Reshape((28, 28))(x)])
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def prepare_unscaled(mnist):
    return Splits(*((x * np.float32(255), y) for x, y in prepare_digits(mnist)))


SHALLOW = replace(EXPERIMENTS["wide_deep"], builder=build_shallow)
UNSCALED = replace(SEQUENTIAL, prepare=prepare_unscaled)


def relative_distance(experiment, data, sample, **settings):
    """Return a run's distance as a multiple of the farthest seed's."""
    run = train(experiment, data=data, verbose=False, **settings)
    seeds = seed_histories(experiment.name, sample=sample)
    typical = how_typical(run.history, seeds)
    return typical.distance / max(typical.others)


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_committed_history_is_like_our_seeds(model):
    history = pd.read_csv(ROOT / "figures" / model / "history.csv")

    assert how_typical(history, seed_histories(model)).farther > 0


@pytest.mark.parametrize(
    "model",
    ["sequential", pytest.param("two_input_two_output", marks=pytest.mark.slow)],
)
def test_a_correct_model_is_like_our_seeds_on_the_sample(model, sample):
    assert relative_distance(EXPERIMENTS[model], sample, True, epochs=2) < 1


@pytest.mark.parametrize(
    ("experiment", "settings"),
    [
        (SEQUENTIAL, {"learning_rate": 0.02}),
        (SEQUENTIAL, {"batch_size": 64}),
        (UNSCALED, {}),
        (SHALLOW, {}),
    ],
)
def test_a_wrong_model_is_farther_than_our_seeds_on_the_sample(
    experiment, settings, sample
):
    assert relative_distance(experiment, sample, True, epochs=2, **settings) > 1.5


@pytest.mark.full
@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_a_new_run_of_all_epochs_is_like_our_seeds(model, full_mnist):
    assert relative_distance(EXPERIMENTS[model], full_mnist, False) < 1
