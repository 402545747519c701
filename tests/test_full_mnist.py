"""Our runs against the article's logs, on the full MNIST.

The band is that of `compare_with_article`: 10 % of a loss and 0.03 of an accuracy in the first epoch, 8 % and 0.015 in the
second, 6 % and 0.010 from the third on.

It is not vacuous: each of the wrong models below falls out of it, within two epochs. Nor is it lucky: of the Sequential model's seeds 0
to 9 six stay within it over all 20 epochs, seed 0 among them (0, 3, 5, 6, 7, 8); the other four leave it by val_loss alone, which swings
from epoch to epoch, by at most 7.0 % where 6 % is allowed. Three of the six are run again with -m slow.
"""

import dataclasses
from pathlib import Path

import keras
import pandas as pd
import pytest
from keras import layers

from keras_model_wars import article_log, compare_with_article, data, experiments, models, train
from keras_model_wars.article import LOGGED_MODELS


def outside(run, model):
    return compare_with_article(run.history, model).query("not within")


def train_two_epochs(model, full_mnist, tmp_path, **keywords):
    return train(model, data=full_mnist, epochs=2, out=tmp_path, verbose=False, **keywords)


def test_sequential_in_full_stays_within_the_band_and_ends_where_the_article_ends(full_mnist, tmp_path):
    run = train("sequential", data=full_mnist, out=tmp_path, verbose=False)
    assert outside(run, "sequential").empty
    last = run.history.iloc[-1]
    assert len(run.history) == 20
    assert last["val_accuracy"] >= 0.974
    assert run.test_metrics["accuracy"] >= 0.970
    assert last["accuracy"] == pytest.approx(0.9858, abs=0.005)
    assert last["val_accuracy"] == pytest.approx(0.9782, abs=0.005)
    assert (tmp_path / "article_comparison.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 5, 6])
def test_sequential_in_full_stays_within_the_band_with_other_seeds(seed, full_mnist, tmp_path):
    assert outside(train("sequential", data=full_mnist, seed=seed, out=tmp_path, verbose=False), "sequential").empty


@pytest.mark.parametrize("model", ["wide_deep", "two_input_two_output"])
def test_two_epochs_of_the_large_models_stay_within_the_band(model, full_mnist, tmp_path):
    assert outside(train_two_epochs(model, full_mnist, tmp_path), model).empty


def test_a_learning_rate_of_0_02_falls_out_of_the_band(full_mnist, tmp_path):
    run = train_two_epochs("sequential", full_mnist, tmp_path, learning_rate=0.02)
    assert {"loss", "val_loss"} <= set(outside(run, "sequential")["metric"])


def test_batches_of_64_fall_out_of_the_band(full_mnist, tmp_path):
    run = train_two_epochs("sequential", full_mnist, tmp_path, batch_size=64)
    assert {"loss", "val_loss"} <= set(outside(run, "sequential")["metric"])


def test_the_last_5000_as_validation_set_fall_out_of_the_band(full_mnist, tmp_path, monkeypatch):
    def validate_on_the_last(mnist):
        (x_train, y_train), (x_test, y_test) = mnist
        x, count = data.scale_pixels(x_train), len(x_train) - 5000
        return data.Splits(
            (x[:count], y_train[:count]), (x[count:], y_train[count:]), (data.scale_pixels(x_test), y_test)
        )

    wrong_experiment(monkeypatch, "sequential", prepare=validate_on_the_last)
    run = train_two_epochs("sequential", full_mnist, tmp_path)
    assert {"val_loss"} <= set(outside(run, "sequential")["metric"])


def test_pixels_that_are_not_scaled_fall_out_of_the_band(full_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "scale_pixels", lambda x: x.astype("float32"))
    run = train_two_epochs("sequential", full_mnist, tmp_path)
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(outside(run, "sequential")["metric"])


def test_a_deep_path_of_256_and_784_falls_out_of_the_band(full_mnist, tmp_path, monkeypatch):
    def build_shallow():
        inputs = keras.Input((28, 28))
        x = layers.Flatten()(inputs)
        x = layers.Dense(256, activation="relu")(x)
        x = layers.Dense(784, activation="relu")(x)
        x = layers.Concatenate()([inputs, layers.Reshape((28, 28))(x)])
        return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))

    monkeypatch.setattr(models, "build_wide_deep", build_shallow)
    run = train_two_epochs("wide_deep", full_mnist, tmp_path)
    assert {"loss", "val_loss"} <= set(outside(run, "wide_deep")["metric"])


@pytest.mark.slow
def test_no_bypass_falls_out_of_the_band(full_mnist, tmp_path, monkeypatch):
    def build_without_bypass():
        inputs = keras.Input((28, 28))
        x = layers.Flatten()(inputs)
        x = layers.Dense(2**14, activation="relu")(x)
        x = layers.Dense(512, activation="relu")(x)
        x = layers.Dense(784, activation="relu")(x)
        return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))

    monkeypatch.setattr(models, "build_wide_deep", build_without_bypass)
    run = train_two_epochs("wide_deep", full_mnist, tmp_path)
    assert not outside(run, "wide_deep").empty


def follows_the_article(history, model):
    """Over all epochs: whatever averages over an epoch or counts digits in the band, and validation losses on the mean."""
    comparison = compare_with_article(history, model)
    swings = comparison["metric"].str.match("val_.*loss")
    shares = (comparison["difference"] / comparison["article"]).abs()[swings].groupby(comparison["metric"]).mean()
    return comparison[~swings]["within"].all() and (shares < 0.06).all()


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_the_committed_histories_follow_the_article_over_all_epochs(model):
    history = pd.read_csv(Path(__file__).parents[1] / "figures" / model / "history.csv", index_col="epoch")
    assert len(history) == len(article_log(model))
    assert follows_the_article(history, model)


@pytest.mark.full
@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_a_new_run_follows_the_article_over_all_epochs(model, full_mnist, tmp_path):
    assert follows_the_article(train(model, data=full_mnist, out=tmp_path).history, model)


def wrong_experiment(monkeypatch, name, **changes):
    wrong = dataclasses.replace(experiments.EXPERIMENTS[name], **changes)
    monkeypatch.setitem(experiments.EXPERIMENTS, name, wrong)
