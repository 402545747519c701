"""Scale and split MNIST for each kind of model. NumPy only."""

from typing import Any, NamedTuple

import numpy as np

from keras_model_wars.checks import InputError, array, whole_number
from keras_model_wars.mnist import Mnist


class Splits(NamedTuple):
    """The digits of one experiment: each part is a pair (x, y) as ``model.fit`` takes it."""

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


def scale_pixels(x: np.ndarray) -> np.ndarray:
    """Scale images from whole numbers in [0, 255] to float32 in [0, 1].

    Takes an array of any shape. Raises an InputError for anything but whole numbers from 0 to 255, so that nothing is
    scaled twice. Follows "Sequential API vs Functional API model in Keras", the preparation of the data.

    >>> scale_pixels(np.array([0, 255], dtype="uint8"))
    array([0., 1.], dtype=float32)
    """
    x = array(
        "x", x, "pixels as whole numbers from 0 to 255, as they were loaded", kinds="iu"
    )
    if x.dtype != np.uint8 and x.size and not (x.min() >= 0 and x.max() <= 255):
        raise InputError(
            "`x` should be pixels as whole numbers from 0 to 255",
            f"{x.min()} to {x.max()}",
        )
    return np.divide(x, np.float32(255), dtype=np.float32)


def split_validation(
    x: np.ndarray, y: np.ndarray, validation_size: int | None = None
) -> tuple[tuple, tuple]:
    """Set the first digits aside as the validation set, as the first article does.

    Takes images (count, 28, 28) and labels (count,) and returns ``(x_train, y_train), (x_val, y_val)``.
    ``validation_size`` is by default one twelfth of the digits: 5,000 of 60,000. Raises an InputError if ``x`` and
    ``y`` differ in length or either part would be empty. Follows "Sequential API vs Functional API model in Keras".

    >>> (x_train, y_train), (x_val, y_val) = split_validation(x_train, y_train)
    """
    x, y = _same_length(x, y)
    size = max(1, len(x) // 12) if validation_size is None else validation_size
    size = whole_number("validation_size", size, highest=len(x) - 1)
    return (x[size:], y[size:]), (x[:size], y[:size])


def split_two_inputs(
    x: np.ndarray, y: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Cut the digits into halves, in order, for the model with two inputs and two outputs.

    Takes images (count, 28, 28) and labels (count,). Returns ``{"input_a", "input_b"}`` and ``{"output_a",
    "output_b"}``: the first half of the digits and their labels for a, the second for b, without an odd last digit.
    Raises an InputError if ``x`` and ``y`` differ in length or hold fewer than two digits. Follows "Sequential API vs
    Functional API model in Keras", the third model.

    >>> inputs, outputs = split_two_inputs(x_train, y_train)
    """
    x, y = _same_length(x, y)
    half = len(x) // 2
    inputs = {"input_a": x[:half], "input_b": x[half : 2 * half]}
    return inputs, {"output_a": y[:half], "output_b": y[half : 2 * half]}


def make_pairs(
    x: np.ndarray, y: np.ndarray, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Make pairs of digits, half of them showing the same digit, for the model with shared layers.

    Takes images (count, 28, 28) and labels (count,). Returns ``{"left", "right"}``, each (count, 28, 28), and labels
    (count,) as uint8, 1 where both show the same digit. Every image is on the left once; its partner is drawn with
    ``seed``, for half of them from the images of its own digit, for the rest evenly from the other digits. Raises an
    InputError if ``x`` and ``y`` differ in length or ``y`` holds fewer than two different digits. Follows "Keras Model
    Wars: Functional vs Sequential", its inputs "that share the same layers".

    >>> pairs, same = make_pairs(x_train, y_train)
    """
    x, y = _same_length(
        x, array("y", y, "one label per digit, whole numbers", kinds="iu")
    )
    seed = whole_number("seed", seed, lowest=0, highest=2**32 - 1)
    digits = np.unique(y)
    if y.ndim != 1 or len(digits) < 2:
        expected = (
            "`y` should have the shape (count,) and hold two or more different digits"
        )
        raise InputError(expected, f"shape {y.shape}, digits {digits[:10].tolist()}")
    random = np.random.default_rng(seed)
    same = random.permutation(np.arange(len(y)) < (len(y) + 1) // 2)
    # One or more steps around the circle of digits never lead back to the digit itself.
    steps = np.where(same, 0, random.integers(1, len(digits), len(y)))
    wanted = digits[(np.searchsorted(digits, y) + steps) % len(digits)]
    partner = np.empty(len(y), dtype=np.int64)
    for digit in digits:
        partner[wanted == digit] = random.choice(
            np.flatnonzero(y == digit), np.count_nonzero(wanted == digit)
        )
    return {"left": x, "right": x[partner]}, same.astype(np.uint8)


def prepare_digits(mnist: Mnist) -> Splits:
    """Prepare MNIST for a model with one image and one label: scaled, the first twelfth as validation set."""
    (x_train, y_train), (x_test, y_test) = mnist
    train, validation = split_validation(scale_pixels(x_train), y_train)
    return Splits(train, validation, (scale_pixels(x_test), y_test))


def prepare_two_inputs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the third model: the training digits of ``prepare_digits`` in halves, a fifth to validate."""
    (x_train, y_train), _, test = prepare_digits(mnist)
    x, y = split_two_inputs(x_train, y_train)
    # The last fifth, as Keras's own `validation_split=0.2` takes it.
    size = int(len(y["output_a"]) * 0.8)
    train = (
        {name: a[:size] for name, a in x.items()},
        {name: a[:size] for name, a in y.items()},
    )
    validation = (
        {name: a[size:] for name, a in x.items()},
        {name: a[size:] for name, a in y.items()},
    )
    return Splits(train, validation, split_two_inputs(*test))


def prepare_flat(mnist: Mnist) -> Splits:
    """Prepare MNIST as ``prepare_digits`` does, with each image as a flat vector of 784 pixels."""
    return Splits(*((x.reshape(-1, 784), y) for x, y in prepare_digits(mnist)))


def prepare_pairs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the model with shared layers: pairs within each part of ``prepare_digits``."""
    return Splits(*(make_pairs(x, y) for x, y in prepare_digits(mnist)))


def _same_length(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = array("x", x, "an array of images"), array("y", y, "an array of labels")
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y) or len(x) < 2:
        raise InputError(
            "`x` and `y` should be arrays of one length, two or more",
            f"shapes {x.shape} and {y.shape}",
        )
    return x, y
