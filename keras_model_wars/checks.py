"""Check what callers pass, write files whole, and import Keras quietly."""

import logging
import numbers
import os
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

PictureFile = str | os.PathLike | None
# What TensorFlow says about this machine's processor and missing CUDA, and Graphviz about the system's fonts.
_CHATTER = re.compile(
    r"WARNING: All log messages before absl|[IW]\d{4} \d\d:|E\d{4} \d\d:.*cuda"
    r"|To enable the following|Fontconfig warning"
)
# Every model traces its own functions, and TensorFlow takes five models in one process for a mistake.
logging.getLogger("tensorflow").addFilter(
    lambda record: "tf.function retracing" not in record.getMessage()
)


class InputError(ValueError):
    """A user's mistake, in one sentence: what was expected, what was received, what to do.

    The command prints it in one line and ends with exit status 2.
    """

    def __str__(self) -> str:
        """Say both, as Keras does."""
        return ". Received: ".join(map(str, self.args)).rstrip(".") + "."


def whole_number(
    name: str, value: Any, lowest: int = 1, highest: int = 2**31 - 1
) -> int:
    """Return a whole number from ``lowest`` to ``highest`` as an int, or raise an InputError."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not lowest <= value <= highest:
        raise InputError(
            f"`{name}` should be a whole number from {lowest:,} to {highest:,}",
            f"{name}={value!r}",
        )
    return int(value)


def positive_number(name: str, value: Any) -> float:
    """Return a finite number above zero as a float, or raise an InputError."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 < value <= sys.float_info.max:
        raise InputError(
            f"`{name}` should be a finite number above zero", f"{name}={value!r}"
        )
    return float(value)


def file_path(name: str, value: Any) -> Path:
    """Return the path of a file or folder, or raise an InputError."""
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"`{name}` should be a path", f"{name}={value!r}")
    return Path(value)


def array(name: str, value: Any, expected: str, kinds: str = "biuf") -> np.ndarray:
    """Return an array of one of NumPy's ``kinds`` of dtype, or raise an InputError that says what was ``expected``."""
    with suppress(ValueError, TypeError, OverflowError):  # ragged
        value = np.asarray(value)
    if getattr(value, "dtype", np.dtype(object)).kind not in kinds:
        received = (
            f"dtype={value.dtype}"
            if isinstance(value, np.ndarray)
            else f"a ragged {type(value).__name__}"
        )
        raise InputError(f"`{name}` should be {expected}", received)
    return value


def picture_path(path: PictureFile) -> PictureFile:
    """Return ``path``, or raise an InputError if it has an unsupported file extension for a picture."""
    if path is not None and file_path("to_file", path).suffix.lower() not in (
        ".png",
        ".svg",
        ".pdf",
    ):
        raise InputError("The picture's file should end in .png, .svg, .pdf", path)
    return path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to, and rename it into place on success.

    It keeps the extension, by which Keras, matplotlib and Graphviz choose their format. If writing fails, an existing
    file at ``path`` stays whole and nothing half written is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        # On Windows a virus scanner or a viewer can hold the old file open for a moment.
        for _ in range(9):
            with suppress(PermissionError):
                temporary.replace(path)
                return
            time.sleep(0.1)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def import_keras(intra_op_threads: int | None = None) -> Any:
    """Return Keras with its backend initialized, without log messages, or raise an InputError that names the setting.

    ``intra_op_threads`` applies to the whole process: TensorFlow can't change it once it has been initialized.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():
        try:
            import keras

            if intra_op_threads:
                import tensorflow as tf

                with suppress(
                    RuntimeError
                ):  # initialized already, by somebody else's code with their own threads
                    tf.config.threading.set_intra_op_parallelism_threads(
                        intra_op_threads
                    )
            keras.ops.zeros(1)
            return keras
        except (ImportError, ValueError) as error:  # not installed, or no such backend
            received = f"{os.environ.get('KERAS_BACKEND')!r} ({error})"
            raise InputError(
                "KERAS_BACKEND should be unset or name an installed backend", received
            ) from None


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold known log messages that libraries write past Python to file descriptor 2; let everything else through."""
    try:
        sys.stderr.flush()
        screen = os.dup(2)
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # no standard error, as in a windowed program
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
