"""Recognize digits: load a trained model, prepare pictures as MNIST's were, predict, and plot the predictions."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps
from scipy import ndimage

from keras_model_wars.checks import InputError, PictureFile
from keras_model_wars.splits import scale_pixels

if TYPE_CHECKING:
    import keras

Picture = str | os.PathLike | Image.Image | np.ndarray
Pictures = Picture | Iterable[Picture]


def prepare_image(image: Picture, name: str | None = None) -> np.ndarray:
    """Prepare a picture of a digit as MNIST's digits were: light on dark, shape (28, 28), uint8.

    Takes a file (PNG, JPEG, GIF, BMP, TIFF or WebP), a Pillow image, or an array (height, width) or (height, width, 1,
    3 or 4), of any size and color. What stands out from the paper is scaled into a box of 20 x 20 and placed by its
    center of mass; thin strokes are thickened. ``name`` is what errors call it. Raises an InputError if it can't be
    read or does not show one digit on plain paper. Follows LeCun, Cortes and Burges, "The MNIST database" (1998).

    >>> prepare_image("three.png").shape
    (28, 28)
    """
    name = name or (
        os.fspath(image) if isinstance(image, (str, os.PathLike)) else "`image`"
    )
    ink = _measure_ink(_open_image(image, name))
    things, count = ndimage.label(ink > 0.5, np.ones((3, 3)))
    sides = np.array(
        [
            max(part.stop - part.start for part in box)
            for box in ndimage.find_objects(things)
        ]
    )
    side = sides.max(initial=0)
    if side < max(5, 0.02 * max(ink.shape)):
        raise InputError(
            f"{name} should show a digit", "nothing that stands out from the paper"
        )
    gaps = ndimage.distance_transform_edt(things != sides.argmax() + 1)
    near = ndimage.minimum(gaps, things, np.arange(1, count + 1)) <= 0.15 * side
    strokes = np.isin(things, np.flatnonzero(near) + 1)
    ink = np.where(
        ndimage.distance_transform_edt(~strokes) <= max(1, side / 15), ink, 0
    )
    digit = np.pad(ink[ndimage.find_objects(np.int8(ink > 0.15))[0]], 1)
    strong, pixel = digit > 0.5, max(digit.shape) / 20
    # A stroke is four times as wide as its pixels are far from its edge: in MNIST 1.3 to 6 pixels, usually 2.3.
    width = (4 * ndimage.distance_transform_edt(strong)[strong].mean() - 2) / pixel
    several = (sides[~near] >= side / 2).any() or near.sum() + ndimage.label(~strong)[
        1
    ] > 12
    if several or width > 8 or digit.shape[1] > 2 * digit.shape[0]:
        received = (
            "several things, noise or squared paper"
            if several
            else "a line or a filled area"
        )
        expected = f"{name} should show one digit, drawn in strokes on plain paper; cut away what else is there"
        raise InputError(expected, received)
    pen = (
        max(1, round((2.3 - width) * pixel)) if width < 1.3 else 1
    )  # thin strokes are thickened
    digit = ndimage.maximum_filter(np.pad(digit, pen), size=pen)
    digit = digit[ndimage.find_objects(np.int8(digit > 0.15))[0]]
    height, width = (
        max(1, round(20 * length / max(digit.shape))) for length in digit.shape
    )
    box = np.asarray(
        Image.fromarray(digit).resize((width, height), Image.Resampling.BICUBIC)
    )
    box = np.clip(box / box.max(), 0, 1)
    top, left = np.clip(
        14.5 - np.array(ndimage.center_of_mass(box)), 0, (28 - height, 28 - width)
    ).astype(int)
    return np.pad(
        np.round(255 * box).astype(np.uint8),
        ((top, 28 - height - top), (left, 28 - width - left)),
    )


def _open_image(image: Picture, name: str) -> Image.Image:
    try:
        if isinstance(image, (str, os.PathLike)):
            # Not EPS, which Pillow would hand to another program.
            with Image.open(
                image, formats=("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
            ) as file:
                image = ImageOps.exif_transpose(file)
        if (
            not isinstance(image, Image.Image) or image.mode[0] in "IF"
        ):  # 16 or 32 bits, which Pillow would cut off
            values = np.asarray(image)
            numbers = values.ndim > 1 and values.dtype.kind in "buif" and values.size
            if not numbers or not 0 <= values.min() <= values.max() <= 65_535:
                raise ValueError(
                    f"{type(image).__name__} of shape {values.shape} and dtype {values.dtype}"
                )
            scale = 255 / min(
                highest for highest in (1, 255, 65_535) if values.max() <= highest
            )
            image = Image.fromarray(
                np.uint8(values * scale).squeeze(2 if values.shape[2:] == (1,) else ())
            )
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image.thumbnail((512, 512))
        return image.convert("RGBA")
    except Exception as error:  # whatever Pillow, NumPy or zlib find wrong
        expected = f"{name} should be a PNG, JPEG, GIF, BMP, TIFF or WebP file, a Pillow image or an array in [0, 255]"
        raise InputError(expected, error) from None


def _measure_ink(image: Image.Image) -> np.ndarray:
    """Return how far each pixel is from the paper, a quadratic surface fitted to the border: 0 for paper, 1 for ink."""
    pixels = np.asarray(image, np.float32) / 255
    colors, seen = pixels[..., :3], pixels[..., 3] > 0.5
    if (
        not seen.all()
    ):  # a card with round corners, or drawn on nothing in whatever color
        card = seen.any() and np.ptp(colors[seen], axis=0).max() > 0.25
        colors = (
            np.where(seen[..., None], colors, np.median(colors[seen], axis=0))
            if card
            else pixels[..., 3:]
        )
    y, x = np.mgrid[-1 : 1 : 1j * len(seen), -1 : 1 : 1j * len(seen[0])].astype(
        np.float32
    )
    surface = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    border = np.maximum(abs(x), abs(y)) == 1
    usual = np.median(colors[border], axis=0)
    border &= np.abs(colors - usual).max(axis=-1) < 0.25
    paper = (
        usual
        + surface
        @ np.linalg.lstsq(surface[border], colors[border] - usual, rcond=None)[0]
    )
    ink = np.abs(colors - paper).max(axis=-1)
    return np.clip(
        ink / max(np.sort(ink, axis=None)[-20:].min(), 0.24), 0, 1
    )  # twenty pixels and more are no noise


def image_shapes(model: "keras.Model") -> tuple[list[tuple], int]:
    """Return the shapes of a model's inputs and the width of its outputs, 10 or 1 (a pair), or raise an InputError."""
    inputs, outputs = (
        [t.shape[1:] for t in getattr(model, side, None) or []]
        for side in ("inputs", "outputs")
    )
    images_in = inputs and all(
        shape in ((28, 28), (28, 28, 1), (784,)) for shape in inputs
    )
    if not images_in or outputs not in (
        [(10,)] * len(inputs),
        [(1,)] * (len(inputs) == 2),
    ):
        expected = "`model` should take pictures of 28 x 28 and give ten probabilities for each, or one for two of them"
        raise InputError(
            expected, f"{model!r} with inputs {inputs} and outputs {outputs}"
        )
    return inputs, outputs[0][0]


def predict_digits(model: "keras.Model", images: Pictures) -> pd.DataFrame:
    """Predict which digits pictures show: one row per picture, one column per digit, the probabilities within.

    Takes what ``prepare_image`` takes, one or several. A model with two inputs and two outputs takes a picture for each
    input in turn, and each gets a row; one that compares pairs gives one row per pair and the column ``same digit``.
    Raises an InputError for other or diverged models, for pictures that show no digit, and for half a pair. Follows
    "Keras Model Wars: Functional vs Sequential": a trained model predicts what it has not seen before.

    >>> predict_digits(model, ["three.png", "eight.jpg"]).idxmax(axis="columns")
    """
    inputs, width = image_shapes(model)
    from keras import ops, tree

    pictures, names = _name_pictures(images)
    if not pictures or len(pictures) % len(inputs):
        expected = f"{len(inputs)} per prediction, one for each input ({', '.join(t.name for t in model.inputs)})"
        raise InputError(f"`images` should be {expected}", len(pictures))
    prepared = np.stack(
        [prepare_image(picture, name) for picture, name in zip(pictures, names)]
    )
    x = [
        scale_pixels(prepared[i :: len(inputs)]).reshape(-1, *shape)
        for i, shape in enumerate(inputs)
    ]
    answers = tree.flatten(
        model(x if len(x) > 1 else x[0], training=False)
    )  # quicker than predict for a few pictures
    rows = np.stack(
        [ops.convert_to_numpy(answer) for answer in answers], axis=1
    ).reshape(-1, width)
    if not np.isfinite(rows).all():
        raise InputError(
            "`model` should answer with numbers",
            "NaN, as from a model whose training diverged",
        )
    index, columns = pd.Index(names, name="image"), pd.RangeIndex(10, name="digit")
    if width == 1:
        index, columns = (
            pd.MultiIndex.from_arrays(
                [names[0::2], names[1::2]], names=["left", "right"]
            ),
            ["same digit"],
        )
    predictions = pd.DataFrame(rows, index, columns)
    # For plot_predictions; as lists, because pandas compares attrs.
    predictions.attrs["prepared"] = dict(zip(names, prepared.tolist()))
    return predictions


def plot_predictions(
    images: Pictures, predictions: pd.DataFrame, to_file: PictureFile = None
) -> Figure:
    """Draw each picture as the network sees it, beside its probabilities as bars.

    Takes what ``predict_digits`` took and returned, and writes ``to_file`` (.png, .svg or .pdf) if given. Raises an
    InputError for the predictions of more or fewer pictures, or an unsupported file extension.

    >>> figure = plot_predictions("three.png", predict_digits(model, "three.png"))
    """
    from keras_model_wars.plotting import LAYER_COLORS, save_figure

    (pictures, names), wide = _name_pictures(images), predictions.index.nlevels
    if len(pictures) != wide * len(predictions):
        expected = f"`predictions` should be what predict_digits returns for the {len(pictures)} `images`"
        raise InputError(expected, f"{len(predictions)} rows")
    same = np.ravel(predictions.index.to_list()).tolist() == names
    prepared = predictions.attrs.get("prepared", {}) if same else {}
    figure = Figure(
        figsize=(3.2 + 2 * wide, 2.6 * len(predictions)), layout="constrained"
    )
    grid = figure.subplots(
        len(predictions), wide + 1, squeeze=False, width_ratios=[*[1] * wide, 1.4]
    )
    for axis, picture, name in zip(grid[:, :-1].flat, pictures, names):
        seen = prepared[name] if name in prepared else prepare_image(picture, name)
        axis.imshow(seen, cmap="gray", vmin=0, vmax=255)
        axis.set_title(os.path.basename(name), fontsize=10, parse_math=False, wrap=True)
        axis.set(xticks=[], yticks=[])
    for axis, row in zip(grid[:, -1], predictions.to_numpy()):
        bars = axis.barh(
            [str(label) for label in predictions.columns],
            row,
            color=LAYER_COLORS["output"],
        )
        axis.bar_label(bars, fmt="%.2f", padding=2, fontsize=8)
        middle = (
            len(row) - 1
        ) / 2  # from the top down, and a single bar no broader than one of ten
        axis.set(
            xlim=(0, 1.2),
            ylim=(middle + 5, middle - 5),
            xticks=[0, 0.5, 1],
            xlabel="probability",
        )
        axis.set_ylabel(predictions.columns.name)
    return save_figure(figure, to_file)


def _name_pictures(images: Pictures) -> tuple[list[Picture], list[str]]:
    one = not isinstance(images, Iterable) or isinstance(
        images, (str, os.PathLike, Image.Image)
    )
    if isinstance(images, np.ndarray):
        one = images.ndim < 3 or images.shape[2:] in ((1,), (3,), (4,))
    images = [images] if one else list(images)
    paths = [
        os.fspath(image) if isinstance(image, (str, os.PathLike)) else None
        for image in images
    ]
    return images, [
        path or f"image {place}" for place, path in enumerate(paths, start=1)
    ]
