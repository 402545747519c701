"""Tell before the first epoch whether a model fits the images, labels and loss."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from keras_model_wars.checks import InputError
from keras_model_wars.experiments import Experiment
from keras_model_wars.mnist import Mnist
from keras_model_wars.splits import Splits


def build_model(
    experiment: Experiment, builder_keywords: dict[str, Any]
) -> keras.Model:
    """Build an experiment's model, or raise an InputError about its builder.

    What the builder itself raises keeps its traceback.
    """
    name = getattr(experiment.builder, "__name__", repr(experiment.builder))
    try:
        inspect.signature(experiment.builder).bind(**builder_keywords)
    except TypeError as error:
        given = ", ".join(builder_keywords) or "no arguments"
        raise InputError(
            f"The builder {name} should be callable with {given}. Received: {error}"
        ) from None
    model = experiment.builder(**builder_keywords)
    if not isinstance(model, keras.Model):
        raise InputError(
            f"The builder {name} should return a Keras model. "
            f"Received: {type(model).__name__}. Does it end with `return model`?"
        )
    if model.compiled:
        raise InputError(
            f"The builder {name} should return an uncompiled model. Received: a compiled "
            "one. `train` compiles it; put the loss and the learning rate into an "
            "Experiment"
        )
    return model


def prepare_splits(model: keras.Model, experiment: Experiment, mnist: Mnist) -> Splits:
    """Prepare MNIST for a model, or raise an InputError if they don't fit."""
    splits = match_images(model, _prepare(experiment, mnist))
    match_labels(model, splits, experiment.loss)
    return splits


def _prepare(experiment: Experiment, mnist: Mnist) -> Splits:
    prepared = experiment.prepare(mnist)
    try:
        splits = Splits(*prepared)
        for x, y in splits:
            lengths = {len(array) for array in keras.tree.flatten((x, y))}
            if len(lengths) != 1:
                raise ValueError(f"arrays of {sorted(lengths)} rows")
    except (TypeError, ValueError) as error:
        raise InputError(
            "`prepare` should return Splits: (x, y) for training, validation and test, "
            f"as many labels as images. Received: {error}"
        ) from None
    return splits


def match_images(model: keras.Model, splits: Splits) -> Splits:
    """Return the splits as the model takes them, or raise an InputError.

    A model that takes images with a channel, (28, 28, 1), gets it. A model that isn't
    built yet is built by calling it on the first images.
    """
    if not model.built:
        return _match_unbuilt(model, splits)
    if not getattr(model, "inputs", None):
        return splits  # subclassed: what it takes is in its code
    x_train = splits.train[0]
    takes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    names = [tensor.name for tensor in model.inputs]
    are = [np.shape(images)[1:] for images in _in_order(x_train, names)]
    if len(takes) == len(are):
        if all(_fits(shape, images) for shape, images in zip(takes, are)):
            return splits
        if all(_fits(shape, (*images, 1)) for shape, images in zip(takes, are)):
            return _with_channel(splits)
    raise InputError(
        "The model should take what its preparation makes of the digits. Received: "
        f"{model.name} takes {_listed(takes)}; the digits are {_listed(are)}. Change "
        "the model's keras.Input, or the `prepare` of its Experiment"
    )


def match_labels(model: keras.Model, splits: Splits, loss: Any) -> None:
    """Raise an InputError if the outputs don't fit the labels and the loss."""
    x_train, y_train = splits.train
    few = keras.tree.map_structure(lambda images: images[:2], x_train)
    answers = model(few, training=False)
    names = getattr(model, "output_names", None) or ["output"]
    outputs = _in_order(answers, names)
    labels = _in_order(y_train, names)
    if len(outputs) != len(labels):
        raise InputError(
            "The model should have one output for each kind of label. Received: "
            f"{len(outputs)} outputs of {model.name} for {len(labels)} kinds of labels"
        )
    losses = _in_order(loss, names)
    if len(losses) != len(outputs):
        losses = losses * len(outputs)  # one loss for all outputs
    for output, label, each in zip(outputs, labels, losses):
        _match_loss(model.name, tuple(output.shape[1:]), np.asarray(label), each)


def _match_unbuilt(model: keras.Model, splits: Splits) -> Splits:
    few = keras.tree.map_structure(lambda images: images[:1], splits.train[0])
    if not isinstance(model, keras.Sequential):
        model(few)
        return splits
    shape = np.shape(few)[1:]
    try:
        _build_copy(model, shape)
    except ValueError as error:
        problem = error
    else:
        model.build((None, *shape))
        return splits
    try:
        _build_copy(model, (*shape, 1))
    except ValueError:
        raise InputError(
            "The model should take what its preparation makes of the digits. "
            f"Received: the digits are {shape}, and {model.name} says: {problem}. "
            "Start the model with keras.Input"
        ) from None
    model.build((None, *shape, 1))
    return _with_channel(splits)


def _build_copy(model: keras.Sequential, shape: tuple[int, ...]) -> None:
    # A layer that was built for a wrong shape can't be built again.
    copy = keras.Sequential.from_config(model.get_config())
    copy.build((None, *shape))


def _match_loss(
    name: str, output: tuple[int | None, ...], label: np.ndarray, loss: Any
) -> None:
    loss_name = _name_of(loss)
    if loss_name is None:
        return  # a function of the reader's own, which knows what it takes
    if loss_name.startswith("sparse"):
        classes = int(label.max()) + 1
        are_integers = label.dtype.kind in "iu" and label.shape[1:] in ((), (1,))
        fits = len(output) == 1 and output[0] is not None and output[0] >= classes
        wanted = f"integer labels of {classes} classes and an output of ({classes},)"
        advice = "For one-hot labels: categorical_crossentropy"
        fits = fits and are_integers
    else:
        needed = label.shape[1:] or (1,)
        fits = _fits(output, needed)
        wanted = "labels and an output of one shape"
        advice = "For integer labels of classes: sparse_categorical_crossentropy"
    if not fits:
        raise InputError(
            f"The output should fit the loss {loss_name}, which needs {wanted}. "
            f"Received: labels of shape {label.shape[1:]}; {name} returns {output}. "
            f"{advice}. Or change the last layer"
        )


def _name_of(loss: Any) -> str | None:
    if not isinstance(loss, str):
        return getattr(loss, "name", None)
    try:
        keras.losses.get(loss)
    except ValueError:
        raise InputError(
            f"`loss` should be the name of a loss of Keras. Received: {loss!r}"
        ) from None
    return loss


def _in_order(values: Any, names: list[str]) -> list[Any]:
    """Return one or several arrays as a list, in the order of ``names`` if it's a dict.

    Keras takes a dict by the names of the model's inputs and outputs; if these are
    others, its values are taken in the dict's order.
    """
    if isinstance(values, dict):
        if set(values) == set(names):
            return [values[name] for name in names]
        return list(values.values())
    if isinstance(values, (list, tuple)):
        return list(values)
    return [values]


def _fits(takes: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    if len(takes) != len(given):
        return False
    return all(a is None or a == b for a, b in zip(takes, given))


def _with_channel(splits: Splits) -> Splits:
    def add(x: Any) -> Any:
        return keras.tree.map_structure(lambda images: images[..., None], x)

    return Splits(*((add(x), y) for x, y in splits))


def _listed(shapes: list[tuple]) -> str:
    return " and ".join(str(tuple(shape)) for shape in shapes)
