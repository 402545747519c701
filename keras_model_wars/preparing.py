"""A picture of a digit, made into what MNIST's own digits are: a box of 20 x 20 in 28 x 28, placed by its centre of mass."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

Picture = str | os.PathLike | Image.Image | np.ndarray

# Formats that Pillow reads by itself; EPS, for one, it hands to another program.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_LONGEST_SIDE = 1024
# MNIST's digits fill a box of 20 pixels, and the box lies in 28 so that its centre of mass is at pixel 14, 14.
_BOX, _SIDE, _CENTRE = 20, 28, 14
# Shares of the contrast: a stroke reaches the first somewhere, and ends below the second.
_STRONG, _WEAK = 0.5, 0.15
# Shares of full brightness: what differs less from the paper is noise; what differs more is no paper under other light.
_LEAST_CONTRAST, _SAME_PAPER = 0.12, 0.25
# Shares of the longer side of the largest thing: pieces as near are one thing; one as large is a second digit; one as small
# is dirt. Two in a thousand of MNIST's digits fall into two large things.
_NEAR, _LARGE, _SPECK = 0.15, 0.5, 0.1
# What next to none of MNIST's digits exceeds: pieces and holes; width to height; where they differ less than twofold, ink in
# the box.
_MOST_PIECES, _WIDEST, _FULLEST = 30, 2, 0.75
# Widths of a stroke in pixels of the box: one in a hundred of MNIST's digits is drawn thinner than the first, half of them
# thinner than the second.
_THIN, _USUAL = 1.3, 2.3
_TOUCHING = np.ones((3, 3))


def prepare_image(image: Picture, name: str | None = None) -> np.ndarray:
    """Prepare a picture of a digit as MNIST's own digits were, and return it as MNIST holds it: (28, 28), uint8.

    Takes the name of a picture's file (PNG, JPEG, GIF, BMP, TIFF or WebP), a Pillow image, or an array of shape (height,
    width), or with 3 or 4 channels; of any size, in colour or grey, dark on light or light on dark. What differs from the
    background is scaled into a box of 20 x 20, its aspect kept, and placed by its centre of mass; strokes thinner than
    those of MNIST's pens are thickened first. ``name`` is what errors call the picture. Raises a TypeError for another kind
    of object, a ValueError for a picture that holds nothing, several large things or no strokes, or that can't be read.

    >>> prepare_image("three.png").shape
    (28, 28)

    Follows LeCun, Cortes and Burges, "The MNIST database" (1998), on how its digits were made.
    """
    name = name or (os.fspath(image) if isinstance(image, (str, os.PathLike)) else "`image`")
    digit = _thickened(_digit(_ink(_opened(image, name), name), name))
    scale = _BOX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    box = np.asarray(Image.fromarray(digit).resize((width, height), Image.Resampling.BICUBIC))
    box = np.clip(box / box.max(), 0, 1)
    top, left = (
        int(np.clip(round(_CENTRE - middle), 0, _SIDE - side))
        for middle, side in zip(ndimage.center_of_mass(box), box.shape)
    )
    prepared = np.zeros((_SIDE, _SIDE), np.uint8)
    prepared[top : top + height, left : left + width] = np.round(255 * box)
    return prepared


def _opened(picture: Picture, name: str) -> Image.Image:
    """Return the picture as a Pillow image in colour, the way up that it is looked at."""
    expected = f"{name} should be a picture of one digit"
    if isinstance(picture, Image.Image):
        image = picture
    elif isinstance(picture, np.ndarray):
        image = _from_array(picture, expected)
    elif isinstance(picture, (str, os.PathLike)):
        if not Path(picture).is_file():
            raise ValueError(f"{expected}. Received: {'a folder' if Path(picture).is_dir() else 'no such file'}.")
        try:
            with warnings.catch_warnings():
                # Pillow's limit on pixels, against files that unfold to more than the memory holds, only warns at first.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(picture, formats=_FORMATS) as file:
                    image = ImageOps.exif_transpose(file)
        except Exception as error:  # a broken file breaks in Pillow, zlib or struct, each with its own
            raise ValueError(
                f"{expected}, one of {', '.join(_FORMATS)}. Received: a file that can't be read as one ({error})."
            ) from None
    else:
        raise TypeError(f"{expected}: a file's name, a Pillow image or an array. Received: {type(picture).__name__}.")
    if 0 in image.size:
        raise ValueError(f"{expected}. Received: an empty one.")
    if image.mode[0] in "IF":  # 16 or 32 bits a pixel, which Pillow would cut off at 255
        image = _from_array(np.asarray(image), expected)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return image


def _from_array(array: np.ndarray, expected: str) -> Image.Image:
    received = f"Received: an array of shape {array.shape} and dtype {array.dtype}"
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))) or not array.size:
        raise ValueError(f"{expected}, of shape (height, width) or with 3 or 4 channels. {received}.")
    if array.dtype.kind not in "buif" or not np.isfinite(array).all() or array.min() < 0 or array.max() > 65_535:
        raise ValueError(f"{expected}, of numbers in [0, 1], [0, 255] or, in 16 bits, [0, 65535]. {received}.")
    if array.dtype == np.uint16 or array.max() > 255:
        array = array / 257
    elif array.dtype.kind in "bf" and array.max() <= 1:
        array = array * 255.0
    return Image.fromarray((array[..., 0] if array.shape[2:] == (1,) else array).astype(np.uint8))


def _ink(image: Image.Image, name: str) -> np.ndarray:
    """Return how far each pixel is from the background, as a share of the farthest: 0 for paper, 1 for ink."""
    colours = np.asarray(image, dtype=np.float32) / 255
    colours, alpha = colours[..., :3], colours[..., 3:]
    if alpha.size and alpha.min() < 1:
        opaque = ndimage.find_objects((alpha[..., 0] > 0.5).astype(int))
        colours, alpha = (array[opaque[0][:2]] if opaque else array[:0] for array in (colours, alpha[..., 0]))
        visible = colours[alpha > 0.5]
        if not opaque or np.ptp(visible, axis=0).max() < _SAME_PAPER or np.mean(alpha > 0.5) < 0.5:
            ink = alpha  # drawn on nothing, in whatever colour
        else:
            colours = np.where(alpha[..., None] > 0.5, colours, np.median(visible, axis=0))
            ink = np.abs(colours - _background(colours)).max(axis=-1)
    else:
        ink = np.abs(colours - _background(colours)).max(axis=-1)
    # Fewer pixels than these are noise and no stroke.
    contrast = np.sort(ink, axis=None)[-20:].min(initial=1) if ink.size else 0
    if contrast < _LEAST_CONTRAST:
        raise ValueError(f"{name} should show a digit. Received: nothing that stands out from the background.")
    return np.clip(ink / contrast, 0, 1)


def _background(colours: np.ndarray) -> np.ndarray:
    """Return the paper's colour at each pixel, told from the picture's edge: light that falls from one side is a slope."""
    height, width, _ = colours.shape
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    edge = np.ones((height, width), bool)
    edge[1:-1, 1:-1] = False
    typical = np.median(colours[edge], axis=0)
    edge &= np.abs(colours - typical).max(axis=-1) < _SAME_PAPER
    terms = np.stack([np.ones_like(rows), rows, columns], axis=-1).astype(np.float32)
    slope, *_ = np.linalg.lstsq(terms[edge], colours[edge] - typical, rcond=None)
    return typical + terms @ slope


def _digit(ink: np.ndarray, name: str) -> np.ndarray:
    """Return the ink of the one digit in the picture, or raise a ValueError if there is no one digit."""
    strokes = ndimage.binary_propagation(ink > _STRONG, structure=_TOUCHING, mask=ink > _WEAK)
    # A stroke that breaks off and goes on is one thing.
    reach = _NEAR * _sides(ndimage.label(strokes, _TOUCHING)[0]).max() / 2
    things, count = ndimage.label(ndimage.distance_transform_edt(~strokes) <= reach, _TOUCHING)
    things[~strokes] = 0
    sides = _sides(things)
    side = sides.max()
    if side < max(5, 0.02 * max(ink.shape)):
        raise ValueError(f"{name} should show a digit. Received: nothing larger than specks.")
    large = np.count_nonzero(sides >= _LARGE * side)
    if large > 1:
        raise ValueError(f"{name} should show one digit. Received: {large} separate things; cut one out.")
    distances = ndimage.distance_transform_edt(things != sides.argmax() + 1)
    gaps = ndimage.minimum(distances, things, np.arange(1, count + 1))
    belongs = (sides >= _SPECK * side) & (gaps <= _LARGE * side)
    digit = np.where(np.isin(things, np.flatnonzero(belongs) + 1), ink, 0)
    digit = np.pad(digit[ndimage.find_objects((digit > _WEAK).astype(int))[0]], 1)

    strong = digit > _STRONG
    pieces = ndimage.label(strong, _TOUCHING)[1] + ndimage.label(~strong)[1] - 1
    if pieces > _MOST_PIECES:
        raise ValueError(f"{name} should show one digit. Received: {pieces} pieces and holes, more than a digit has.")
    height, width = (part.stop - part.start for part in ndimage.find_objects(strong.astype(int))[0])
    if width > _WIDEST * height:
        raise ValueError(
            f"{name} should show one digit. Received: something {width / height:.1f} times as wide as high."
        )
    if 2 * min(height, width) > max(height, width) and strong.sum() > _FULLEST * height * width:
        raise ValueError(f"{name} should show a digit drawn in strokes. Received: a filled area.")
    return digit


def _thickened(digit: np.ndarray) -> np.ndarray:
    """Return the digit in its box, drawn with a pen as broad as MNIST's if its own was thinner than all of those."""
    strong = digit > _STRONG
    unit = max(digit.shape) / _BOX
    # Across a stroke, the distance to its edge is a quarter of its width on average, and half a pixel more to the next centre.
    width = (4 * ndimage.distance_transform_edt(strong)[strong].mean() - 2) / unit
    if width < _THIN:
        more = max(1, round((_USUAL - width) * unit))
        digit = ndimage.maximum_filter(np.pad(digit, more), size=more)
    return digit[ndimage.find_objects((digit > _WEAK).astype(int))[0]].astype(np.float32)


def _sides(things: np.ndarray) -> np.ndarray:
    """Return the longer side of each labelled thing's box."""
    return np.array([max(part.stop - part.start for part in box) for box in ndimage.find_objects(things)])
