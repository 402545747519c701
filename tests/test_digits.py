"""Pictures of digits: prepared as MNIST's were, or refused with the reason."""

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw

from keras_model_wars import InputError, models, scale_pixels
from keras_model_wars.digits import answer_digits, predict_digits, prepare_image


def drawn(*lines, ink=20, width=16):
    """Lines on white paper of 200 x 200 pixels."""
    image = Image.new("L", (200, 200), "white")
    for line in lines:
        ImageDraw.Draw(image).line(line, ink, width)
    return image


ONE = drawn((100, 40, 100, 160))
SEVEN = drawn((60, 40, 140, 40, 90, 160))


@pytest.fixture(scope="module")
def digits(good_run, sample):
    """Test images that the model gets right, and their labels."""
    x, y = sample[1]
    answers = good_run.model.predict(scale_pixels(x), verbose=0).argmax(axis=1)
    right = np.flatnonzero(answers == y)[:25]
    return x[right], y[right]


def in_color(ink, alpha):
    return np.dstack([ink, ink, ink, alpha])


def shadowed(x):
    light = np.linspace(1, 0.3, len(x))
    return np.uint8((255 - 0.8 * x) * light)


def turned(x):
    image = Image.fromarray(x).transpose(Image.Transpose.ROTATE_90)
    image.getexif()[0x0112] = 6
    return image


# Each of light ink on dark paper.
GUISES = {
    "small": lambda x: x[32:-32:4, 32:-32:4],
    "dark on light": lambda x: 255 - x,
    "floats": lambda x: x[..., None] / 16,
    "opaque screenshot": lambda x: in_color(255 - x, np.full_like(x, 255)),
    "dark on transparent": lambda x: in_color(np.zeros_like(x), x),
    "light on transparent": lambda x: in_color(np.full_like(x, 255), x),
    "shadow": shadowed,
    "frame": lambda x: np.pad(np.pad(255 - x, 6), 3, constant_values=255),
    "turned": turned,
}


@pytest.mark.parametrize("guise", GUISES.values(), ids=GUISES)
def test_digits_are_recognized_in_every_guise(good_run, digits, guise):
    x, y = digits
    large = np.pad(x.repeat(4, axis=1).repeat(4, axis=2), ((0, 0), (32, 32), (32, 32)))
    answers = predict_digits(good_run.model, [guise(image) for image in large])
    assert np.mean(answers.idxmax(axis="columns") == y) >= 0.9


@pytest.mark.parametrize("ink", [230, 255])
def test_nothing_that_stands_out_is_refused(ink):
    with pytest.raises(InputError, match="nothing that stands out"):
        prepare_image(drawn((60, 40, 90, 160), ink=ink))


RULES = np.arange(200) % 20 < 4
REFUSED = {
    "speck": drawn((100, 100, 104, 100), width=4),
    "filled": drawn((80, 90, 120, 90), width=50),
    "line": drawn((40, 100, 160, 100)),
    "two digits": drawn((50, 40, 50, 160), (150, 40, 150, 160)),
    "graph paper": np.logical_or.outer(RULES, RULES),
}


@pytest.mark.parametrize("picture", REFUSED.values(), ids=REFUSED)
def test_what_is_no_single_digit_is_refused(picture):
    with pytest.raises(InputError, match="^The picture should show one digit"):
        prepare_image(picture)


def test_detached_bar_belongs_to_the_digit():
    stroke = (100, 60, 100, 160)
    bar = (115, 50, 150, 50)
    image = prepare_image(drawn(stroke, bar))
    assert np.ptp(image.nonzero()[1]) > 8


def test_digit_fills_20_pixels_and_lies_by_its_center_of_mass():
    image = prepare_image(SEVEN)
    places = image.nonzero()
    center = np.average(places, axis=1, weights=image[places])
    assert np.ptp(places[0]) + 1 == 20
    np.testing.assert_allclose(center, 14, atol=0.6)


def test_files_are_named_in_predictions_and_errors(good_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    SEVEN.save(tmp_path / "seven.png")
    drawn().save(tmp_path / "blank.gif")
    predictions = predict_digits(good_run.model, ["~/seven.png", SEVEN])
    assert predictions.index.tolist() == ["~/seven.png", "image 1"]
    assert predictions.idxmax(axis="columns").tolist() == [7, 7]
    with pytest.raises(InputError, match="^~/blank.gif should show a digit"):
        predict_digits(good_run.model, ["~/seven.png", "~/blank.gif"])


def test_foreign_and_huge_files_are_refused(tmp_path, monkeypatch):
    SEVEN.save(tmp_path / "program.eps")
    with pytest.raises(OSError, match="cannot identify image file.*program.eps"):
        prepare_image(tmp_path / "program.eps")
    SEVEN.save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too large"):
        prepare_image(tmp_path / "huge.png")


def test_two_inputs_and_two_outputs_take_the_pictures_in_turn():
    model = models.build_two_input_two_output((8, 8), branch_units=8)
    pictures = [SEVEN, ONE, ONE, SEVEN]
    x = scale_pixels(np.stack([prepare_image(picture) for picture in pictures]))
    a, b = model.predict([x[0::2], x[1::2]], verbose=0)
    answers = predict_digits(model, pictures)
    np.testing.assert_allclose(answers, [a[0], b[0], a[1], b[1]], rtol=1e-4)


def test_pairs_get_one_value_each(small_runs):
    model = small_runs["shared_layers"].model
    answers = predict_digits(model, [SEVEN, SEVEN, ONE, SEVEN])
    assert answers.index.tolist() == ["image 0, image 1", "image 2, image 3"]
    assert answers.columns.tolist() == ["same digit"]
    with pytest.raises(InputError, match="2 pictures at a time. Received: 3"):
        predict_digits(model, [SEVEN] * 3)


def test_scaling_layers_and_logits_make_no_difference(good_run, digits):
    *hidden, last = keras.models.clone_model(good_run.model).layers
    last.activation = keras.activations.linear
    scaling = keras.layers.Rescaling(1 / 255)
    model = keras.Sequential([keras.Input((28, 28)), scaling, *hidden, last])
    model.set_weights(good_run.model.get_weights())
    expected = answer_digits(good_run.model, digits[0])
    np.testing.assert_allclose(answer_digits(model, digits[0]), expected, atol=1e-4)


@pytest.mark.parametrize(("shape", "units"), [((28, 28), 1), ((5, 5), 10)])
def test_models_of_something_else_are_refused(shape, units):
    flat = keras.layers.Flatten()
    model = keras.Sequential([keras.Input(shape), flat, keras.layers.Dense(units)])
    with pytest.raises(InputError, match="should take images of 28 x 28 pixels"):
        predict_digits(model, SEVEN)
