"""Pictures of digits: prepared as MNIST's were, recognized as often, and refused in one line if they show none."""

import contextlib
import io
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from keras_model_wars import InputError, models, predicting, scale_pixels
from keras_model_wars.predicting import load_model, plot_predictions, predict_digits, prepare_image

# The strokes of each digit on a field of 100 x 100: a line through points, or an arc of the ellipse in a box, by degrees.
STROKES = [
    [((25, 10, 75, 90), 0, 360)], [[(50, 10), (50, 90)]],
    [((25, 10, 75, 55), 180, 360), [(75, 33), (68, 50), (25, 90), (78, 90)]],
    [((28, 10, 72, 50), 200, 450), ((25, 48, 75, 90), 270, 520)], [[(62, 90), (62, 10), (22, 62), (80, 62)]],
    [[(72, 12), (35, 12), (32, 45)], ((25, 40, 75, 90), 215, 500)],
    [[(65, 10), (45, 25), (32, 50), (28, 66)], ((28, 48, 74, 90), 0, 360)], [[(24, 14), (76, 14), (44, 90)]],
    [((30, 10, 70, 48), 0, 360), ((25, 48, 75, 90), 0, 360)], [((28, 10, 72, 52), 0, 360), [(72, 32), (68, 60), (56, 90)]],
]  # fmt: skip


def stroked(digit, width=24):
    """A digit drawn with a pen on 400 x 400 pixels, black on white."""
    image = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(image)
    for stroke in STROKES[digit]:
        if isinstance(stroke, list):
            draw.line([(4 * x, 4 * y) for x, y in stroke], fill=0, width=width, joint="curve")
        else:
            box, start, end = stroke
            draw.arc([4 * side for side in box], start, end, fill=0, width=width)
    return image


def printed(text, font="Sans"):
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{font}.ttf"
    image = Image.new("RGB", (100 * len(text) + 150, 260), "white")
    ImageDraw.Draw(image).text((60, 30), text, font=ImageFont.truetype(file, 120), fill=(20, 20, 90))
    return image


def photographed(image, shadow=0.75):
    """The picture as a camera takes it: ink that is not black, noise, a dark side, dark corners, and a hard shadow."""
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    light = (0.8 + 0.2 * x) * (1 - 0.15 * (x**2 + y**2)) * np.where(x + 0.3 * y > 0.2, shadow, 1)
    noise = np.random.default_rng(0).normal(0, 4, x.shape)
    gray = 240 * light * (0.2 + 0.8 * np.asarray(image) / 255) + noise
    return Image.fromarray(np.uint8(np.clip(gray, 0, 255)))


def accuracy(model, images, labels):
    """A digit that is refused counts as one that is not recognized."""
    right = 0
    for image, label in zip(images, labels):
        with contextlib.suppress(InputError):
            right += predict_digits(model, image).idxmax(axis="columns").item() == label
    return right / len(labels)


def difference(image, other):
    return np.abs(prepare_image(image) - np.float32(other)).mean()


def test_digits_enlarged_moved_and_inverted_are_recognized_as_often_as_the_originals(good_run, sample):
    x, y = sample[1][0][:200], sample[1][1][:200]
    random, changed = np.random.default_rng(0), []
    for place, digit in enumerate(x):
        side = 28 * int(random.integers(1, 6))
        field = Image.new("L", (2 * side, side + side // 2))
        corner = int(random.integers(0, side)), int(random.integers(0, side // 2))
        field.paste(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), corner)
        file = io.BytesIO()
        (ImageOps.invert(field) if place % 2 else field).save(file, "JPEG")
        changed.append(Image.open(file))
    originals = np.mean(good_run.model.predict(scale_pixels(x), verbose=0).argmax(axis=1) == y)
    assert accuracy(good_run.model, changed, y) >= originals - 0.02
    assert originals > 0.9
    assert np.mean([difference(digit, digit) for digit in sample[0][0][:50]]) < 2


DIGITS = {
    "sans": (0.7, lambda digit: printed(str(digit))),
    "serif italic": (0.7, lambda digit: printed(str(digit), "Serif-Italic")),
    "mono bold oblique": (0.7, lambda digit: printed(str(digit), "SansMono-BoldOblique")),
    "thin pen": (0.9, lambda digit: stroked(digit, 2)), "broad pen": (0.9, lambda digit: stroked(digit, 40)),
    "photographed": (0.9, lambda digit: photographed(stroked(digit))),
}  # fmt: skip


@pytest.mark.parametrize("kind", DIGITS)
def test_digits_are_mostly_recognized_whatever_the_font_the_pen_or_the_light(good_run, kind):
    lowest, make = DIGITS[kind]
    assert accuracy(good_run.model, map(make, range(10)), range(10)) >= lowest
    assert predict_digits(good_run.model, make(7))[7].item() > 0.5


def test_digit_fills_the_box_and_lies_by_its_center_of_mass():
    for digit in range(10):
        image = prepare_image(stroked(digit))
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert np.abs(np.subtract(ndimage.center_of_mass(image), 14)).max() <= 0.6
    heavy_on_the_left = np.pad(np.logical_or.outer(np.arange(80) < 6, np.arange(80) < 20), 10)
    # By its center of mass alone it would begin at column 11 and end behind the last.
    assert np.flatnonzero(prepare_image(heavy_on_the_left).any(axis=0))[[0, -1]].tolist() == [8, 27]


GRAY = np.asarray(stroked(3))
THREE = stroked(3).convert("RGB")
ROUND_CARD = np.dstack([GRAY, GRAY, GRAY, np.uint8(255 * (np.hypot(*np.mgrid[-1:1:400j, -1:1:400j]) < 0.98))])
WHITE_ON_NOTHING = np.dstack([np.full((400, 400, 3), 255, np.uint8), 255 - GRAY])
SAME = {
    "inverted": ImageOps.invert(THREE), "CMYK": THREE.convert("CMYK"),
    "16 bits": Image.fromarray(GRAY.astype(np.uint16) * 257), "booleans": GRAY < 128,
    "32 bits": Image.fromarray(GRAY.astype(np.int32) * 100 + 20_000),
    "floats from 0 to 1": GRAY / 255, "floats from 0 to 255": GRAY.astype(float),
    "one channel": GRAY[..., None], "four channels": WHITE_ON_NOTHING, "on a round card": ROUND_CARD,
    "yellow on white": ImageOps.colorize(stroked(3), (250, 220, 0), "white"),
    "red on green of one lightness": ImageOps.colorize(stroked(3), (200, 0, 0), (0, 102, 0)),
    "small": THREE.resize((60, 60), Image.Resampling.BOX), "large": THREE.resize((3000, 3000)),
    "wide paper": ImageOps.expand(THREE, (700, 20, 30, 300), "white"),
    "cropped": THREE.crop(ImageOps.invert(THREE).getbbox()), "photographed": photographed(GRAY, shadow=1),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_picture_is_prepared_alike(kind):
    assert difference(SAME[kind], prepare_image(THREE)) < 4


def test_every_format_is_read_and_a_camera_held_sideways_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    THREE.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    Image.fromarray(WHITE_ON_NOTHING).save(tmp_path / "transparent.webp", lossless=True)
    Image.fromarray(WHITE_ON_NOTHING).quantize(16).save(tmp_path / "transparent.png")
    for extension in ("gif", "bmp", "tiff"):
        THREE.save(tmp_path / f"three.{extension}")
    for file in tmp_path.iterdir():
        assert difference(file, prepare_image(THREE)) < 3, file


def dark(height, width):
    return np.pad(np.zeros((height, width)), 60, constant_values=1)


random = np.random.default_rng(0)
RULES = np.where(np.arange(400) % 20 < 2, 80, 255)
RULED = np.minimum(GRAY, RULES[:, None])
NOTHING, FILLED, CUT = "nothing that stands out", "a line or a filled area", "; use plain paper, or cut the lines away"
SEVERAL = "several things, noise or squared paper"
REFUSED = {
    "white paper": (dark(0, 0), NOTHING), "all transparent": (Image.new("RGBA", (50, 50)), NOTHING),
    "noisy paper": (np.clip(random.normal(200, 6, (300, 200)), 0, 255).astype(np.uint8), NOTHING),
    "a speck": (dark(3, 3), NOTHING), "one pixel": (np.zeros((1, 1)), NOTHING),
    "specks": (np.where(random.random((300, 300)) > 0.999, 0, 255), NOTHING),
    "noise": (random.integers(0, 256, (100, 100, 3), dtype=np.uint8), SEVERAL),
    "two digits": (printed("12"), SEVERAL), "a word": (printed("hello"), SEVERAL),
    "ruled paper": (RULED, SEVERAL + CUT), "squared paper": (np.minimum(RULED, RULES), SEVERAL + CUT),
    "a line": (dark(5, 180), FILLED), "a square": (dark(100, 100), FILLED),
    "half and half": (np.tile(np.repeat([0, 1], 50), (100, 1)), FILLED), "none": (None, "NoneType"),
    "a vector": (np.zeros(784), r"shape \(784,\)"), "an empty array": (np.zeros((0, 5)), r"shape \(0, 5\)"),
    "not a number": (np.full((28, 28), np.nan), "float64"), "negative numbers": (np.full((28, 28), -1), "int64"),
    "huge numbers": (np.full((28, 28), 1e9), "float64"), "texts": (np.full((28, 28), "7"), "<U1"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_be_no_digit_is_refused(kind):
    image, reason = REFUSED[kind]
    with pytest.raises(InputError, match=f"^`image` should .*Received: .*{reason}.*[.]$"):
        prepare_image(image)


def test_files_that_are_no_pictures_are_refused_by_their_names(tmp_path):
    THREE.save(tmp_path / "whole.png")
    png = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(png[: len(png) // 2])
    (tmp_path / "damaged.png").write_bytes(png[:700] + bytes([png[700] ^ 255]) + png[701:])
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    reasons = {"truncated.png": "truncated", "damaged.png": ".", "program.eps": "cannot identify"}
    for name, reason in (reasons | {"bomb.png": "exceeds limit", "missing.png": "No such file"}).items():
        with pytest.raises(InputError, match=rf"^.*{name} should be a PNG, .*Received: .*{reason}"):
            prepare_image(tmp_path / name)


def test_predictions_name_the_images_and_are_the_models_own(good_run, tmp_path):
    path = str(tmp_path / "three.png")
    THREE.save(path)
    predictions = predict_digits(good_run.model, [path, stroked(7), GRAY])
    assert predictions.index.tolist() == [path, "image 2", "image 3"]
    assert predictions.columns.tolist() == list(range(10))
    x = scale_pixels(np.stack([prepare_image(image) for image in (THREE, stroked(7), GRAY)]))
    np.testing.assert_allclose(predictions, good_run.model.predict(x, verbose=0), rtol=1e-4, atol=1e-7)
    assert all(len(predict_digits(good_run.model, one)) == 1 for one in (path, THREE, GRAY, np.asarray(THREE)))
    with pytest.raises(InputError, match="image 2 should show one digit, .*several things"):
        predict_digits(good_run.model, [THREE, printed("12")])


def test_model_gets_the_pixels_in_its_inputs_shape_and_each_image_its_output():
    images = [stroked(digit) for digit in (1, 2, 3, 4)]
    x = scale_pixels(np.stack([prepare_image(image) for image in images]))
    flat, two = models.build_added_sequential((8, 8)), models.build_two_input_two_output((8, 8), branch_units=8)
    np.testing.assert_allclose(predict_digits(flat, images), flat.predict(x.reshape(4, 784), verbose=0), rtol=1e-5)
    a, b = two.predict([x[0::2], x[1::2]], verbose=0)
    np.testing.assert_allclose(predict_digits(two, images), [a[0], b[0], a[1], b[1]], rtol=1e-5)


def test_plot_shows_each_picture_as_prepared_before_beside_its_bars(good_run, tmp_path, monkeypatch):
    files = [tmp_path / "3.png", tmp_path / "7.png"]
    for file in files:
        stroked(int(file.stem)).save(file)
    predictions = predict_digits(good_run.model, files)
    prepared = [prepare_image(file) for file in files]
    assert pd.concat([predictions, predictions.round(2)]).shape == (4, 10), "pandas compares and copies attrs"
    with pytest.raises(InputError, match="`predictions` should be .* for the 3 `images`. Received: 2 rows"):
        plot_predictions([*files, THREE], predictions)
    of_others = plot_predictions([GRAY, THREE], predictions)
    np.testing.assert_array_equal(of_others.axes[2].images[0].get_array(), prepared[0])
    monkeypatch.setattr(predicting, "prepare_image", None)
    for order in (slice(None), slice(None, None, -1)):
        pictures, rows = (plot_predictions(files[order], predictions[order]).axes[place::2] for place in (0, 1))
        np.testing.assert_array_equal([axis.images[0].get_array() for axis in pictures], prepared[order])
        widths = [[bar.get_width() for bar in axis.patches] for axis in rows]
        np.testing.assert_allclose(widths, predictions[order])
    assert [label.get_text() for label in rows[0].get_yticklabels()] == [str(digit) for digit in range(10)]
    assert (rows[0].get_xlabel(), rows[0].get_ylabel()) == ("probability", "digit")


def test_model_is_loaded_uncompiled_from_its_file_or_its_folder(good_run):
    for path in (good_run.folder, str(good_run.folder / "model.keras")):
        loaded = load_model(path)
        assert not loaded.compiled
        assert predict_digits(loaded, THREE).equals(predict_digits(good_run.model, THREE))


def test_files_that_hold_no_model_are_refused(good_run, tmp_path, monkeypatch):
    class Unknown(keras.layers.Dropout):
        pass

    monkeypatch.chdir(tmp_path)
    content = (good_run.folder / "model.keras").read_bytes()
    Path("truncated.keras").write_bytes(content[:5000])
    Path("model.h5").write_bytes(content)
    for name, layer in {"lambda": keras.layers.Lambda(lambda x: x), "unknown": Unknown(0.5)}.items():
        keras.Sequential([keras.Input((2,)), layer]).save(f"{name}.keras")
    for path, received in {
        "runs/wide_deep": "no such file. To train a model: keras-model-wars train wide_deep",
        "runs/mine": "no such file. To train a model: keras-model-wars train sequential", ".": "no such file",
        "truncated.keras": "another kind of file", "model.h5": "another kind of file",
        "lambda.keras": ".* unsafe one: .*Lambda", "unknown.keras": ".* unsafe one: Could not locate class 'Unknown'",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f"^{path} should be a run's folder or .* Received: {received}.*$"):
            load_model(path)


def test_command_prints_each_answer_and_draws(command, good_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    THREE.save("a three.png")
    stroked(7).save("sieben-ß.jpg")
    result = command("predict", good_run.folder, "a three.png", "sieben-ß.jpg", "--out", "seen.png")
    assert (result.status, result.err) == (0, "")
    certain = f"{predict_digits(good_run.model, THREE)[3].item():.3f}"
    assert all(part in result.out for part in ("a three.png: 3\n", "\nsieben-ß.jpg: 7\n", certain, "Written: seen.png"))
    assert Image.open("seen.png").size > (300, 300)
    for run, out, message in (("runs/x", "a.png", "keras-model-wars train sequential"), ("runs/x", "a.txt", ".png")):
        result = command("predict", run, "missing.png", "--out", out)
        assert (result.status, result.out, result.err.count("\n"), result.err[:7]) == (2, "", 1, "error: ")
        assert message in result.err
    assert len(list(tmp_path.iterdir())) == 3


def test_pairs_get_the_probability_that_both_show_the_same_digit(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stroked(3).save("3.png")
    stroked(7).save("7.png")
    images = ["3.png", "7.png", "3.png", "3.png"]
    model = models.build_shared_layers((8, 8))
    model.get_layer("same").set_weights([np.full((8, 1), -1e3), np.ones(1)])
    predictions = predict_digits(model, images)
    assert predictions.index.tolist() == [("3.png", "7.png"), ("3.png", "3.png")]
    assert predictions.columns.tolist() == ["same digit"]
    # Of an image and itself, no difference is left: the bias alone answers.
    np.testing.assert_allclose(predictions, [[0], [1 / (1 + np.exp(-1))]], atol=1e-6)
    assert [len(axis.images) for axis in plot_predictions(images, predictions).axes] == [1, 1, 0] * 2
    model.save("pairs.keras")
    out = command("predict", "pairs.keras", *images).out
    assert out.index("3.png and 7.png: different digits\n") < out.index("3.png and 3.png: the same digit\n")
