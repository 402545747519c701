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

from keras_model_wars import (
    InputError,
    build_added_sequential,
    build_shared_layers,
    build_two_input_two_output,
    load_model,
    plot_predictions,
    predict_digits,
    predicting,
    prepare_image,
    scale_pixels,
)

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
# The strokes of each digit on a field of 100 x 100: a line through points, or an arc of the ellipse in a box, by degrees.
STROKES = {
    0: [((25, 10, 75, 90), 0, 360)],
    1: [[(50, 10), (50, 90)]],
    2: [((25, 10, 75, 55), 180, 360), [(75, 33), (68, 50), (25, 90), (78, 90)]],
    3: [((28, 10, 72, 50), 200, 450), ((25, 48, 75, 90), 270, 520)],
    4: [[(62, 90), (62, 10), (22, 62), (80, 62)]],
    5: [[(72, 12), (35, 12), (32, 45)], ((25, 40, 75, 90), 215, 500)],
    6: [[(65, 10), (45, 25), (32, 50), (28, 66)], ((28, 48, 74, 90), 0, 360)],
    7: [[(24, 14), (76, 14), (44, 90)]],
    8: [((30, 10, 70, 48), 0, 360), ((25, 48, 75, 90), 0, 360)],
    9: [((28, 10, 72, 52), 0, 360), [(72, 32), (68, 60), (56, 90)]],
}


def stroked(digit, width=24, scale=4):
    """A digit drawn with a round pen, black on white."""
    image = Image.new("L", (100 * scale, 100 * scale), 255)
    draw = ImageDraw.Draw(image)
    for stroke in STROKES[digit]:
        if isinstance(stroke, list):
            points = [(scale * x, scale * y) for x, y in stroke]
            draw.line(points, fill=0, width=width, joint="curve")
            for x, y in points:
                draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
        else:
            box, start, end = stroke
            draw.arc([scale * side for side in box], start, end, fill=0, width=width)
    return image


def printed(text, font="DejaVuSans.ttf"):
    """A text in a font, dark blue on white."""
    image = Image.new("RGB", (100 * len(text) + 150, 260), "white")
    ImageDraw.Draw(image).text((60, 30), text, font=ImageFont.truetype(FONTS / font, 120), fill=(20, 20, 90))
    return image


def saved(image, format, **options):
    """The picture as its format brings it back."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return Image.open(file)


def lit(gray, light, noise=4):
    """The picture as a camera takes it: ink that is not black, uneven light from 0 to 1, and noise."""
    noise = np.random.default_rng(0).normal(0, noise, np.shape(gray))
    return Image.fromarray(np.clip(240 * light * (0.2 + 0.8 * np.asarray(gray) / 255) + noise, 0, 255).astype(np.uint8))


def vignette(darker, shadow=1.0):
    """The light on 400 x 400 pixels whose corners are darker, with a shadow whose edge is hard."""
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    return (1 - darker * (x**2 + y**2) / 2) * np.where(x + 0.3 * y > 0.2, shadow, 1)


def accuracy(model, images, labels):
    """A digit that is refused counts as one that is not recognized."""
    right = 0
    for image, label in zip(images, labels):
        with contextlib.suppress(InputError):
            right += predict_digits(model, image).idxmax(axis="columns").item() == label
    return right / len(labels)


@pytest.fixture(scope="module")
def model(good_run):
    return good_run.model


def test_changed_digits_are_recognized_as_often_as_the_originals(model, sample):
    _, (x, y) = sample
    random = np.random.default_rng(0)
    changed = []
    for place, digit in enumerate(x):
        side = 28 * int(random.integers(1, 6))
        field = Image.new("L", (2 * side, side + side // 2))
        corner = int(random.integers(0, side)), int(random.integers(0, side // 2))
        field.paste(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC), corner)
        changed.append(saved(ImageOps.invert(field) if place % 2 else field, "JPEG" if place % 3 else "PNG"))

    originals = np.mean(model.predict(scale_pixels(x), verbose=0).argmax(axis=1) == y)
    assert accuracy(model, changed, y) >= originals - 0.02
    assert originals > 0.9


def test_mnist_digits_are_already_as_they_should_be(sample):
    (x, _), _ = sample
    assert np.mean([np.abs(prepare_image(digit).astype(int) - digit) for digit in x[:100]]) < 2


DIGITS = {
    "DejaVu Sans": lambda digit: printed(str(digit)),
    "DejaVu Serif": lambda digit: printed(str(digit), "DejaVuSerif.ttf"),
    "DejaVu Serif Italic": lambda digit: printed(str(digit), "DejaVuSerif-Italic.ttf"),
    "DejaVu Sans Mono Bold Oblique": lambda digit: printed(str(digit), "DejaVuSansMono-BoldOblique.ttf"),
    "thin pen": lambda digit: stroked(digit, 2),
    "pen": lambda digit: stroked(digit, 8),
    "broad pen": lambda digit: stroked(digit, 40),
    "dark corners, 25 %": lambda digit: lit(stroked(digit), vignette(0.25)),
    "dark corners, 40 %": lambda digit: lit(stroked(digit), vignette(0.4)),
    "dark corners and a hard shadow": lambda digit: lit(stroked(digit), vignette(0.4, 0.75)),
}


@pytest.mark.parametrize("kind", DIGITS)
def test_digits_are_mostly_recognized_whatever_the_pen_the_font_or_the_light(model, kind):
    images = [DIGITS[kind](digit) for digit in range(10)]

    assert accuracy(model, images, range(10)) >= (0.7 if kind.startswith("DejaVu") else 0.9)
    assert predict_digits(model, images[7])[7].item() > 0.5


def test_digit_fills_the_box_and_lies_by_its_center_of_mass():
    for digit in range(10):
        image = prepare_image(stroked(digit))
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))

        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert np.abs(np.subtract(ndimage.center_of_mass(image), 14)).max() <= 0.6


def test_digit_heavy_on_one_side_is_not_cut_off():
    image = np.zeros((100, 100), np.uint8)
    image[10:90, 10:30] = 255
    image[10:16, 10:90] = 255
    columns = np.flatnonzero(prepare_image(image).any(axis=0))

    # By its center of mass alone it would begin at column 11 and end behind the last.
    assert (columns.min(), columns.max()) == (8, 27)


THREE = stroked(3).convert("RGB")
GRAY = np.asarray(THREE.convert("L"))


def on_nothing(color):
    """The three in a color on a transparent ground."""
    return Image.fromarray(np.dstack([np.full((*GRAY.shape, 3), color, np.uint8), 255 - GRAY]))


def on_a_card():
    """The three on a white card with round corners, transparent beyond."""
    mask = Image.new("L", THREE.size)
    ImageDraw.Draw(mask).rounded_rectangle((5, 5, 395, 395), 60, fill=255)
    card = THREE.copy()
    card.putalpha(mask)
    return card


def colored(ink, paper):
    share = GRAY[..., None] / 255
    return Image.fromarray((share * paper + (1 - share) * ink).astype(np.uint8))


SAME = {
    "gray": THREE.convert("L"),
    "inverted": ImageOps.invert(THREE),
    "palette": THREE.quantize(8),
    "CMYK": THREE.convert("CMYK"),
    "16 bits": saved(Image.fromarray(GRAY.astype(np.uint16) * 257), "PNG"),
    "32 bits": THREE.convert("L").convert("I"),
    "floats from 0 to 1": GRAY / 255,
    "floats from 0 to 255": GRAY.astype(float),
    "uint16": GRAY.astype(np.uint16) * 257,
    "booleans": GRAY < 128,
    "one channel": GRAY[..., None],
    "four channels": np.asarray(on_nothing((0, 0, 0))),
    "black on nothing": on_nothing((0, 0, 0)),
    "white on nothing": saved(on_nothing((255, 255, 255)), "WEBP", lossless=True),
    "transparent palette": saved(on_nothing((200, 0, 0)).quantize(16), "PNG"),
    "on a card": on_a_card(),
    "yellow on white": colored((250, 220, 0), (255, 255, 255)),
    "red on green of one lightness": colored((200, 0, 0), (0, 102, 0)),
    "GIF": saved(THREE, "GIF"),
    "TIFF": saved(THREE, "TIFF"),
    "BMP": saved(THREE, "BMP"),
    "small": THREE.resize((60, 60), Image.Resampling.BOX),
    "large": THREE.resize((3000, 3000)),
    "wide paper": ImageOps.expand(THREE, (700, 20, 30, 300), "white"),
    "cropped": THREE.crop(ImageOps.invert(THREE).getbbox()),
    "photographed": lit(GRAY, np.linspace(1, 0.55, 400)[None, :] + np.linspace(0, 0.08, 400)[:, None]),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_picture_is_prepared_alike(kind):
    difference = np.abs(prepare_image(SAME[kind]).astype(int) - prepare_image(THREE))

    assert difference.mean() < 4


def test_camera_held_sideways_is_turned_back(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    THREE.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)

    assert np.abs(prepare_image(tmp_path / "turned.jpg").astype(int) - prepare_image(THREE)).mean() < 3


def drawn(shape, *where, **options):
    image = Image.new("L", (200, 200), 255)
    getattr(ImageDraw.Draw(image), shape)(*where, fill=0, **options)
    return image


def on_lined_paper(*directions):
    """The three on a sheet with dark lines every 20 pixels."""
    sheet = THREE.convert("L")
    for place in range(10, 400, 20):
        for direction in directions:
            line = (0, place, 400, place) if direction == "across" else (place, 0, place, 400)
            ImageDraw.Draw(sheet).line(line, fill=80, width=2)
    return sheet


random = np.random.default_rng(0)
NOTHING, SEVERAL, FILLED = (
    "nothing that stands out",
    "several things, noise or squared paper",
    "a line or a filled area",
)
REFUSED = {
    "white paper": (Image.new("L", (100, 100), 255), NOTHING),
    "noisy paper": (np.clip(random.normal(200, 6, (300, 200)), 0, 255).astype(np.uint8), NOTHING),
    "all transparent": (Image.new("RGBA", (50, 50)), NOTHING),
    "one pixel": (np.zeros((1, 1)), NOTHING),
    "a speck": (drawn("ellipse", (50, 50, 52, 52)), NOTHING),
    "specks": (np.where(random.random((300, 300)) > 0.999, 0, 255), NOTHING),
    "two digits": (printed("12"), SEVERAL),
    "three digits": (printed("205"), SEVERAL),
    "a word": (printed("hello"), SEVERAL),
    "noise": (random.integers(0, 256, (100, 100, 3), dtype=np.uint8), SEVERAL),
    "squared paper": (on_lined_paper("across", "down"), f"{SEVERAL}.*use plain paper, or cut the lines away"),
    "ruled paper": (on_lined_paper("across"), f"{SEVERAL}.*use plain paper, or cut the lines away"),
    "a line": (drawn("line", (10, 50, 190, 50), width=5), FILLED),
    "a square": (drawn("rectangle", (50, 50, 150, 150)), FILLED),
    "a disc": (drawn("ellipse", (50, 50, 150, 150)), FILLED),
    "half and half": (np.repeat([[0, 255]], 50, axis=0).repeat(25, axis=1), FILLED),
    "an empty array": (np.zeros((0, 5)), r"shape \(0, 5\)"),
    "a vector": (np.zeros(784), r"shape \(784,\)"),
    "not a number": (np.full((28, 28), np.nan), "dtype float64"),
    "negative numbers": (np.full((28, 28), -1), "dtype int64"),
    "huge numbers": (np.full((28, 28), 1e9), "dtype float64"),
    "texts": (np.full((28, 28), "7"), "dtype <U1"),
    "none": (None, "NoneType"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_be_no_digit_is_refused(kind):
    image, reason = REFUSED[kind]

    with pytest.raises(InputError, match=f"^`image` should .*Received: .*{reason}.*[.]$"):
        prepare_image(image)


PNG = saved(THREE, "PNG").fp.getvalue()
BOMB = io.BytesIO()
Image.new("1", (14_000, 14_000)).save(BOMB, "PNG")
UNREADABLE = {
    "truncated.png": (PNG[: len(PNG) // 2], "truncated"),
    "damaged.png": (PNG[:700] + bytes([PNG[700] ^ 255]) + PNG[701:], "."),
    "bomb.png": (BOMB.getvalue(), r"196000000 pixels.* exceeds limit"),
    "program.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot identify"),
    "text.png": (b"7", "cannot identify"),
    "missing.png": (None, "No such file"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_file_that_is_no_picture_is_refused_by_its_name(tmp_path, name):
    content, reason = UNREADABLE[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=rf"^.*{name} should be a PNG, .*Received: .*{reason}"):
        prepare_image(tmp_path / name)


def test_predictions_name_the_images_and_are_the_models_own(model, tmp_path):
    THREE.save(tmp_path / "three.png")
    predictions = predict_digits(model, [str(tmp_path / "three.png"), stroked(7), GRAY])

    assert predictions.index.tolist() == [str(tmp_path / "three.png"), "image 2", "image 3"]
    assert predictions.columns.tolist() == list(range(10))
    x = scale_pixels(np.stack([prepare_image(image) for image in (THREE, stroked(7), GRAY)]))
    np.testing.assert_allclose(predictions, model.predict(x, verbose=0), rtol=1e-4, atol=1e-7)
    for one in (THREE, GRAY, np.asarray(THREE)):
        assert predict_digits(model, one).shape == (1, 10)  # no list needed


def test_many_images_are_one_row_each_and_in_their_order(model, sample, monkeypatch):
    monkeypatch.setattr(predicting, "prepare_image", lambda image, name: image)
    _, (x, _) = sample
    x = np.concatenate([x, x[::-1], x[:7]])

    np.testing.assert_allclose(
        predict_digits(model, x), model.predict(scale_pixels(x), verbose=0), rtol=1e-3, atol=1e-6
    )


def test_model_on_flat_vectors_sees_the_same_pixels():
    model = build_added_sequential((8, 8))
    expected = model.predict(scale_pixels(prepare_image(THREE)).reshape(1, 784), verbose=0)
    np.testing.assert_allclose(predict_digits(model, THREE), expected, rtol=1e-5)


def test_two_inputs_take_an_image_each_and_each_gets_its_output():
    model = build_two_input_two_output((8, 8), branch_units=8)
    images = [stroked(digit) for digit in (1, 2, 3, 4)]
    x = scale_pixels(np.stack([prepare_image(image) for image in images]))

    a, b = model.predict([x[0::2], x[1::2]], verbose=0)
    np.testing.assert_allclose(predict_digits(model, images), [a[0], b[0], a[1], b[1]], rtol=1e-5)


def test_pairs_get_the_probability_that_both_show_the_same_digit():
    predictions = predict_digits(build_shared_layers((8, 8)), [stroked(1), stroked(2), stroked(3), stroked(3)])

    assert predictions.index.tolist() == [("image 1", "image 2"), ("image 3", "image 4")]
    assert predictions.columns.tolist() == ["same digit"]
    # The same image twice: no difference is left, so the answer is what the last layer makes of zeros.
    assert predictions.loc[("image 3", "image 4"), "same digit"] == pytest.approx(0.5)


def test_wrong_calls_are_refused(model):
    chain = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    two = build_two_input_two_output((8, 8), branch_units=8)
    for arguments, message in (
        (("sequential", THREE), "`model` should take pictures of 28 x 28 .*Received: 'sequential'"),
        ((chain, THREE), r"`model` should take pictures of 28 x 28 .* outputs \[\(784,\)\]"),
        ((two, [THREE] * 3), r"should be 2 per prediction, one for each input \(input_a, input_b\). Received: 3"),
        ((model, []), "`images` should be 1 per prediction.* Received: 0"),
        ((model, [THREE, 3]), "image 2 should be .*Received: int"),
        ((model, [THREE, printed("12")]), "image 2 should show one digit, .*several things"),
    ):
        with pytest.raises(InputError, match=message):
            predict_digits(*arguments)


def test_plot_shows_what_the_network_sees_beside_its_bars(model, tmp_path):
    images = [THREE, stroked(7)]
    predictions = predict_digits(model, images)
    figure = plot_predictions(images, predictions, tmp_path / "plot.png")

    assert Image.open(tmp_path / "plot.png").size > (300, 300)
    seen, bars = figure.axes[2:]
    np.testing.assert_array_equal(seen.images[0].get_array(), prepare_image(images[1]))
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], predictions.iloc[1])
    assert [label.get_text() for label in bars.get_yticklabels()] == [str(digit) for digit in range(10)]
    assert (bars.get_xlabel(), bars.get_ylabel()) == ("probability", "digit")
    with pytest.raises(InputError, match="`predictions` should be .* for the 3 `images`. Received: 2 rows"):
        plot_predictions([*images, THREE], predictions)


def test_plot_prepares_no_picture_again_and_confuses_none(model, tmp_path, monkeypatch):
    files = [tmp_path / "3.png", tmp_path / "7.png"]
    for file in files:
        stroked(int(file.stem)).save(file)
    predictions = predict_digits(model, files)
    expected = [prepare_image(file) for file in files]
    # pandas compares and copies attrs.
    assert pd.concat([predictions, predictions.round(2)]).shape == (4, 10)

    monkeypatch.setattr(predicting, "prepare_image", None)
    for order in (slice(None), slice(None, None, -1)):
        figure = plot_predictions(files[order], predictions[order])
        np.testing.assert_array_equal([axis.images[0].get_array() for axis in figure.axes[::2]], expected[order])


def test_plot_of_a_pair_shows_both_images():
    images = [stroked(3), stroked(7)]
    figure = plot_predictions(images, predict_digits(build_shared_layers((8, 8)), images))

    assert [len(axis.images) for axis in figure.axes] == [1, 1, 0]


def test_model_is_loaded_uncompiled_from_its_file_or_its_folder(good_run):
    for path in (good_run.folder, str(good_run.folder / "model.keras")):
        loaded = load_model(path)

        assert not loaded.compiled
        assert predict_digits(loaded, THREE).equals(predict_digits(good_run.model, THREE))


@keras.saving.register_keras_serializable(package="tests")
class Unknown(keras.layers.Layer):
    def call(self, x):
        return x


def test_files_that_hold_no_model_are_refused(good_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = (good_run.folder / "model.keras").read_bytes()
    for name, data in {"truncated.keras": content[:5000], "foreign.keras": PNG, "model.h5": content}.items():
        Path(name).write_bytes(data)
    for name, layer in {"lambda": keras.layers.Lambda(lambda x: x), "unknown": Unknown()}.items():
        keras.Sequential([keras.Input((2,)), layer]).save(f"{name}.keras")
    del keras.saving.get_custom_objects()["tests>Unknown"]
    train = "To train a model: keras-model-wars train"
    for path, message in {
        "runs/wide_deep": f"no file runs/wide_deep. {train} wide_deep",
        "runs/mine": f"no file runs/mine. {train} sequential",
        ".": "no file model.keras",
        "truncated.keras": "another kind of file",
        "foreign.keras": "another kind of file",
        "model.h5": "another kind of file",
        "lambda.keras": "unsafe one: .*Lambda",
        "unknown.keras": "unsafe one: Could not locate class 'Unknown'",
    }.items():
        with pytest.raises(
            InputError, match=f"^{path} should be a run's folder or a .keras file. Received: .*{message}"
        ) as error:
            load_model(path)
        assert len(str(error.value).splitlines()) == 1


def test_command_prints_each_answer_and_draws(command, good_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    THREE.save("a three.png")
    stroked(7).save("sieben-ß.jpg")
    result = command("predict", good_run.folder, "a three.png", "sieben-ß.jpg", "--out", "seen.png")

    assert (result.status, result.err) == (0, "")
    assert "a three.png: 3\n" in result.out
    assert "\nsieben-ß.jpg: 7\n" in result.out
    assert f"{predict_digits(good_run.model, THREE)[3].item():.3f}" in result.out
    assert "Written: seen.png" in result.out
    assert Image.open("seen.png").size > (300, 300)


def test_command_says_whether_a_pair_shows_the_same_digit(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = build_shared_layers((8, 8))
    model.get_layer("same").set_weights([np.full((8, 1), -1e3), np.ones(1)])
    model.save("pairs.keras")
    for digit in (3, 7):
        stroked(digit).save(f"{digit}.png")
    result = command("predict", "pairs.keras", "3.png", "3.png", "3.png", "7.png")

    assert result.status == 0
    assert "3.png and 3.png: the same digit\n" in result.out
    assert "3.png and 7.png: different digits\n" in result.out


def test_command_refuses_in_one_line_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out, message in (
        ("seen.png", "train a model: keras-model-wars train sequential"),
        ("seen.txt", ".png, .svg, .pdf"),
    ):
        result = command("predict", "runs/sequential", "missing.png", "--out", out)

        assert (result.status, result.out, len(result.err.splitlines())) == (2, "", 1)
        assert result.err.startswith("error: ")
        assert message in result.err
        assert not any(tmp_path.iterdir())
