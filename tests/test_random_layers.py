"""Models with random layers: every epoch has masks of its own, and a run resumes bit for bit."""

import keras
import numpy as np
import pytest
from keras import layers

from conftest import assert_same_run
from keras_model_wars import Experiment, train
from keras_model_wars.runs import RunRecord
from keras_model_wars.shuffling import ReshuffledDataset


def build_noisy():
    nested = [
        keras.Input((28, 28)),
        layers.Reshape((28, 28, 1)),
        layers.RandomRotation(0.1),
        layers.Flatten(),
        layers.GaussianNoise(0.1),
    ]
    return keras.Sequential(
        [
            keras.Sequential(nested),
            layers.Dense(8, "relu"),
            layers.Dropout(0.5),
            layers.Dense(10, "softmax"),
        ]
    )


def test_a_killed_run_ends_after_resume_as_one_that_was_not(
    few_digits, tmp_path, monkeypatch
):
    noisy = Experiment("noisy", "Noisy", build_noisy, epochs=2, batch_size=4)
    settings = {"data": few_digits, "verbose": False}
    whole = train(noisy, out=tmp_path / "whole", **settings)

    def kill(self, batch, logs=None):
        if len(self.history) == 1 and batch > 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_begin", kill)
        with pytest.raises(KeyboardInterrupt):
            train(noisy, out=tmp_path / "killed", **settings)
    resumed = train(noisy, out=tmp_path / "killed", resume=True, **settings)
    assert_same_run(resumed, whole)


def test_every_epoch_draws_masks_of_its_own(few_digits):
    (x_train, y_train), _ = few_digits
    model = build_noisy()
    feeding = ReshuffledDataset(x_train, y_train, batch_size=32, seed=0)
    feeding.set_model(model)
    drawn = []
    for epoch in (0, 1, 0):
        feeding.on_epoch_begin(epoch)
        drawn.append(np.asarray(model(np.ones((1, 28, 28)), training=True)))
    assert not np.array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
