"""Is a run one of ours? Held by the distances of our other seeds, on the bundled sample and on the full MNIST.

With n seeds, a right run is the farthest of all with probability 1 / (n + 1). Few seeds make that coarse, so the large
models are held by a multiple of the farthest seed's distance, which both sides of it miss by far (printed with -s).
"""

import sys

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from keras_model_wars import article_log, how_typical, seed_histories, train
from keras_model_wars.article_logs import LOGGED_MODELS

sys.path.append(str(ROOT / "scripts"))
from versions import VERSIONS, Version, train_version  # noqa: E402

FARTHER_THAN_THE_FARTHEST = 1.5
VERSION = {version.name: version for version in VERSIONS}
WRONG_ON_THE_SAMPLE = (
    "learning rate 0.02",
    "batches of 64",
    "pixels not scaled",
    "shuffled labels",
    "untrained",
    "a deep path of 256 and 784 units",
    "no bypass",
)
WRONG_IN_FULL = [
    pytest.param("no bypass", 1, marks=pytest.mark.slow),
    ("a deep path of 256 and 784 units", 1),
    ("learning rate 0.02", 2),
    ("learning rate 0.013", 2),
    ("batches of 64", 2),
    ("pixels not scaled", 2),
    ("the last 5,000 digits as validation set", 2),
]


def relative_distance(run, seeds):
    """Return a run's distance as a multiple of the farthest seed's, and print both; a diverged run is infinitely far."""
    if not np.isfinite(run.history).all(axis=None):
        return np.inf
    typical = how_typical(run.history, seeds)
    print(
        f"distance {typical.distance:.2f}, farthest of {len(seeds)} seeds {max(typical.others):.2f}"
    )
    return typical.distance / max(typical.others)


def shuffled(mnist):
    (x_train, y_train), test = mnist
    return (x_train, np.random.default_rng(0).permutation(y_train)), test


@pytest.mark.parametrize(
    ("model", "epochs"),
    [("sequential", 10), ("wide_deep", 1), ("two_input_two_output", 1)],
)
def test_a_right_model_is_like_our_seeds_on_the_sample(model, epochs, sample):
    run = train(model, data=sample, epochs=epochs, verbose=False)
    assert relative_distance(run, seed_histories(model, sample=True)) < 1


@pytest.mark.parametrize("name", WRONG_ON_THE_SAMPLE)
def test_a_wrong_model_is_farther_than_all_our_seeds_on_the_sample(name, sample):
    version, epochs = (
        VERSION.get(name, Version(name, "sequential", 2)),
        1 if name == "no bypass" else 2,
    )
    data = shuffled(sample) if name == "shuffled labels" else sample
    if name == "untrained":
        version = version._replace(settings={"learning_rate": 1e-9})
    run = train_version(version, data=data, epochs=epochs)
    assert (
        relative_distance(run, seed_histories(version.model, sample=True))
        > FARTHER_THAN_THE_FARTHEST
    )


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_each_article_log_and_each_committed_history_is_like_our_seeds(model):
    seeds = seed_histories(model)
    committed = pd.read_csv(ROOT / "figures" / model / "history.csv", index_col="epoch")
    assert len(committed) == len(article_log(model))
    for history in (article_log(model), committed):
        assert how_typical(history, seeds).farther > 0


def test_sequential_in_full_is_like_our_seeds_and_ends_where_the_article_ends(
    full_mnist,
):
    run = train("sequential", data=full_mnist, verbose=False)
    assert how_typical(run.history, seed_histories("sequential")).farther > 0
    assert len(run.history) == 20
    assert run.history["val_accuracy"].iloc[-1] >= 0.974
    assert run.test_metrics["accuracy"] >= 0.970


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wide_deep", "two_input_two_output"])
def test_one_epoch_of_a_large_model_is_like_our_seeds(model, full_mnist):
    run = train(model, data=full_mnist, epochs=1, verbose=False)
    assert relative_distance(run, seed_histories(model)) < FARTHER_THAN_THE_FARTHEST


@pytest.mark.parametrize(("name", "epochs"), WRONG_IN_FULL)
def test_a_wrong_model_is_farther_than_all_our_seeds(name, epochs, full_mnist):
    run = train_version(VERSION[name], data=full_mnist, epochs=epochs)
    bound = 1 if VERSION[name].model == "sequential" else FARTHER_THAN_THE_FARTHEST
    assert relative_distance(run, seed_histories(VERSION[name].model)) > bound


def test_shared_layers_tell_pairs_apart_after_five_epochs(full_mnist):
    run = train("shared_layers", data=full_mnist, verbose=False)
    assert len(run.history) == 5
    assert run.test_metrics["accuracy"] >= 0.95


@pytest.mark.full
@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_a_new_run_of_all_epochs_is_like_our_seeds(model, full_mnist):
    assert (
        how_typical(
            train(model, data=full_mnist).history, seed_histories(model)
        ).farther
        > 0
    )
