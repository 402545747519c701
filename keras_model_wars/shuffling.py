"""Shuffle the training data in an order that can be repeated, and feed it to `fit`."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of ``count`` images in ``epoch``, whatever came before it.

    Epochs are counted from 0. The order depends on ``seed`` and ``epoch`` alone, so a
    resumed run continues with the order that it would have had.

    >>> sorted(epoch_order(4, seed=0, epoch=1).tolist())
    [0, 1, 2, 3]
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


class ReshuffledDataset(keras.callbacks.Callback):
    """Feed ``fit`` with arrays in the order of ``epoch_order``, once per epoch.

    ``fit`` on arrays can't: with a global seed on the TensorFlow backend it takes the
    images in the same order in every epoch (tensorflow issue 35682), and without a seed
    nothing can be repeated. Pass ``dataset`` to ``fit`` as ``x``, and the object itself
    as a callback, which sets the order of each epoch. ``x`` and ``y`` are arrays or
    dicts of arrays.

    >>> order = ReshuffledDataset(x_train, y_train, batch_size=32, seed=0)
    >>> len(order.dataset)
    141
    """

    def __init__(self, x: Any, y: Any, *, batch_size: int, seed: int):
        super().__init__()
        # Held once; every batch is gathered from here.
        arrays = keras.tree.map_structure(tf.convert_to_tensor, (x, y))
        self._count = len(keras.tree.flatten(y)[0])
        self._seed = seed
        first_order = epoch_order(self._count, seed, epoch=0)
        # A variable, because a Python generator within the input costs time; see
        # benchmarks/README.md. On the CPU, where tf.data reads it, also when a graphics
        # card trains.
        with tf.device("CPU:0"):
            order = tf.Variable(first_order, trainable=False)
        self._order = order

        def indices(start: tf.Tensor) -> tf.Tensor:
            return order.read_value()[start : start + batch_size]

        def batch(indices: tf.Tensor) -> Any:
            return tf.nest.map_structure(lambda a: tf.gather(a, indices), arrays)

        # Batches are ready long before they are needed; tuning and more threads only
        # take cores from the training.
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        dataset = tf.data.Dataset.range(0, self._count, batch_size)
        dataset = dataset.map(indices).map(batch)
        self.dataset = dataset.prefetch(16).with_options(options)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set the order of this epoch, and where random layers such as Dropout start.

        A model's file holds no state of random layers, so a resumed run could not go on
        from it.
        """
        self._order.assign(epoch_order(self._count, self._seed, epoch))
        for place, variable in enumerate(self.model.non_trainable_variables):
            if "seed_generator" in variable.path:
                start = np.random.SeedSequence((self._seed, epoch, place))
                variable.assign(start.generate_state(2))

    @property
    def steps_per_execution(self) -> int:
        """About 64 batches that Keras runs at once: faster, with the same results.

        All executions have nearly one size, so that the progress bar moves evenly.
        """
        # The PyTorch backend knows no others. On several replicas, Keras 3.15 stops in
        # its loop over batches ("You must feed a value for placeholder tensor").
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if keras.config.backend() == "torch" or replicas > 1:
            return 1
        batches = len(self.dataset)
        executions = math.ceil(batches / 64)
        return math.ceil(batches / executions)
