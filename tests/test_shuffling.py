"""The order of the images: depends on seed and epoch alone, each image once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_model_wars.shuffling import ReshuffledDataset, epoch_order


def test_epoch_order_takes_every_image_once_in_an_order_of_its_own():
    orders = [epoch_order(50, seed, epoch) for seed in range(5) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(50))
    assert len({tuple(order) for order in orders}) == 10


def test_epoch_order_depends_on_seed_and_epoch_alone():
    first = epoch_order(50, seed=7, epoch=3)
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(epoch_order(50, seed=7, epoch=3), first)


class Recorder(keras.Model):
    """Record the batches that ``fit`` takes, instead of training."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def record(self, x, y):
        assert (y - x == 1000).all()
        self.epochs[-1].append(x.tolist())

    def train_step(self, batch):
        tf.numpy_function(self.record, batch, [])
        return {"loss": 0.0}


def batches_of_fit(count, batch_size, steps, **epochs):
    images = np.arange(count)
    order = ReshuffledDataset(images, images + 1000, batch_size=batch_size, seed=5)
    model = Recorder()
    new_epoch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: model.epochs.append([])
    )
    model.compile(steps_per_execution=steps)
    callbacks = [order, new_epoch]
    model.fit(order.dataset, shuffle=False, callbacks=callbacks, verbose=0, **epochs)
    return model.epochs


# Batches that divide the images or not, executions that divide the batches or not.
COUNTS = [(12, 3, 1), (10, 3, 3), (10, 3, 64), (137, 2, 35), (5, 32, 4), (1, 1, 1)]


@pytest.mark.parametrize(("count", "batch_size", "steps"), COUNTS)
def test_fit_sees_every_image_once_per_epoch_in_its_order(count, batch_size, steps):
    seen = batches_of_fit(count, batch_size, steps, epochs=3)
    for epoch, batches in enumerate(seen):
        order = epoch_order(count, 5, epoch).tolist()
        starts = range(0, count, batch_size)
        assert batches == [order[start : start + batch_size] for start in starts]
    assert len(seen) == 3


def test_a_resumed_fit_sees_what_it_would_have_seen():
    whole = batches_of_fit(10, 3, 2, epochs=3)
    assert batches_of_fit(10, 3, 2, epochs=3, initial_epoch=2) == whole[2:]


def test_several_inputs_and_outputs_are_shuffled_together():
    images = np.arange(10)
    x = {"input_a": images, "input_b": images + 100}
    y = {"output_a": images + 200, "output_b": images + 300}
    reshuffled = ReshuffledDataset(x, y, batch_size=4, seed=0)
    seen_x, seen_y = zip(*reshuffled.dataset)
    order = epoch_order(10, 0, 0)
    for name, first in (("input_a", 0), ("input_b", 100)):
        seen = np.concatenate([batch[name] for batch in seen_x])
        np.testing.assert_array_equal(seen, order + first)
    for name, first in (("output_a", 200), ("output_b", 300)):
        seen = np.concatenate([batch[name] for batch in seen_y])
        np.testing.assert_array_equal(seen, order + first)


@pytest.mark.parametrize(("batches", "steps"), [(1, 1), (64, 64), (65, 33), (141, 47)])
def test_executions_have_nearly_one_size_of_about_64(batches, steps):
    images = np.arange(batches)
    order = ReshuffledDataset(images, images, batch_size=1, seed=0)
    assert order.steps_per_execution == steps


def test_the_pytorch_backend_runs_one_batch_at_a_time(monkeypatch):
    images = np.arange(100)
    order = ReshuffledDataset(images, images, batch_size=1, seed=0)
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    assert order.steps_per_execution == 1
