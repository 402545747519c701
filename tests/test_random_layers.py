"""Models with random layers: every epoch has masks of its own, and a run resumes bit for bit."""

import keras
import numpy as np
import pytest

from conftest import assert_same_run
from keras_model_wars import Experiment, train
from keras_model_wars.runs import RunRecord
from keras_model_wars.shuffling import ReshuffledDataset


def random_layers():
    return [
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.RandomRotation(0.1),
        keras.layers.Flatten(),
        keras.layers.GaussianNoise(0.1),
        keras.layers.Dense(8, "relu"),
        keras.layers.Dropout(0.5),
    ]


def build_noisy(nested=False):
    stack = [keras.Input((28, 28)), *random_layers()]
    parts = [keras.Sequential(stack)] if nested else stack
    return keras.Sequential([*parts, keras.layers.Dense(10, "softmax")])


class Killed(BaseException):
    """End a training at once, as a kill does: nothing is written after it."""


def train_noisy(data, folder, nested, **settings):
    experiment = Experiment("noisy", "Noisy", build_noisy, epochs=3, batch_size=4)
    return train(
        experiment, data=data, out=folder, nested=nested, verbose=False, **settings
    )


# A kill at the start of the second epoch, and one within it.
@pytest.mark.parametrize("first_batch", [0, 1])
@pytest.mark.parametrize("nested", [False, True])
def test_a_killed_run_ends_after_resume_as_one_that_was_not(
    first_batch, nested, few_digits, tmp_path, monkeypatch
):
    whole = train_noisy(few_digits, tmp_path / "whole", nested)

    def kill(self, batch, logs=None):
        if len(self.history) == 1 and batch >= first_batch:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RunRecord, "on_train_batch_begin", kill)
        with pytest.raises(Killed):
            train_noisy(few_digits, tmp_path / "killed", nested)
    resumed = train_noisy(few_digits, tmp_path / "killed", nested, resume=True)
    assert_same_run(resumed, whole)


def test_every_epoch_draws_masks_of_its_own(few_digits):
    (x_train, y_train), _ = few_digits
    model = build_noisy(nested=True)
    feeding = ReshuffledDataset(x_train, y_train, batch_size=32, seed=0)
    feeding.set_model(model)
    drawn = []
    for epoch in (0, 1, 0):
        feeding.on_epoch_begin(epoch)
        drawn.append(np.asarray(model(np.ones((1, 28, 28)), training=True)))
    assert not np.array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
