"""Pictures of digits: prepared as MNIST's were, recognised as often, and refused in one line where they show none."""

import contextlib
import io
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, ImageOps
from scipy import ndimage

from keras_model_wars import (
    build_added_sequential,
    build_shared_layers,
    build_two_input_two_output,
    cli,
    plot_predictions,
    predict_digits,
    prepare_image,
    scale_pixels,
    train,
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


@pytest.fixture(scope="module")
def run(sample, tmp_path_factory):
    """The Sequential model after some epochs on the sample."""
    out = tmp_path_factory.mktemp("run")
    return train("sequential", epochs=10, learning_rate=0.1, data=sample, out=out, verbose=False)


@pytest.fixture(scope="module")
def model(run):
    return run.model


def recognised(model, images, labels):
    return np.mean(predict_digits(model, images).idxmax(axis="columns") == labels)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_changed_digits_are_recognised_as_often_as_the_originals(model, sample, tmp_path, ending):
    _, (x, y) = sample
    random = np.random.default_rng(0)
    prepared, labels = [], []
    for place, (digit, label) in enumerate(zip(x, y)):
        side = 28 * int(random.integers(1, 6))
        image = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
        field = Image.new("L", (2 * side, side + side // 2))
        field.paste(image, (int(random.integers(0, side)), int(random.integers(0, side // 2))))
        file = tmp_path / f"{place}.{ending}"
        (ImageOps.invert(field) if place % 2 else field).save(file)
        with contextlib.suppress(ValueError):
            prepared.append(prepare_image(file))
            labels.append(label)

    originals = np.mean(model.predict(scale_pixels(x), verbose=0).argmax(axis=1) == y)
    found = model.predict(scale_pixels(np.stack(prepared)), verbose=0).argmax(axis=1)
    # A digit that is refused counts as one that is not recognised.
    assert np.count_nonzero(found == labels) / len(y) >= originals - 0.02
    assert originals > 0.9


def test_mnist_digits_are_already_as_they_should_be(sample):
    (x, _), _ = sample
    prepared = np.stack([prepare_image(digit) for digit in x[:100]])

    assert np.abs(prepared.astype(int) - x[:100]).mean() < 2


@pytest.mark.parametrize(
    "font", ["DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSansMono-BoldOblique.ttf"]
)
def test_printed_digits_are_mostly_recognised(model, font):
    images = [printed(str(digit), font) for digit in range(10)]

    assert recognised(model, images, np.arange(10)) >= 0.7


@pytest.mark.parametrize("width", [2, 8, 24, 40])
def test_drawn_digits_are_mostly_recognised_whatever_the_pen(model, width):
    images = [stroked(digit, width) for digit in range(10)]

    assert recognised(model, images, np.arange(10)) >= 0.8


def test_digit_fills_the_box_and_lies_by_its_centre_of_mass():
    for digit in range(10):
        image = prepare_image(stroked(digit))
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        centre = ndimage.center_of_mass(image)

        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        assert np.abs(np.subtract(centre, 14)).max() <= 0.6


def test_digit_heavy_on_one_side_is_not_cut_off():
    image = np.zeros((100, 100), np.uint8)
    image[10:90, 10:30] = 255
    image[10:16, 10:90] = 255
    columns = np.flatnonzero(prepare_image(image).any(axis=0))

    # By its centre of mass alone it would begin at column 11 and end behind the last.
    assert (columns.min(), columns.max()) == (8, 27)


THREE = stroked(3).convert("RGB")
GREY = np.asarray(THREE.convert("L"))


def on_nothing(colour):
    """The three in a colour on a transparent ground."""
    return Image.fromarray(np.dstack([np.full((*GREY.shape, 3), colour, np.uint8), 255 - GREY]))


def on_a_card():
    """The three on a white card with round corners, transparent beyond."""
    mask = Image.new("L", THREE.size)
    ImageDraw.Draw(mask).rounded_rectangle((5, 5, 395, 395), 60, fill=255)
    card = THREE.copy()
    card.putalpha(mask)
    return card


def photographed():
    """The three under light from one side, with noise."""
    light = np.linspace(235, 130, 400)[None, :] + np.linspace(0, 20, 400)[:, None]
    noise = np.random.default_rng(0).normal(0, 4, GREY.shape)
    return Image.fromarray(np.clip(light * (0.3 + 0.7 * GREY / 255) + noise, 0, 255).astype(np.uint8))


def turned():
    """The three as a camera held sideways leaves it: pixels in one order, and a note to turn them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(THREE.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def coloured(ink, paper):
    share = GREY[..., None] / 255
    return Image.fromarray((share * paper + (1 - share) * ink).astype(np.uint8))


SAME = {
    "grey": THREE.convert("L"),
    "inverted": ImageOps.invert(THREE),
    "palette": THREE.quantize(8),
    "CMYK": THREE.convert("CMYK"),
    "16 bits": saved(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
    "32 bits": THREE.convert("L").convert("I"),
    "floats from 0 to 1": GREY / 255,
    "floats from 0 to 255": GREY.astype(float),
    "uint16": GREY.astype(np.uint16) * 257,
    "booleans": GREY < 128,
    "one channel": GREY[..., None],
    "four channels": np.asarray(on_nothing((0, 0, 0))),
    "black on nothing": on_nothing((0, 0, 0)),
    "white on nothing": saved(on_nothing((255, 255, 255)), "WEBP", lossless=True),
    "transparent palette": saved(on_nothing((200, 0, 0)).quantize(16), "PNG"),
    "on a card": on_a_card(),
    "yellow on white": coloured((250, 220, 0), (255, 255, 255)),
    "red on green of one lightness": coloured((200, 0, 0), (0, 102, 0)),
    "GIF": saved(THREE, "GIF"),
    "TIFF": saved(THREE, "TIFF"),
    "BMP": saved(THREE, "BMP"),
    "small": THREE.resize((60, 60), Image.Resampling.BOX),
    "large": THREE.resize((3000, 3000)),
    "wide paper": ImageOps.expand(THREE, (700, 20, 30, 300), "white"),
    "cropped": THREE.crop(ImageOps.invert(THREE).getbbox()),
    "photographed": photographed(),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_picture_is_prepared_alike(kind):
    difference = np.abs(prepare_image(SAME[kind]).astype(int) - prepare_image(THREE))

    assert difference.mean() < 4


def test_camera_held_sideways_is_turned_back(tmp_path):
    turned().save(tmp_path / "turned.jpg", exif=turned().getexif(), quality=95)

    assert np.abs(prepare_image(tmp_path / "turned.jpg").astype(int) - prepare_image(THREE)).mean() < 3


def drawn(shape, *where, **options):
    image = Image.new("L", (200, 200), 255)
    getattr(ImageDraw.Draw(image), shape)(*where, fill=0, **options)
    return image


random = np.random.default_rng(0)
REFUSED = {
    "white paper": (Image.new("L", (100, 100), 255), "nothing that stands out"),
    "noisy paper": (np.clip(random.normal(200, 6, (300, 200)), 0, 255).astype(np.uint8), "nothing that stands out"),
    "all transparent": (Image.new("RGBA", (50, 50)), "nothing that stands out"),
    "one pixel": (np.zeros((1, 1)), "nothing that stands out"),
    "a speck": (drawn("ellipse", (50, 50, 52, 52)), "nothing that stands out"),
    "specks": (np.where(random.random((300, 300)) > 0.999, 0, 255), "nothing larger than specks"),
    "two digits": (printed("12"), "2 separate things"),
    "three digits": (printed("205"), "3 separate things"),
    "a word": (printed("hello"), "5 separate things"),
    "noise": (random.integers(0, 256, (100, 100, 3), dtype=np.uint8), "pieces and holes"),
    "a line": (drawn("line", (10, 50, 190, 50), width=5), "times as wide as high"),
    "a square": (drawn("rectangle", (50, 50, 150, 150)), "a filled area"),
    "a disc": (drawn("ellipse", (50, 50, 150, 150)), "a filled area"),
    "half and half": (np.repeat([[0, 255]], 50, axis=0).repeat(25, axis=1), "a filled area"),
    "an empty array": (np.zeros((0, 5)), r"shape \(0, 5\)"),
    "a vector": (np.zeros(784), r"shape \(784,\)"),
    "two channels": (np.zeros((28, 28, 2)), r"shape \(28, 28, 2\)"),
    "not a number": (np.full((28, 28), np.nan), "dtype float64"),
    "negative numbers": (np.full((28, 28), -1), "dtype int64"),
    "huge numbers": (np.full((28, 28), 1e9), "dtype float64"),
    "texts": (np.full((28, 28), "7"), "dtype <U1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_be_no_digit_is_refused(kind):
    image, reason = REFUSED[kind]

    with pytest.raises(ValueError, match=f"^`image` should .*{reason}.*[.]$"):
        prepare_image(image)


def truncated(folder):
    data = saved(THREE, "PNG").fp.getvalue()
    (folder / "truncated.png").write_bytes(data[: len(data) // 2])
    return folder / "truncated.png"


def damaged(folder):
    data = bytearray(saved(THREE, "PNG").fp.getvalue())
    data[len(data) // 2] ^= 255
    (folder / "damaged.png").write_bytes(data)
    return folder / "damaged.png"


def bomb(folder):
    Image.new("1", (12_000, 12_000)).save(folder / "bomb.png")
    return folder / "bomb.png"


def program(folder):
    (folder / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    return folder / "program.eps"


def text(folder):
    (folder / "text.png").write_text("7")
    return folder / "text.png"


UNREADABLE = {
    "truncated": (truncated, "can't be read"),
    "damaged": (damaged, "can't be read"),
    "bomb": (bomb, r"144000000 pixels.* exceeds limit"),
    "program": (program, "can't be read"),
    "text": (text, "can't be read"),
    "missing": (lambda folder: folder / "missing.png", "no such file"),
    "folder": (lambda folder: folder, "a folder"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_file_that_is_no_picture_is_refused_by_its_name(tmp_path, kind):
    make, reason = UNREADABLE[kind]

    with pytest.raises(ValueError, match=rf"^{tmp_path}.* should be a picture of one digit.*{reason}"):
        prepare_image(make(tmp_path))


@pytest.mark.parametrize("image", [None, 3, b"digit"])
def test_what_is_no_picture_at_all_is_a_type_error(image):
    with pytest.raises(TypeError, match="should be a picture of one digit: a file's name, .*Received: "):
        prepare_image(image)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(["uint8", "float32", "bool", "int16"]),
    st.integers(0, 2**32 - 1),
)
def test_any_array_is_prepared_or_refused(height, width, dtype, seed):
    random = np.random.default_rng(seed)
    array = (random.integers(0, 2, (height, width)) * random.integers(0, 256)).astype(dtype)
    with contextlib.suppress(ValueError):
        image = prepare_image(array)
        assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)


def test_predictions_name_the_images_and_are_the_models_own(model, tmp_path):
    THREE.save(tmp_path / "three.png")
    predictions = predict_digits(model, [str(tmp_path / "three.png"), stroked(7), GREY])

    assert predictions.index.tolist() == [str(tmp_path / "three.png"), "image 2", "image 3"]
    assert predictions.columns.tolist() == list(range(10))
    expected = model.predict(scale_pixels(np.stack([prepare_image(i) for i in (THREE, stroked(7), GREY)])), verbose=0)
    np.testing.assert_array_equal(predictions, expected)


@pytest.mark.parametrize("one", [THREE, GREY, np.asarray(THREE)])
def test_one_image_need_be_no_list(model, one):
    assert predict_digits(model, one).shape == (1, 10)


def test_array_of_images_is_a_row_each(model, sample):
    _, (x, _) = sample

    assert predict_digits(model, x[:3]).shape == (3, 10)


def test_model_on_flat_vectors_sees_the_same_pixels():
    model = build_added_sequential((8, 8))

    expected = model.predict(scale_pixels(prepare_image(THREE)).reshape(1, 784), verbose=0)
    np.testing.assert_array_equal(predict_digits(model, THREE), expected)


def test_two_inputs_take_an_image_each_and_each_gets_its_output():
    model = build_two_input_two_output((8, 8), branch_units=8)
    images = [stroked(digit) for digit in (1, 2, 3, 4)]
    x = scale_pixels(np.stack([prepare_image(image) for image in images]))

    a, b = model.predict([x[0::2], x[1::2]], verbose=0)
    np.testing.assert_array_equal(predict_digits(model, images), [a[0], b[0], a[1], b[1]])


def test_pairs_get_the_probability_that_both_show_the_same_digit():
    model = build_shared_layers((8, 8))
    predictions = predict_digits(model, [stroked(1), stroked(2), stroked(3), stroked(3)])

    assert predictions.index.tolist() == [("image 1", "image 2"), ("image 3", "image 4")]
    assert predictions.columns.tolist() == ["same digit"]
    # Two times the same image: no difference is left, so the answer is what the last layer says of zeros.
    assert predictions.loc[("image 3", "image 4"), "same digit"] == pytest.approx(0.5)


def test_wrong_calls_are_refused(model):
    chain = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
    for arguments, error, message in (
        (("sequential", THREE), TypeError, "`model` should be a trained Keras model. Received: str"),
        ((chain, THREE), ValueError, r"`model` should take images of 28 x 28 .* outputs \[\(784,\)\]"),
        ((keras.Sequential(), THREE), ValueError, "`model` should take images of 28 x 28"),
        ((build_shared_layers((8, 8)), THREE), ValueError, "`images` should be 2 for each prediction .*Received: 1"),
        ((model, []), ValueError, "`images` should hold one picture or more"),
        ((model, 3), TypeError, "`images` should be file names, .*Received: int"),
        ((model, [THREE, None]), TypeError, "image 2 should be a picture"),
        ((model, [THREE, printed("12")]), ValueError, "image 2 should show one digit. Received: 2 separate things"),
    ):
        with pytest.raises(error, match=message):
            predict_digits(*arguments)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot_shows_what_the_network_sees_beside_its_bars(model, tmp_path, ending):
    images = [THREE, stroked(7)]
    predictions = predict_digits(model, images)
    figure = plot_predictions(images, predictions, tmp_path / f"plot.{ending}")

    assert (tmp_path / f"plot.{ending}").stat().st_size > 1000
    seen, bars = figure.axes[2:]
    np.testing.assert_array_equal(seen.images[0].get_array(), prepare_image(images[1]))
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], predictions.iloc[1])
    assert [label.get_text() for label in bars.get_yticklabels()] == [str(digit) for digit in range(10)]


def test_plot_of_a_pair_shows_both_images():
    images = [stroked(3), stroked(7)]
    figure = plot_predictions(images, predict_digits(build_shared_layers((8, 8)), images))

    assert [len(axis.images) for axis in figure.axes] == [1, 1, 0]


def test_plot_refuses_what_belongs_to_other_images(model):
    predictions = predict_digits(model, THREE)
    with pytest.raises(ValueError, match="`predictions` should be .* for the 2 `images`. Received: 1 rows"):
        plot_predictions([THREE, THREE], predictions)
    with pytest.raises(TypeError, match="Received: list"):
        plot_predictions(THREE, [0.1] * 10)
    with pytest.raises(ValueError, match="should end in .png, .svg, .pdf. Received: plot.txt"):
        plot_predictions(THREE, predictions, "plot.txt")


def test_command_prints_a_table_an_image_and_draws(run_process, run, tmp_path):
    THREE.save(tmp_path / "a three.png")
    stroked(7).save(tmp_path / "sieben-ß.jpg")
    result = run_process(
        "keras-model-wars", "predict", run.folder, "a three.png", "sieben-ß.jpg", "--out", "seen.png", folder=tmp_path
    )

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.startswith("a three.png: 3\n")
    assert "\nsieben-ß.jpg: 7\n" in result.stdout
    assert result.stdout.endswith("\nWritten: seen.png\n")
    rows = [line.split("|")[1:-1] for line in result.stdout.splitlines() if line.startswith(("| 3", "| 7"))]
    assert [cells[0].strip() for cells in rows] == ["3", "7", "3", "7"]
    assert len(rows[0][2].strip()) == round(30 * float(rows[0][1]))
    assert set(rows[0][2].strip()) == {"█"}
    assert Image.open(tmp_path / "seen.png").size > (300, 300)


def test_command_says_whether_a_pair_shows_the_same_digit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = build_shared_layers((8, 8))
    model.get_layer("same").set_weights([np.full((8, 1), -1e3), np.ones(1)])
    model.save("pairs.keras")
    for digit in (3, 7):
        stroked(digit).save(f"{digit}.png")
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", "pairs.keras", "3.png", "3.png", "3.png", "7.png"])

    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("3.png and 3.png: the same digit\n")
    assert "\n3.png and 7.png: different digits\n" in out


def test_command_draws_bars_on_a_screen_without_block_letters(run_process, run, tmp_path):
    THREE.save(tmp_path / "three.png")
    result = run_process(
        "keras-model-wars", "predict", run.folder, "three.png", folder=tmp_path, PYTHONIOENCODING="ascii"
    )

    assert result.returncode == 0, result.stderr
    assert "| ####" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing", "three.png"], "missing should be a model saved as a .keras file. Received: no such file"),
        ([".", "three.png"], "model.keras should be a model saved as a .keras file. Received: no such file"),
        (["RUN", "missing.png"], "missing.png should be a picture of one digit. Received: no such file"),
        (["RUN", "three.png", "two.png"], "two.png should show one digit. Received: 2 separate things"),
        (["RUN", "three.png", "--out", "seen.txt"], "The picture's file should end in .png"),
        (["RUN"], "Missing argument 'IMAGE'"),
    ],
)
def test_command_refuses_in_one_line_and_writes_nothing(run, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    THREE.save("three.png")
    printed("12").save("two.png")
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", *(str(run.folder) if argument == "RUN" else argument for argument in arguments)])

    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three.png", "two.png"]
