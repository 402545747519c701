"""Pictures of digits: prepared as MNIST's were, recognized as often, and refused in one line if they show none."""

import io
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from keras_model_wars.predicting import (
    predict_digits,
    prepare_image,
)
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from keras_model_wars import (
    InputError,
    models,
    plot_predictions,
    predicting,
    scale_pixels,
)

# The strokes of each digit on 400 x 400 pixels: a line through points, or an arc of the ellipse in a box, by degrees.
STROKES = [
    [((100, 40, 300, 360), 0, 360)],
    [[(200, 40), (200, 360)]],
    [((100, 40, 300, 220), 180, 360), [(300, 132), (272, 200), (100, 360), (312, 360)]],
    [((112, 40, 288, 200), 200, 450), ((100, 192, 300, 360), 270, 520)],
    [[(248, 360), (248, 40), (88, 248), (320, 248)]],
    [[(288, 48), (140, 48), (128, 180)], ((100, 160, 300, 360), 215, 500)],
    [[(260, 40), (180, 100), (128, 200), (112, 264)], ((112, 192, 296, 360), 0, 360)],
    [[(96, 56), (304, 56), (176, 360)]],
    [((120, 40, 280, 192), 0, 360), ((100, 192, 300, 360), 0, 360)],
    [((112, 40, 288, 208), 0, 360), [(288, 128), (272, 240), (224, 360)]],
]


def stroked(digit, width=24):
    """A digit drawn with a pen, black on white."""
    image = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(image)
    for stroke in STROKES[digit]:
        if isinstance(stroke, list):
            draw.line(stroke, fill=0, width=width, joint="curve")
        else:
            draw.arc(*stroke, fill=0, width=width)
    return image


def printed(text, font="Sans"):
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVu{font}.ttf"
    image = Image.new("RGB", (100 * len(str(text)) + 150, 260), "white")
    ImageDraw.Draw(image).text(
        (60, 30), str(text), font=ImageFont.truetype(file, 120), fill=(20, 20, 90)
    )
    return image


def dark(height, width):
    """A dark rectangle on white paper."""
    return np.pad(np.zeros((height, width)), 60, constant_values=1)


def photographed(image, shadow=0.75):
    """The picture as a camera takes it: ink that is not black, noise, a dark side, dark corners, and a hard shadow."""
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    light = (
        (0.8 + 0.2 * x)
        * (1 - 0.15 * (x**2 + y**2))
        * np.where(x + 0.3 * y > 0.2, shadow, 1)
    )
    gray = 240 * light * (0.2 + 0.8 * np.asarray(image) / 255) + np.random.default_rng(
        0
    ).normal(0, 4, x.shape)
    return Image.fromarray(np.uint8(np.clip(gray, 0, 255)))


def recognized(model, image):
    """Return the most probable digit; None if the picture is refused."""
    try:
        return predict_digits(model, image).idxmax(axis="columns").item()
    except InputError:
        return None


def difference(image, other):
    return np.abs(prepare_image(image) - np.float32(other)).mean()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Pictures of a three and a seven in the working directory, named by a path and by a text."""
    monkeypatch.chdir(tmp_path)
    THREE.save("a three.png")
    stroked(7).save("sieben-ß.jpg")
    return [Path("a three.png"), "sieben-ß.jpg"]


def test_digits_enlarged_moved_and_inverted_are_recognized_as_often_as_the_originals(
    good_run, sample
):
    x, y = sample[1][0][:200], sample[1][1][:200]
    random, answers = np.random.default_rng(0), []
    for place, digit in enumerate(x):
        side = 28 * int(random.integers(1, 6))
        field = Image.new("L", (2 * side, side + side // 2))
        corner = int(random.integers(0, side)), int(random.integers(0, side // 2))
        field.paste(
            Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC),
            corner,
        )
        file = io.BytesIO()
        (ImageOps.invert(field) if place % 2 else field).save(file, "JPEG")
        answers.append(recognized(good_run.model, Image.open(file)))
    originals = np.mean(
        good_run.model.predict(scale_pixels(x), verbose=0).argmax(axis=1) == y
    )
    assert np.mean(answers == y) >= originals - 0.02
    assert originals > 0.9
    assert np.mean([difference(digit, digit) for digit in sample[0][0][:50]]) < 2


DIGITS = {
    "sans": (7, printed),
    "serif italic": (7, partial(printed, font="Serif-Italic")),
    "mono bold oblique": (7, partial(printed, font="SansMono-BoldOblique")),
    "thin pen": (9, partial(stroked, width=2)),
    "broad pen": (9, partial(stroked, width=40)),
    "photographed": (9, lambda digit: photographed(stroked(digit))),
}


@pytest.mark.parametrize(("at_least", "make"), DIGITS.values(), ids=DIGITS)
def test_digits_are_mostly_recognized_whatever_the_font_the_pen_or_the_light(
    good_run, at_least, make
):
    assert (
        sum(recognized(good_run.model, make(digit)) == digit for digit in range(10))
        >= at_least
    )
    assert predict_digits(good_run.model, make(7))[7].item() > 0.5


def test_digit_fills_the_box_and_lies_by_its_center_of_mass():
    for digit in range(10):
        image = prepare_image(stroked(digit))
        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
        assert np.ptp(image.nonzero(), axis=1).max() + 1 == 20
        assert np.abs(np.subtract(ndimage.center_of_mass(image), 14)).max() <= 0.6
    heavy_on_the_left = np.pad(
        np.logical_or.outer(np.arange(80) < 6, np.arange(80) < 20), 10
    )
    # By its center of mass alone it would begin at column 11 and end behind the last.
    assert np.flatnonzero(prepare_image(heavy_on_the_left).any(axis=0))[
        [0, -1]
    ].tolist() == [8, 27]


GRAY, THREE = np.asarray(stroked(3)), stroked(3).convert("RGB")
ROUND_CARD = np.dstack(
    [
        GRAY,
        GRAY,
        GRAY,
        np.uint8(255 * (np.hypot(*np.mgrid[-1:1:400j, -1:1:400j]) < 0.98)),
    ]
)
WHITE_ON_NOTHING = np.dstack([np.full((400, 400, 3), 255, np.uint8), 255 - GRAY])
SAME = {
    "inverted": ImageOps.invert(THREE),
    "CMYK": THREE.convert("CMYK"),
    "booleans": GRAY < 128,
    "16 bits": Image.fromarray(GRAY.astype(np.uint16) * 257),
    "floats from 0 to 1": GRAY / 255,
    "32 bits": Image.fromarray(GRAY.astype(np.int32) * 100 + 20_000),
    "floats from 0 to 255": GRAY.astype(float),
    "one channel": GRAY[..., None],
    "four channels": WHITE_ON_NOTHING,
    "on a round card": ROUND_CARD,
    "yellow on white": ImageOps.colorize(stroked(3), (250, 220, 0), "white"),
    "red on green of one lightness": ImageOps.colorize(
        stroked(3), (200, 0, 0), (0, 102, 0)
    ),
    "small": THREE.resize((60, 60), Image.Resampling.BOX),
    "large": THREE.resize((3000, 3000)),
    "wide paper": ImageOps.expand(THREE, (700, 20, 30, 300), "white"),
    "cropped": THREE.crop(ImageOps.invert(THREE).getbbox()),
    "photographed": photographed(GRAY, shadow=1),
}


@pytest.mark.parametrize("image", SAME.values(), ids=SAME)
def test_every_kind_of_picture_is_prepared_alike(image):
    assert difference(image, prepare_image(THREE)) < 4


random = np.random.default_rng(0)
RULES = np.where(np.arange(400) % 20 < 2, 80, 255)
NOTHING, FILLED = "nothing that stands out", "a line or a filled area"
SEVERAL = "several things, noise or squared paper"
REFUSED = {
    "white paper": (dark(0, 0), NOTHING),
    "all transparent": (Image.new("RGBA", (50, 50)), NOTHING),
    "noisy paper": (
        np.clip(random.normal(200, 6, (300, 200)), 0, 255).astype(np.uint8),
        NOTHING,
    ),
    "a speck": (dark(3, 3), NOTHING),
    "one pixel": (np.zeros((1, 1)), NOTHING),
    "specks": (np.where(random.random((300, 300)) > 0.999, 0, 255), NOTHING),
    "noise": (random.integers(0, 256, (100, 100, 3), dtype=np.uint8), SEVERAL),
    "a word": (printed("hello"), SEVERAL),
    "two digits": (printed(12), SEVERAL),
    "two digits close together": (printed(86), SEVERAL),
    "ruled paper": (GRAY.clip(max=RULES[:, None]), SEVERAL),
    "squared paper": (GRAY.clip(max=RULES).clip(max=RULES[:, None]), SEVERAL),
    "a line": (dark(5, 180), FILLED),
    "a square": (dark(100, 100), FILLED),
    "half and half": (np.tile(np.repeat([0, 1], 50), (100, 1)), FILLED),
    "none": (None, "NoneType"),
    "a vector": (np.zeros(784), r"shape \(784,\)"),
    "an empty array": (np.zeros((0, 5)), r"shape \(0, 5\)"),
    "texts": (np.full((28, 28), "7"), "<U1"),
    "not a number": (np.full((28, 28), np.nan), "float64"),
    "negative numbers": (np.full((28, 28), -1), "int64"),
    "huge numbers": (np.full((28, 28), 1e9), "float64"),
}


@pytest.mark.parametrize(("image", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_no_digit_is_refused(image, reason):
    what_to_do = (
        "on plain paper; cut away what else is there"
        if reason in (SEVERAL, FILLED)
        else ""
    )
    with pytest.raises(
        InputError, match=f"^`image` should .*{what_to_do}.*Received: .*{reason}.*[.]$"
    ):
        prepare_image(image)


def test_files_of_every_format_are_read_also_if_turned_and_others_are_refused_by_their_names(
    tmp_path,
):
    exif = Image.Exif()
    exif[0x0112] = 6  # from a camera held sideways
    THREE.transpose(Image.Transpose.ROTATE_90).save(
        tmp_path / "turned.jpg", exif=exif, quality=95
    )
    Image.fromarray(WHITE_ON_NOTHING).save(tmp_path / "transparent.webp", lossless=True)
    Image.fromarray(WHITE_ON_NOTHING).quantize(16).save(tmp_path / "transparent.png")
    for extension in ("gif", "bmp", "tiff", "png"):
        THREE.save(tmp_path / f"three.{extension}")
    for file in tmp_path.iterdir():
        assert difference(file, prepare_image(THREE)) < 3, file

    png = (tmp_path / "three.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(png[: len(png) // 2])
    (tmp_path / "damaged.png").write_bytes(
        png[:700] + bytes([png[700] ^ 255]) + png[701:]
    )
    (tmp_path / "program.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"
    )
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    reasons = {
        "truncated.png": "truncated",
        "damaged.png": ".",
        "program.eps": "cannot identify",
    }
    for name, reason in (
        reasons | {"bomb.png": "exceeds limit", "missing.png": "No such file"}
    ).items():
        with pytest.raises(
            InputError, match=rf"^.*{name} should be a PNG, .*Received: .*{reason}"
        ):
            prepare_image(tmp_path / name)


def test_predictions_name_the_images_and_are_the_models_own_whatever_shape_its_inputs_have(
    good_run, files
):
    images = [*files, np.asarray(stroked(2)), stroked(1)]
    x = scale_pixels(np.stack([prepare_image(image) for image in images]))
    predictions = predict_digits(good_run.model, images)
    assert predictions.index.tolist() == [
        "a three.png",
        "sieben-ß.jpg",
        "image 3",
        "image 4",
    ]
    assert predictions.columns.tolist() == list(range(10))
    np.testing.assert_allclose(
        predictions, good_run.model.predict(x, verbose=0), rtol=1e-4, atol=1e-7
    )
    flat, two = (
        models.build_added_sequential((8, 8)),
        models.build_two_input_two_output((8, 8), branch_units=8),
    )
    np.testing.assert_allclose(
        predict_digits(flat, images),
        flat.predict(x.reshape(4, 784), verbose=0),
        rtol=1e-5,
    )
    a, b = two.predict([x[0::2], x[1::2]], verbose=0)
    np.testing.assert_allclose(
        predict_digits(two, images), [a[0], b[0], a[1], b[1]], rtol=1e-5
    )
    assert all(
        len(predict_digits(good_run.model, one)) == 1
        for one in (*files, THREE, GRAY, np.asarray(THREE))
    )
    with pytest.raises(
        InputError, match="image 2 should show one digit, .*several things"
    ):
        predict_digits(good_run.model, [THREE, printed(12)])


def test_model_that_diverged_is_refused_by_what_predicts(good_run, files, command):
    model = models.build_sequential((8, 8))
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    model.save("diverged.keras")
    with pytest.raises(
        InputError,
        match="`model` should answer with numbers. Received: NaN, .* diverged",
    ):
        predict_digits(model, THREE)
    result = command("predict", "diverged.keras", *files)
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)


def test_plot_shows_each_picture_as_prepared_before_beside_its_bars(
    good_run, files, monkeypatch
):
    predictions, prepared = (
        predict_digits(good_run.model, files),
        [prepare_image(file) for file in files],
    )
    assert pd.concat([predictions, predictions.round(2)]).shape == (4, 10), (
        "pandas compares and copies attrs"
    )
    with pytest.raises(
        InputError,
        match="`predictions` should be .* for the 3 `images`. Received: 2 rows",
    ):
        plot_predictions([*files, THREE], predictions)
    of_others = plot_predictions([GRAY, THREE], predictions)
    np.testing.assert_array_equal(of_others.axes[2].images[0].get_array(), prepared[0])
    monkeypatch.setattr(predicting, "prepare_image", None)
    for order in (slice(None), slice(None, None, -1)):
        pictures, rows = (
            plot_predictions(files[order], predictions[order]).axes[place::2]
            for place in (0, 1)
        )
        np.testing.assert_array_equal(
            [axis.images[0].get_array() for axis in pictures], prepared[order]
        )
        np.testing.assert_allclose(
            [[bar.get_width() for bar in axis.patches] for axis in rows],
            predictions[order],
        )
    assert [label.get_text() for label in rows[0].get_yticklabels()] == [
        str(digit) for digit in range(10)
    ]
    assert (rows[0].get_xlabel(), rows[0].get_ylabel()) == ("probability", "digit")


def test_command_prints_each_answer_and_draws(command, good_run, files, tmp_path):
    result = command("predict", good_run.folder, *files, "--out", "seen.png")
    assert (result.status, result.err) == (0, "")
    certain = f"{predict_digits(good_run.model, THREE)[3].item():.3f}"
    assert all(
        part in result.out
        for part in (
            "a three.png: 3\n",
            "\nsieben-ß.jpg: 7\n",
            certain,
            "Written: seen.png",
        )
    )
    assert Image.open("seen.png").size > (300, 300)
    for run, out, message in (
        ("runs/x", "a.png", "keras-model-wars train sequential"),
        ("runs/x", "a.txt", ".png"),
    ):
        result = command("predict", run, "missing.png", "--out", out)
        assert (result.status, result.out, result.err.count("\n"), result.err[:7]) == (
            2,
            "",
            1,
            "error: ",
        )
        assert message in result.err
    assert len(list(tmp_path.iterdir())) == 3


def test_pairs_get_the_probability_that_both_show_the_same_digit(command, files):
    three, seven = files
    images = [three, seven, three, three]
    model = models.build_shared_layers((8, 8))
    model.get_layer("same").set_weights([np.full((8, 1), -1e3), np.ones(1)])
    predictions = predict_digits(model, images)
    assert predictions.index.tolist() == [
        ("a three.png", "sieben-ß.jpg"),
        ("a three.png", "a three.png"),
    ]
    assert predictions.columns.tolist() == ["same digit"]
    # Of an image and itself, no difference is left: the bias alone answers.
    np.testing.assert_allclose(predictions, [[0], [1 / (1 + np.exp(-1))]], atol=1e-6)
    assert [
        len(axis.images) for axis in plot_predictions(images, predictions).axes
    ] == [1, 1, 0] * 2
    model.save("pairs.keras")
    out = command("predict", "pairs.keras", *images).out
    different, same = (
        f"{three} and {seven}: different digits\n",
        f"{three} and {three}: the same digit\n",
    )
    assert out.index(different) < out.index(same)
