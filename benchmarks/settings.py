"""What else Keras and TensorFlow offer for speed: the package's training with one setting changed each."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clock import Clock, watch_fit
from peers import SEED, package


def single_steps(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Take one batch an execution, as Keras does by default."""
    pass_on("compile", steps_per_execution=1)
    package(model, folder, epochs, clock)


def steps_256(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Take four times as many batches an execution."""
    pass_on("compile", steps_per_execution=256)
    package(model, folder, epochs, clock)


def unrolled_steps(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Write out eight steps in a row in TensorFlow's loop over the steps."""
    import keras

    # Keras documents no argument for it, only this attribute.
    keras.Model.unrolled_steps_per_execution = property(lambda model: 8, lambda model, one: None)
    package(model, folder, epochs, clock)


def xla(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Compile the step with XLA, which Keras leaves off on processors."""
    pass_on("compile", jit_compile=True)
    package(model, folder, epochs, clock)


def mixed_bfloat16(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Compute with numbers of half the size."""
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    package(model, folder, epochs, clock)


def large_validation_batches(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Validate a thousand digits at a time."""
    pass_on("fit", validation_batch_size=1000)
    package(model, folder, epochs, clock)


def tuned_input(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Leave buffer and threads of the input to tf.data, as is its default."""
    import tensorflow as tf

    prefetch, with_options = tf.data.Dataset.prefetch, tf.data.Dataset.with_options
    tf.data.Dataset.prefetch = lambda dataset, size: prefetch(dataset, tf.data.AUTOTUNE)
    # Keras sets options of its own, which stay as they are.
    tf.data.Dataset.with_options = lambda dataset, options: (
        dataset if options.threading.private_threadpool_size else with_options(dataset, options)
    )
    package(model, folder, epochs, clock)


def order_from_generator(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Take the order of the digits from a Python generator, not from a variable."""
    import keras
    import tensorflow as tf

    from keras_model_wars import shuffling, training

    class FromGenerator(shuffling.ReshuffledDataset):
        def __init__(self, x: Any, y: Any, *, batch_size: int, seed: int) -> None:
            super().__init__(x, y, batch_size=batch_size, seed=seed)
            arrays = keras.tree.map_structure(tf.convert_to_tensor, (x, y))
            self.dataset = (
                tf.data.Dataset.from_generator(
                    lambda: [self._order.numpy()], output_signature=tf.TensorSpec((None,), tf.int64)
                )
                .flat_map(lambda order: tf.data.Dataset.from_tensor_slices(order).batch(batch_size))
                .map(lambda digits: tf.nest.map_structure(lambda array: tf.gather(array, digits), arrays))
                .apply(tf.data.experimental.assert_cardinality(self.batches))
                .prefetch(16)
                .with_options(self.dataset.options())
            )

    training.ReshuffledDataset = FromGenerator
    package(model, folder, epochs, clock)


def one_operation_at_a_time(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Let TensorFlow run no operation beside another."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)
    package(model, folder, epochs, clock)


def thread_a_core(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Share each operation among all cores: TensorFlow's default, and what ``train`` gets when Python calls it."""
    share_operations(0, model, folder, epochs, clock)  # 0 is the default


def one_thread(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Share no operation."""
    share_operations(1, model, folder, epochs, clock)


def share_operations(threads: int, model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train by calling ``train``, which leaves the threads as they are."""
    import tensorflow as tf

    import keras_model_wars

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    watch_fit(clock)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        keras_model_wars.train(model, data=folder / "digits.npz", epochs=epochs, seed=SEED, out=out)


def pass_on(method: str, **changed: Any) -> None:
    """Let every model's ``compile`` or ``fit`` get these arguments."""
    import keras

    original = getattr(keras.Model, method)

    def with_changes(self: keras.Model, *arguments: Any, **keywords: Any) -> Any:
        return original(self, *arguments, **keywords | changed)

    setattr(keras.Model, method, with_changes)


# As in ``peers.PEERS``: the library that each needs, and how it trains.
SETTINGS: dict[str, tuple[str, Callable[[str, Path, int, Clock], None]]] = {
    "package": ("tensorflow", package),
    **{
        setting.__name__: ("tensorflow", setting)
        for setting in (
            single_steps,
            steps_256,
            unrolled_steps,
            one_thread,
            thread_a_core,
            one_operation_at_a_time,
            tuned_input,
            order_from_generator,
            large_validation_batches,
            xla,
            mixed_bfloat16,
        )
    },
}
