"""Importing Keras without the chatter of the libraries below it."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# What TensorFlow says of this machine's processor and of the CUDA that it has not, and Graphviz of the system's fonts.
_CHATTER = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} \d\d:|E\d{4} \d\d:.*cuda|To enable the following instructions|Fontconfig warning"
)


def import_keras(intra_op_threads: int | None = None) -> None:
    """Import Keras and wake its backend quietly; an ImportError says which setting to change where there is none.

    ``intra_op_threads`` is for the whole process and has to be known now: TensorFlow can't change it once it is awake.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_libraries():
        try:
            import keras

            if intra_op_threads and keras.config.backend() == "tensorflow":
                import tensorflow as tf

                with suppress(RuntimeError):  # awake already: somebody else's process, and their threads
                    tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads)
            keras.ops.zeros(1)
        except (ImportError, ValueError) as error:  # what it names is not installed, or is no backend
            raise ImportError(
                f"Keras should find its backend, by default tensorflow. Received: KERAS_BACKEND={os.environ.get('KERAS_BACKEND')!r} "
                f"({error}). Unset KERAS_BACKEND, or install what it names."
            ) from None


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep known chatter off the screen that libraries write past Python, to file descriptor 2; let all else through."""
    try:
        sys.stderr.flush()
        screen = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no standard error, as in a windowed program
        yield
        return
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
            caught.seek(0)
            sys.stderr.writelines(line for line in caught if not _CHATTER.match(line))
