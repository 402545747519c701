"""What a trained model says of pictures: the probabilities of the digits, as a table and as bars."""

import os
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from keras_model_wars.data import scale_pixels
from keras_model_wars.files import check_picture_path, replacing
from keras_model_wars.plotting import LAYER_COLOURS
from keras_model_wars.preparing import Picture, prepare_image


def predict_digits(model: keras.Model, images: Picture | Iterable[Picture]) -> pd.DataFrame:
    """Tell which digits a trained model sees in pictures: a row an image, a column a digit, the probabilities within.

    ``images`` are what ``prepare_image`` takes: file names, Pillow images or arrays, one or several, or an array of many.
    The model with two inputs and two outputs takes an image for each in turn, and each gets a row. The model with shared
    layers takes pairs: a row a pair, and one column, ``same digit``. Raises a TypeError for what is no model or no picture,
    a ValueError for a model of other shapes, for pictures that can't be a digit, and for half a pair.

    >>> predict_digits(run.model, ["three.png", "eight.jpg"]).idxmax(axis="columns")

    Follows "Keras Model Wars: Functional vs Sequential": a trained model predicts what it has not seen before.
    """
    shapes = _input_shapes(model)
    pictures, names = _named(images)
    if len(pictures) % len(shapes):
        raise ValueError(
            f"`images` should be {len(shapes)} for each prediction of {model.name}, one an input. Received: {len(pictures)}."
        )
    x = scale_pixels(np.stack([prepare_image(picture, name) for picture, name in zip(pictures, names)]))
    inputs = [x[place :: len(shapes)].reshape(-1, *shape) for place, shape in enumerate(shapes)]
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    if model.outputs[0].shape[-1] == 1:
        pairs = pd.MultiIndex.from_arrays([names[0::2], names[1::2]], names=["left", "right"])
        return pd.DataFrame(outputs, index=pairs, columns=["same digit"])
    rows = np.stack(outputs, axis=1).reshape(-1, 10) if isinstance(outputs, list) else outputs
    return pd.DataFrame(rows, index=pd.Index(names, name="image"), columns=pd.RangeIndex(10, name="digit"))


def plot_predictions(
    images: Picture | Iterable[Picture], predictions: pd.DataFrame, to_file: str | os.PathLike | None = None
) -> Figure:
    """Draw each picture as the network sees it, beside its probabilities as bars.

    Takes what ``predict_digits`` took and what it returned. Writes ``to_file`` (.png, .svg or .pdf) where given. Raises a
    TypeError or ValueError for predictions that are none of these images', or for another ending.

    >>> figure = plot_predictions("three.png", predict_digits(run.model, "three.png"))
    """
    check_picture_path(to_file)
    pictures, names = _named(images)
    if not isinstance(predictions, pd.DataFrame):
        raise TypeError(
            f"`predictions` should be what predict_digits returns, a DataFrame. Received: {type(predictions).__name__}."
        )
    wide = predictions.index.nlevels
    if len(pictures) != len(predictions) * wide:
        raise ValueError(
            f"`predictions` should be what predict_digits returns for the {len(pictures)} `images`. Received: {len(predictions)} rows."
        )
    figure = Figure(figsize=(3.2 + 2 * wide, 2.6 * len(predictions)), layout="constrained")
    grid = figure.subplots(len(predictions), wide + 1, squeeze=False, width_ratios=[*[1] * wide, 1.4])
    for axis, picture, name in zip(grid[:, :-1].flat, pictures, names):
        axis.imshow(prepare_image(picture, name), cmap="gray", vmin=0, vmax=255)
        axis.set_title(Path(name).name, fontsize=10, parse_math=False, wrap=True)
        axis.set(xticks=[], yticks=[])
    for axis, row in zip(grid[:, -1], predictions.to_numpy()):
        bars = axis.barh([str(label) for label in predictions.columns], row, color=LAYER_COLOURS["output"])
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        # From the top down, and one bar alone no broader than those of several.
        middle, reach = (len(row) - 1) / 2, max(len(row), 5) / 2
        axis.set(xlim=(0, 1.2), ylim=(middle + reach, middle - reach), xticks=[0, 0.5, 1], xlabel="probability")
    if to_file is not None:
        with replacing(to_file) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure


def _input_shapes(model: keras.Model) -> list[tuple[int, ...]]:
    """Return the shape of each of the model's inputs, or raise an error if they are no images or its outputs no digits."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` should be a trained Keras model. Received: {type(model).__name__}.")
    inputs, outputs = (
        [tuple(tensor.shape[1:]) for tensor in getattr(model, side, None) or []] for side in ("inputs", "outputs")
    )
    images = inputs and all(shape in ((28, 28), (28, 28, 1), (784,)) for shape in inputs)
    if not images or outputs not in ([(10,)] * len(inputs), [(1,)] * (len(inputs) == 2)):
        raise ValueError(
            "`model` should take images of 28 x 28 and give ten probabilities for each, or take two images and give one. "
            f"Received: {model.name} with inputs {inputs} and outputs {outputs}."
        )
    return inputs


def _named(images: Picture | Iterable[Picture]) -> tuple[list[Picture], list[str]]:
    """Return one picture or several as a list, and what to call each."""
    one = isinstance(images, (str, os.PathLike, Image.Image))
    if isinstance(images, np.ndarray):
        one = images.ndim in (0, 2) or (images.ndim == 3 and images.shape[-1] in (1, 3, 4))
    if not one and not isinstance(images, Iterable):
        raise TypeError(f"`images` should be file names, Pillow images or arrays. Received: {type(images).__name__}.")
    pictures = [images] if one else list(images)
    if not pictures:
        raise ValueError("`images` should hold one picture or more. Received: none.")
    return pictures, [
        os.fspath(picture) if isinstance(picture, (str, os.PathLike)) else f"image {place}"
        for place, picture in enumerate(pictures, start=1)
    ]
