"""Scale and split MNIST for each kind of model. NumPy only."""

from typing import Any, NamedTuple

import numpy as np

from keras_model_wars.checks import InputError
from keras_model_wars.mnist import ImagesAndLabels, Mnist

Arrays = dict[str, np.ndarray]


class Splits(NamedTuple):
    """Hold one experiment's data, each part a pair (x, y) as ``model.fit`` takes it.

    ``x`` and ``y`` are arrays, or dicts of arrays for a model with several inputs or
    outputs. A preparation of your own returns one of these from MNIST's arrays:

    >>> x = kmw.scale_pixels(x_train)
    >>> test = (kmw.scale_pixels(x_test), y_test)
    >>> own = kmw.Splits(
    ...     train=(x[500:], y_train[500:]),
    ...     validation=(x[:500], y_train[:500]),
    ...     test=test,
    ... )
    >>> own.validation[0].shape
    (500, 28, 28)
    """

    train: tuple[Any, Any]
    validation: tuple[Any, Any]
    test: tuple[Any, Any]


def scale_pixels(x: np.ndarray) -> np.ndarray:
    """Scale images from integers in [0, 255] to float32 in [0, 1].

    Takes an array of any shape. Raises an InputError for anything but integers, so that
    nothing is scaled twice. Follows "Sequential API vs Functional API model in Keras",
    the preparation of the data.

    >>> kmw.scale_pixels(np.array([0, 255], dtype="uint8"))
    array([0., 1.], dtype=float32)
    """
    if x.dtype.kind not in "iu":
        raise InputError(
            "x should be pixels as integers from 0 to 255, not scaled yet. "
            f"Received: dtype={x.dtype}"
        )
    return np.divide(x, np.float32(255), dtype="float32")


def split_validation(
    x: np.ndarray, y: np.ndarray
) -> tuple[ImagesAndLabels, ImagesAndLabels]:
    """Set the first twelfth aside as the validation set, as the first article does.

    Takes images (count, 28, 28) and labels (count,), and returns ``(x_train, y_train),
    (x_val, y_val)``: of 60,000 images, the first 5,000 are the validation set. Follows
    "Sequential API vs Functional API model in Keras", the preparation of the data.

    >>> train, (x_val, y_val) = kmw.split_validation(x_train, y_train)
    >>> x_val.shape
    (375, 28, 28)
    """
    size = len(x) // 12
    train = (x[size:], y[size:])
    validation = (x[:size], y[:size])
    return train, validation


def split_two_inputs(x: np.ndarray, y: np.ndarray) -> tuple[Arrays, Arrays]:
    """Cut the images into halves, in order, for a model with two inputs and outputs.

    Takes images (count, 28, 28) and labels (count,). Returns ``{"input_a", "input_b"}``
    and ``{"output_a", "output_b"}``: the first half of the images and their labels for
    a, the second for b; an odd last image is left out. Follows "Sequential API vs
    Functional API model in Keras", the third model.

    >>> inputs, outputs = kmw.split_two_inputs(x_train, y_train)
    >>> inputs["input_b"].shape, outputs["output_b"].shape
    ((2250, 28, 28), (2250,))
    """
    half = len(x) // 2
    inputs = {"input_a": x[:half], "input_b": x[half : 2 * half]}
    outputs = {"output_a": y[:half], "output_b": y[half : 2 * half]}
    return inputs, outputs


def make_pairs(
    x: np.ndarray, y: np.ndarray, seed: int = 0
) -> tuple[Arrays, np.ndarray]:
    """Make pairs of images, half with the same label, for a model with shared layers.

    Takes images (count, 28, 28) and integer labels (count,). Returns ``{"left",
    "right"}``, each (count, 28, 28), and labels (count,) as uint8, 1 if both images
    have the same label. Every image is on the left once. Its partner is drawn with
    ``seed``: for half of the images another one with the same label, for the rest one
    with a different label, each label equally likely. No image is its own partner; an
    image whose label occurs once gets a partner with a different label. Follows "Keras
    Model Wars: Functional vs Sequential", its inputs "that share the same layers".

    >>> pairs, same = kmw.make_pairs(x_train, y_train)
    >>> pairs["right"].shape, int(same.sum())
    ((4500, 28, 28), 2250)
    """
    labels, label_of, counts = np.unique(y, return_inverse=True, return_counts=True)
    classes = len(labels)
    can_match = np.flatnonzero(counts[label_of] > 1)
    half = (len(y) + 1) // 2
    # Random numbers of their own: those of epoch_order would sort the pairs.
    random = np.random.default_rng((*b"pairs", seed))
    same = np.zeros(len(y), dtype=bool)
    same[random.permutation(can_match)[:half]] = True
    # Steps around a circle, at least one and short of a full turn, never lead back to
    # the start: to the same label, or below to the image itself.
    label_steps = random.integers(1, classes, size=len(y))
    other_label = (label_of + label_steps) % classes
    partner = np.empty(len(y), dtype=int)
    for label in range(classes):
        images = np.flatnonzero(label_of == label)
        matched = np.flatnonzero(same[images])
        image_steps = random.integers(1, len(images), size=len(matched))
        partner[images[matched]] = images[(matched + image_steps) % len(images)]
        different = np.flatnonzero(~same & (other_label == label))
        partner[different] = random.choice(images, size=len(different))
    return {"left": x, "right": x[partner]}, same.astype("uint8")


def prepare_digits(mnist: Mnist) -> Splits:
    """Prepare MNIST for a model with one image as input and one label as output.

    Takes ``(x_train, y_train), (x_test, y_test)`` as ``load_mnist`` returns them,
    images (count, 28, 28) of integers. Scales the pixels to [0, 1] and sets the first
    twelfth of the training data aside for validation. Follows "Sequential API vs
    Functional API model in Keras", the preparation of the data.

    >>> splits = kmw.prepare_digits(kmw.load_mnist("sample"))
    >>> [x.shape for x, y in splits]
    [(4125, 28, 28), (375, 28, 28), (500, 28, 28)]
    """
    (x_train, y_train), (x_test, y_test) = mnist
    train, validation = split_validation(scale_pixels(x_train), y_train)
    return Splits(train, validation, test=(scale_pixels(x_test), y_test))


def prepare_flat(mnist: Mnist) -> Splits:
    """Prepare MNIST as ``prepare_digits`` does, each image as a vector of 784 pixels.

    Follows "Keras Model Wars: Functional vs Sequential", whose models start with
    ``Input(shape=(784,))``.

    >>> splits = kmw.prepare_flat(kmw.load_mnist("sample"))
    >>> splits.test[0].shape
    (500, 784)
    """
    return Splits(*[(x.reshape(-1, 784), y) for x, y in prepare_digits(mnist)])


def prepare_two_inputs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the model with two inputs and two outputs.

    Cuts the training and the test data of ``prepare_digits`` into halves with
    ``split_two_inputs`` and validates with the last fifth of the training pairs, as
    ``validation_split=0.2`` does. Follows "Sequential API vs Functional API model in
    Keras", the third model.

    >>> splits = kmw.prepare_two_inputs(kmw.load_mnist("sample"))
    >>> x, y = splits.train
    >>> x["input_a"].shape, y["output_a"].shape
    ((1649, 28, 28), (1649,))
    """
    (x_train, y_train), _, test = prepare_digits(mnist)
    inputs, outputs = split_two_inputs(x_train, y_train)
    train_size = int(len(outputs["output_a"]) * 0.8)
    first = slice(train_size)
    last = slice(train_size, None)
    return Splits(
        train=(_rows(inputs, first), _rows(outputs, first)),
        validation=(_rows(inputs, last), _rows(outputs, last)),
        test=split_two_inputs(*test),
    )


def prepare_pairs(mnist: Mnist) -> Splits:
    """Prepare MNIST for the model with shared layers.

    Makes pairs with ``make_pairs`` within each part of ``prepare_digits``, so that no
    image of the validation or test data is seen in training. Follows "Keras Model Wars:
    Functional vs Sequential", its inputs "that share the same layers".

    >>> splits = kmw.prepare_pairs(kmw.load_mnist("sample"))
    >>> pairs, same = splits.validation
    >>> pairs["left"].shape, same.shape
    ((375, 28, 28), (375,))
    """
    return Splits(*[make_pairs(x, y) for x, y in prepare_digits(mnist)])


def _rows(arrays: Arrays, rows: slice) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}
