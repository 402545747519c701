"""Is a run one of ours? Tested by its distance from our seeds, on sample and full MNIST.

With n seeds, a correct run is the farthest of all with probability 1 / (n + 1). Few seeds
make that coarse, so the large models must stay below a multiple of the farthest seed's
distance, which correct and wrong models miss by far (printed with -s).
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

FAR = 1.5
VERSION = {version.name: version for version in VERSIONS}


def relative_distance(run, seeds):
    """Return a run's distance as a multiple of the farthest seed's, and print both."""
    if not np.isfinite(run.history).all(axis=None):
        return np.inf
    typical = how_typical(run.history, seeds)
    farthest = max(typical.others)
    print(f"distance {typical.distance:.2f}, farthest seed {farthest:.2f}")
    return typical.distance / farthest


@pytest.mark.parametrize(
    ("model", "epochs"),
    [("sequential", 10), ("wide_deep", 1), ("two_input_two_output", 1)],
)
def test_a_correct_model_is_like_our_seeds_on_the_sample(model, epochs, sample):
    run = train(model, data=sample, epochs=epochs, verbose=False)
    assert relative_distance(run, seed_histories(model, sample=True)) < 1


def assert_far_on_the_sample(version, data, epochs=2):
    run = train_version(version, data=data, epochs=epochs)
    assert relative_distance(run, seed_histories(version.model, sample=True)) > FAR


@pytest.mark.parametrize(
    ("name", "epochs"),
    [
        ("learning rate 0.02", 2),
        ("batches of 64", 2),
        ("pixels not scaled", 2),
        ("a deep path of 256 and 784 units", 2),
        ("no bypass", 1),
    ],
)
def test_a_wrong_model_is_farther_than_our_seeds_on_the_sample(name, epochs, sample):
    assert_far_on_the_sample(VERSION[name], sample, epochs)


def test_shuffled_labels_are_farther_than_our_seeds(sample):
    (x_train, y_train), test = sample
    shuffled = np.random.default_rng(0).permutation(y_train)
    version = Version("shuffled labels", "sequential", 2)
    assert_far_on_the_sample(version, ((x_train, shuffled), test))


def test_an_untrained_model_is_farther_than_our_seeds(sample):
    version = Version("untrained", "sequential", 2)
    version = version._replace(settings={"learning_rate": 1e-9})
    assert_far_on_the_sample(version, sample)


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_article_log_and_committed_history_are_like_our_seeds(model):
    seeds = seed_histories(model)
    log = article_log(model)
    committed = pd.read_csv(ROOT / "figures" / model / "history.csv", index_col="epoch")
    assert len(committed) == len(log)
    assert how_typical(log, seeds).farther > 0
    assert how_typical(committed, seeds).farther > 0


def test_sequential_ends_where_the_article_ends(full_mnist):
    run = train("sequential", data=full_mnist, verbose=False)
    assert how_typical(run.history, seed_histories("sequential")).farther > 0
    assert len(run.history) == 20
    assert run.history["val_accuracy"].iloc[-1] >= 0.974
    assert run.test_metrics["accuracy"] >= 0.970


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wide_deep", "two_input_two_output"])
def test_one_epoch_of_a_large_model_is_like_our_seeds(model, full_mnist):
    run = train(model, data=full_mnist, epochs=1, verbose=False)
    assert relative_distance(run, seed_histories(model)) < FAR


@pytest.mark.parametrize(
    ("name", "epochs", "bound"),
    [
        pytest.param("no bypass", 1, FAR, marks=pytest.mark.slow),
        ("a deep path of 256 and 784 units", 1, FAR),
        ("learning rate 0.02", 2, 1),
        ("learning rate 0.013", 2, 1),
        ("batches of 64", 2, 1),
        ("pixels not scaled", 2, 1),
        ("the last 5,000 digits as validation set", 2, 1),
    ],
)
def test_a_wrong_model_is_farther_than_all_our_seeds(name, epochs, bound, full_mnist):
    run = train_version(VERSION[name], data=full_mnist, epochs=epochs)
    assert relative_distance(run, seed_histories(VERSION[name].model)) > bound


def test_shared_layers_tell_pairs_apart_after_five_epochs(full_mnist):
    run = train("shared_layers", data=full_mnist, verbose=False)
    assert len(run.history) == 5
    assert run.test_metrics["accuracy"] >= 0.95


@pytest.mark.full
@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_a_new_run_of_all_epochs_is_like_our_seeds(model, full_mnist):
    run = train(model, data=full_mnist)
    assert how_typical(run.history, seed_histories(model)).farther > 0
