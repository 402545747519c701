"""The order of the training digits: another one each epoch, and the same one again for the same seed."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which epoch ``epoch`` (from 0) takes the digits 0 to ``count`` - 1.

    It depends on the seed and the epoch alone, so a resumed training goes on with the order that it would have had.

    >>> sorted(epoch_order(3, seed=0, epoch=1).tolist())
    [0, 1, 2]
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


class ReshuffledDataset(keras.callbacks.Callback):
    """Feed ``fit`` with whole arrays in the order of ``epoch_order``, exactly once an epoch.

    ``fit`` on arrays has no such order: with a global seed on the TensorFlow backend it takes the digits in the same
    order in every epoch (tensorflow issue 35682), without a seed nothing can be repeated. Pass ``dataset`` to ``fit``
    as ``x`` and the object itself as a callback, which tells the dataset the epoch.

    ``x`` and ``y`` are arrays, or dicts of arrays, of one length.
    """

    def __init__(self, x: Any, y: Any, *, batch_size: int, seed: int):
        super().__init__()
        # Held once; every batch is gathered from here.
        arrays = keras.tree.map_structure(tf.convert_to_tensor, (x, y))
        self._count, self._seed = len(keras.tree.flatten(y)[0]), seed
        self.batches = -(-self._count // batch_size)
        # A variable, because a Python generator within the input costs time; see benchmarks/README.md.
        with tf.device("CPU:0"):  # where tf.data reads it, also where a graphics card trains
            self._order = order = tf.Variable(epoch_order(self._count, seed, epoch=0), trainable=False)
        # A batch is ready long before its turn; tuning that, and more threads for it, only take the cores from the training.
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        self.dataset = (
            tf.data.Dataset.from_tensors(0)
            .flat_map(lambda _: tf.data.Dataset.from_tensor_slices(order.read_value()).batch(batch_size))
            .map(lambda digits: tf.nest.map_structure(lambda array: tf.gather(array, digits), arrays))
            .apply(tf.data.experimental.assert_cardinality(self.batches))
            .prefetch(16)
            .with_options(options)
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Tell the dataset the order of this epoch."""
        self._order.assign(epoch_order(self._count, self._seed, epoch))
