"""The order of the images: depends on seed and epoch alone, each image once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_model_wars.shuffling import ReshuffledDataset, epoch_order


def test_epoch_order_depends_on_seed_and_epoch_alone():
    orders = [epoch_order(50, seed, epoch) for seed in range(3) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 6
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(epoch_order(50, seed=2, epoch=1), orders[-1])


class Recorder(keras.Model):
    """Record the batches that ``fit`` takes, instead of training."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def record(self, x, y):
        assert (y - x == 1000).all()
        self.batches.append(x.tolist())

    def train_step(self, batch):
        tf.numpy_function(self.record, batch, [])
        return {"loss": 0.0}


# Ten images in batches of three, of which an execution takes one, or all and more.
@pytest.mark.parametrize("steps", [1, 3, 64])
@pytest.mark.parametrize("initial_epoch", [0, 2])
def test_fit_sees_every_image_once_per_epoch_also_when_resumed(steps, initial_epoch):
    images = np.arange(10)
    reshuffled = ReshuffledDataset(images, images + 1000, batch_size=3, seed=5)
    model = Recorder()
    model.compile(steps_per_execution=steps)
    model.fit(
        reshuffled.dataset,
        epochs=3,
        initial_epoch=initial_epoch,
        shuffle=False,
        callbacks=[reshuffled],
        verbose=0,
    )
    orders = [epoch_order(10, 5, epoch).tolist() for epoch in range(initial_epoch, 3)]
    expected = [order[start : start + 3] for order in orders for start in (0, 3, 6, 9)]
    assert model.batches == expected


def test_several_inputs_and_outputs_are_shuffled_together():
    images = np.arange(10)
    x = {"input_a": images, "input_b": images + 100}
    y = {"output_a": images + 200}
    reshuffled = ReshuffledDataset(x, y, batch_size=10, seed=0)
    (batch,) = reshuffled.dataset.as_numpy_iterator()
    order = epoch_order(10, seed=0, epoch=0)
    expected_x = {"input_a": order, "input_b": order + 100}
    np.testing.assert_equal(batch, (expected_x, {"output_a": order + 200}))


def steps_of(batches):
    images = np.arange(batches)
    return ReshuffledDataset(images, images, batch_size=1, seed=0).steps_per_execution


@pytest.mark.parametrize(("batches", "steps"), [(64, 64), (65, 33), (141, 47)])
def test_executions_have_nearly_one_size_of_about_64(batches, steps):
    assert steps_of(batches) == steps


def test_several_replicas_and_pytorch_run_one_batch_at_a_time(monkeypatch):
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert steps_of(100) == 1
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    assert steps_of(100) == 1
