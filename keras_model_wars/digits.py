"""Recognize digits in pictures: prepare them as MNIST's were, and predict."""

import math
import os
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from scipy import ndimage

from keras_model_wars.answers import as_probabilities, logit_outputs
from keras_model_wars.apis import inputs_of
from keras_model_wars.checks import InputError
from keras_model_wars.splits import scale_pixels

# Not EPS, which Pillow would hand to another program.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
IMAGE_SHAPES = [(28, 28), (28, 28, 1), (784,)]
SIDE = 256  # of the picture in which strokes are looked for
MARGIN = 10  # pixels of SIDE: what reaches there may be a frame
PIECES = np.ones((3, 3))  # pixels that touch by a corner are one piece


def prepare_image(image: Any, name: str | None = None) -> np.ndarray:
    """Prepare a picture of a digit as MNIST's were: light on dark, (28, 28), uint8.

    Takes a path or an open file (PNG, JPEG, GIF, BMP, TIFF or WebP), a Pillow image, an
    array or tensor (height, width) or (height, width, 1, 3 or 4), or a row of pixels,
    as in Kaggle's CSV file; of any size and color. Values may reach 1, 16, 255 or
    65,535. Shadows and frames are removed; the strokes are scaled into a box of 20 x 20
    pixels and placed by their center of mass. ``name`` is what errors call the picture.
    Raises an InputError if it can't be read or doesn't show one digit on plain paper.
    Follows LeCun, Cortes and Burges, "The MNIST database" (1998).

    >>> kmw.prepare_image("three.png").shape
    (28, 28)
    """
    name = name or _name_picture(image, "`image`")
    gray = _to_gray(_open_picture(image, name))
    ink, strokes = _find_strokes(gray)
    if ink.max() < 1:
        raise InputError(
            f"{name} should show a digit. "
            "Received: nothing that stands out from the paper."
        )
    digit = _choose_digit(strokes)
    problem = _find_problem(strokes, digit)
    if problem:
        raise InputError(
            f"{name} should show one digit, drawn in strokes on plain paper, and "
            f"nothing else. Received: {problem}."
        )
    # A little around the strokes keeps their gray edges.
    edge = max(1, _sizes(digit).max() / 15)
    ink[ndimage.distance_transform_edt(~digit) > edge] = 0
    rows, columns = ndimage.find_objects(np.int8(ink > 0.15))[0]
    return _center(ink[rows, columns])


def _open_picture(image: Any, name: str) -> Image.Image:
    """Return a picture with its longer side of 256 pixels, as RGBA."""
    try:
        if isinstance(image, (str, os.PathLike)) or hasattr(image, "read"):
            with Image.open(image, formats=FORMATS) as file:
                image = _upright(file)
        # Pillow would cut off 16 and 32 bits.
        if not isinstance(image, Image.Image) or image.mode[0] in "IF":
            image = _from_array(np.asarray(image))
        image = _upright(image)
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image = ImageOps.contain(image, (SIDE, SIDE), Image.Resampling.BICUBIC)
        return image.convert("RGBA")
    except Exception as error:  # whatever Pillow, NumPy or zlib find wrong
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror.lower()
            raise InputError(
                f"{name} should be a file that can be read. Received: {reason}."
            ) from None
        raise InputError(
            f"{name} should be a PNG, JPEG, GIF, BMP, TIFF or WebP file, a Pillow image, "
            "or an array (height, width) or (height, width, channels) of values in "
            f"[0, 255]. Received: {error}."
        ) from None


def _upright(image: Image.Image) -> Image.Image:
    """Return a loaded picture as its EXIF data says that it was held."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data, which every viewer ignores
        return image


def _from_array(values: np.ndarray) -> Image.Image:
    received = f"an array of shape {values.shape}, dtype {values.dtype}"
    if values.dtype.kind not in "buif" or not values.size:
        raise ValueError(received)
    # scikit-learn's digits reach 16. An image that was resized may reach a little more.
    lowest, highest = float(values.min()), float(values.max())
    white = next((top for top in (1, 16, 255, 65_535) if highest <= 1.05 * top), 0)
    if not -0.05 * white <= lowest or not white:
        raise ValueError(f"{received}, values {lowest:g} to {highest:g}")
    pixels = np.squeeze(values)
    side = round(pixels.size**0.5)
    if pixels.shape == (side * side,):
        pixels = pixels.reshape(side, side)
    is_image = pixels.ndim == 2 or pixels.shape[2:] in ((3,), (4,))
    if not is_image or _is_long(pixels.shape):
        raise ValueError(f"{received}; one picture at a time, without its label")
    gray = np.round(255 * np.clip(pixels / white, 0, 1))
    return Image.fromarray(gray.astype(np.uint8))


def _is_table(images: np.ndarray) -> bool:
    """Tell whether an array holds a flat picture in each row."""
    if images.ndim != 2 or math.isqrt(images.shape[1]) ** 2 != images.shape[1]:
        return False
    if _is_long(images.shape):
        return images.shape[1] > images.shape[0]
    # Rows of one picture are alike; those of MNIST are other digits.
    rows = images.astype(float)
    across, down = (np.abs(np.diff(rows, axis=axis)).mean() for axis in (1, 0))
    return images.shape[1] == 784 and bool(down > 1.5 * across)


def _is_long(shape: tuple[int, ...]) -> bool:
    return max(shape[:2]) >= 8 * min(shape[:2])


def _to_gray(image: Image.Image) -> np.ndarray:
    """Return light ink on dark paper, from 0 to 1, in the color of most contrast."""
    pixels = np.asarray(image, np.float32) / 255
    colors = pixels[..., :3]
    alpha = pixels[..., 3:]
    # What is transparent becomes white or black, whichever the ink isn't.
    seen = (colors * alpha).sum() / max(3 * alpha.sum(), 1)
    background = 1 if seen < 0.5 else 0
    colors = background + (colors - background) * alpha
    gray = colors[..., colors.std(axis=(0, 1)).argmax()]
    return 1 - gray if np.median(gray) > 0.5 else gray


def _find_strokes(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ink, from 0 to 1, and where it is strong; frames are left out."""
    # Imported here, because the import takes long.
    from skimage.segmentation import clear_border

    # The top-hat removes what is broad: shadows and uneven light.
    narrow = ndimage.white_tophat(gray, size=int(0.4 * SIDE))
    ink, strong = _measure_ink(narrow, faintest=0.24)
    strokes = _without_frame(clear_border(strong, buffer_size=MARGIN))
    side = _sizes(strokes).max()
    if side < SIDE / 4:
        # The digit touches the border, or is small.
        ink, strokes = _measure_ink(gray - np.median(gray), faintest=0.4)
        return ink, _without_frame(strokes)
    # Frames, bars and shadows reach a corner of the picture. What doesn't is another
    # digit, or a part of this one.
    corners = np.zeros(gray.shape, bool)
    ends = [*range(MARGIN + 1), *range(-MARGIN - 1, 0)]
    corners[np.ix_(ends, ends)] = True
    others = clear_border(strong, mask=~corners) & ~strokes
    if _sizes(others).max() > 0.7 * side:
        strokes |= others
    return ink, strokes


def _without_frame(strokes: np.ndarray) -> np.ndarray:
    """Remove the largest piece if it is drawn around another: no digit is."""
    pieces, _ = ndimage.label(strokes, PIECES)
    largest = pieces == _sizes(strokes).max(axis=1).argmax()
    inside = ndimage.binary_fill_holes(largest) & strokes & ~largest
    is_frame = largest.any() and _sizes(inside).max() >= 0.25 * _sizes(largest).max()
    return inside if is_frame else strokes


def _measure_ink(light: np.ndarray, faintest: float) -> tuple[np.ndarray, np.ndarray]:
    from skimage.filters import threshold_otsu

    strongest = np.sort(light, axis=None)[-20]  # a few pixels are noise
    ink = np.clip(light / max(strongest, faintest), 0, 1)
    return ink, ink > threshold_otsu(ink)


def _sizes(strokes: np.ndarray) -> np.ndarray:
    """Return the height and width of each piece, after zeros for the paper."""
    pieces, _ = ndimage.label(strokes, PIECES)
    sizes = [(0, 0)]
    for rows, columns in ndimage.find_objects(pieces):
        sizes.append((rows.stop - rows.start, columns.stop - columns.start))
    return np.array(sizes)


def _choose_digit(strokes: np.ndarray) -> np.ndarray:
    """Return the largest piece with those near it, as the detached bar of a 5."""
    pieces, count = ndimage.label(strokes, PIECES)
    sizes = _sizes(strokes)
    sides = sizes.max(axis=1)
    # The bar of a 5 may be detached; another digit is as high.
    heights = sizes[:, 0]
    is_low = heights < 0.5 * heights[sides.argmax()]
    reach = np.where(is_low, 0.3, 0.15)
    distance = ndimage.distance_transform_edt(pieces != sides.argmax())
    gaps = ndimage.minimum(distance, pieces, range(count + 1))
    is_near = gaps <= reach * sides.max()
    is_near[0] = False
    return is_near[pieces]


def _find_problem(strokes: np.ndarray, digit: np.ndarray) -> str | None:
    """Return what the picture shows if that can't be one digit."""
    others = _sizes(strokes & ~digit)
    parts = _sizes(digit)
    if others.max() >= 0.5 * parts.max():
        return "several things"
    _, holes = ndimage.label(~digit)
    if len(parts) + holes > 13:
        return "noise or graph paper"
    height, width = np.ptp(digit.nonzero(), axis=1) + 1
    # A stroke is four times as wide as its pixels are far from its edge. MNIST's, in
    # a box of 20 pixels, are up to 6 pixels wide.
    depth = ndimage.distance_transform_edt(np.pad(digit, 1))
    stroke = 4 * depth[depth > 0].mean() - 2
    is_filled = stroke > 0.4 * max(height, width)
    if width > 2 * height or is_filled:
        return "a line or a filled area"
    return None


def _center(ink: np.ndarray) -> np.ndarray:
    """Scale into a box of 20 x 20 pixels and place it by its center of mass."""
    height, width = (max(1, round(20 * n / max(ink.shape))) for n in ink.shape)
    small = Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(small)
    box = np.clip(pixels / pixels.max(), 0, 1)
    middle = 14.5 - np.array(ndimage.center_of_mass(box))
    top, left = np.clip(middle, 0, (28 - height, 28 - width)).astype(int)
    image = np.zeros((28, 28), np.uint8)
    image[top : top + height, left : left + width] = np.round(255 * box)
    return image


def image_shapes(model: keras.Model) -> tuple[list[tuple[int, ...]], int]:
    """Return the shape of each input and the width of the outputs: 10, or 1 for a pair.

    Raises an InputError unless the model takes images of digits and gives ten values
    per image, or one value per pair of images.

    >>> kmw.digits.image_shapes(run.model)
    ([(28, 28)], 10)
    """
    return _graph_shapes(_as_graph(model))


def _graph_shapes(graph: keras.Model) -> tuple[list[tuple[int, ...]], int]:
    inputs = [tuple(tensor.shape[1:]) for tensor in graph.inputs]
    outputs = [tuple(tensor.shape[1:]) for tensor in graph.outputs]
    takes_images = all(shape in IMAGE_SHAPES for shape in inputs)
    is_pair = len(inputs) == 2 and outputs == [(1,)]
    if not takes_images or not (is_pair or outputs == [(10,)] * len(inputs)):
        raise InputError(
            "`model` should take images of shape (28, 28), (28, 28, 1) or (784,) and "
            "give ten values for each, or one value for two of them. "
            f"Received: inputs of shape {inputs} and outputs of shape {outputs}."
        )
    return inputs, outputs[0][0]


def _as_graph(model: keras.Model) -> keras.Model:
    """Return the model with lists of inputs and of outputs, in the inputs' order."""
    if not isinstance(model, keras.Model) or not model.built:
        raise InputError(
            f"`model` should be a built Keras model. Received: model={model!r}."
        )
    inputs = getattr(model, "inputs", None)
    if inputs:
        outputs = [_answer_to(place, model) for place in range(len(model.outputs))]
        return keras.Model(inputs, outputs)
    shape = (model.get_build_config() or {}).get("input_shape") or (None,)
    try:
        image = keras.Input(shape[1:])
        return keras.Model([image], model(image))
    except Exception as error:  # a subclassed model's own code
        raise InputError(
            "`model` should take one array of images, or be made with the Functional "
            f"API. Received: {model!r}, which was built for {shape}."
        ) from error


def _answer_to(place: int, model: keras.Model) -> keras.KerasTensor:
    """Return the output that depends on one input alone, or the one at its place."""
    if place < len(model.inputs):
        for output in model.outputs:
            inputs = inputs_of(output)
            if len(inputs) == 1 and inputs[0] is model.inputs[place]:
                return output
    return model.outputs[place]


def predict_prepared(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Predict from images as ``prepare_image`` returns them, (count, 28, 28).

    Models with several inputs take the images in turn. Returns ten probabilities per
    image, or one per pair, (count / 2, 1). A model that scales the pixels itself, as with
    ``Rescaling``, gets them up to 255, another one up to 1; logits become
    probabilities. Raises an InputError for answers that are no probabilities.

    >>> kmw.digits.predict_prepared(run.model, x_test[:5]).shape
    (5, 10)
    """
    graph = _as_graph(model)
    are_logits = all(logit_outputs(model))
    pixels = scale_pixels(images)
    if _scales_pixels(model):
        return _answer(graph, 255 * pixels, are_logits)
    answers = _answer(graph, pixels, are_logits)
    # A model may also scale the pixels in code of its own, or have learned from pixels
    # up to 255: then pixels up to 1 look to it as dark as an empty image, both of a
    # pair or one of them.
    one_dark = pixels.copy()
    one_dark[0::2] /= 255
    dark = _answer(graph, pixels / 255, are_logits)
    bright = _answer(graph, 255 * pixels, are_logits)
    nearest = max(
        _distance(answers, dark),
        _distance(answers, _answer(graph, one_dark, are_logits)),
    )
    return bright if nearest < 0.015 and _distance(bright, dark) > 0.2 else answers


def _answer(graph: keras.Model, pixels: np.ndarray, are_logits: bool) -> np.ndarray:
    """Return the probabilities of a graph's answers, one row per image or pair."""
    shapes, width = _graph_shapes(graph)
    x = [
        pixels[place :: len(shapes)].reshape(-1, *shape)
        for place, shape in enumerate(shapes)
    ]
    # Quicker than `predict` for a few pictures.
    outputs = graph(x, training=False)
    answers = [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]
    rows = np.stack(answers, axis=1).reshape(-1, width).astype(np.float32)
    if not np.isfinite(rows).all():
        raise InputError(
            "`model` should answer with numbers. "
            "Received: NaN, as from a model whose training diverged."
        )
    probabilities = as_probabilities(rows, are_logits)
    sums = probabilities.sum(axis=1)
    if width > 1 and not np.allclose(sums, 1, atol=0.01):
        raise InputError(
            "`model` should end in ten probabilities. Received: ten values that sum to "
            f"{sums[0]:.2f}. End it in a layer with activation='softmax'."
        )
    return probabilities


def _distance(answers: np.ndarray, others: np.ndarray) -> float:
    return float(np.abs(answers - others).max(axis=1).mean())


def _scales_pixels(model: Any) -> bool:
    """Tell whether a layer of Keras's scales pixels up to 255, also before training."""
    for part in getattr(model, "layers", []):
        if isinstance(part, keras.layers.Rescaling) and np.max(part.scale) < 0.1:
            return True
        if isinstance(part, keras.layers.Normalization) and np.max(part.mean) > 1:
            return True
        if _scales_pixels(part):
            return True
    return False


def predict_digits(model: keras.Model, images: Any) -> pd.DataFrame:
    """Predict which digits pictures show: a row of ten probabilities per picture.

    Takes one or several of what ``prepare_image`` takes, or a table with a row of
    pixels per picture. A model with two inputs and two outputs takes a picture for each
    of ``model.inputs`` in turn, and each gets a row; one that compares pairs gives one
    row per pair and the column ``same digit``. A picture without a clear digit gets a
    warning and a row of NaN. Raises an InputError if no picture is left, for half a
    pair, and for other or diverged models. Follows "Keras Model Wars: Functional vs
    Sequential": a trained model predicts what it has not seen before.

    >>> predictions = kmw.predict_digits(run.model, ["three.png", "eight.jpg"])
    >>> predictions.shape
    (2, 10)
    """
    shapes, width = image_shapes(model)
    pictures, names = name_pictures(images)
    if not pictures or len(pictures) % len(shapes):
        inputs = ", ".join(tensor.name for tensor in _as_graph(model).inputs)
        raise InputError(
            f"`images` should be {len(shapes)} per prediction, one for each input "
            f"({inputs}). Received: {len(pictures)}."
        )
    prepared = np.zeros((len(pictures), 28, 28), np.uint8)
    reasons: dict[int, InputError] = {}
    for place, picture in enumerate(pictures):
        try:
            prepared[place] = prepare_image(picture, names[place])
        except InputError as error:
            reasons[place] = error
    if len(reasons) == len(pictures):
        raise reasons[0]
    for reason in reasons.values():
        warnings.warn(f"{reason} It gets no answer.", stacklevel=2)
    rows = predict_prepared(model, prepared)
    images_per_row = len(pictures) // len(rows)
    rows[[place // images_per_row for place in reasons]] = np.nan
    if images_per_row == 2:
        pairs = [names[0::2], names[1::2]]
        index = pd.MultiIndex.from_arrays(pairs, names=["left", "right"])
        columns = pd.Index(["same digit"])
    else:
        index = pd.Index(names, name="image")
        columns = pd.RangeIndex(10, name="digit")
    predictions = pd.DataFrame(rows, index, columns)
    # For plot_predictions; as lists, because pandas compares attrs.
    predictions.attrs["prepared"] = {
        name: prepared[place].tolist()
        for place, name in enumerate(names)
        if place not in reasons
    }
    return predictions


def name_pictures(images: Any) -> tuple[list[Any], list[str]]:
    """Return one or several pictures as a list, and what to call each."""
    if isinstance(images, pd.DataFrame):
        images = list(images.to_numpy())
    if hasattr(images, "__array__"):
        images = np.asarray(images)
    is_file = isinstance(images, (str, bytes, os.PathLike)) or hasattr(images, "read")
    is_one = is_file or not isinstance(images, Iterable)
    if isinstance(images, np.ndarray) and images.dtype.kind not in "OU":
        is_one = images.ndim < 3 or images.shape[2:] in ((1,), (3,), (4,))
        is_one = is_one and not _is_table(images)
    pictures = [images] if is_one else list(images)
    names = [
        _name_picture(picture, f"image {place}")
        for place, picture in enumerate(pictures, start=1)
    ]
    return pictures, names


def _name_picture(picture: Any, otherwise: str) -> str:
    is_path = isinstance(picture, (str, os.PathLike))
    return os.fspath(picture) if is_path else otherwise
