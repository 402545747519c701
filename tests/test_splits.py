"""Scaling, splitting and pairing the images as the articles do."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from keras_model_wars import InputError, splits
from keras_model_wars.shuffling import epoch_order
from keras_model_wars.splits import (
    make_pairs,
    scale_pixels,
    split_two_inputs,
    split_validation,
)


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_every_pixel_is_divided_by_255_as_float32(dtype):
    pixels = np.arange(256, dtype=dtype).reshape(16, 16)
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    assert_array_equal(scaled, pixels.astype("float32") / np.float32(255))


@pytest.mark.parametrize("x", [[0.0, 1.0], [-1, 3], [0, 256], [True], [[1], [1, 2]]])
def test_pixels_that_are_not_integers_from_0_to_255_are_refused(x):
    with pytest.raises(InputError, match=r"`x` should be .*Received: "):
        scale_pixels(x)


@pytest.mark.parametrize(("size", "expected"), [(None, 2), (1, 1), (23, 23)])
def test_first_images_validate(size, expected):
    x = np.arange(24)
    y = x + 100
    (x_train, y_train), (x_val, y_val) = split_validation(x, y, size)
    assert_array_equal(x_val, x[:expected])
    assert_array_equal(y_val, y[:expected])
    assert_array_equal(x_train, x[expected:])
    assert_array_equal(y_train, y[expected:])


@pytest.mark.parametrize("size", [0, 24, -3, 0.2, True, "5"])
def test_validation_size_that_leaves_a_part_empty_is_refused(size):
    with pytest.raises(InputError, match="integer from 1 to 23. Received"):
        split_validation(np.zeros(24), np.zeros(24), size)


@pytest.mark.parametrize("split", [split_validation, split_two_inputs, make_pairs])
@pytest.mark.parametrize(("images", "labels"), [(24, 23), (1, 1), (0, 0)])
def test_images_and_labels_of_different_lengths_are_refused(split, images, labels):
    received = rf"shapes \({images},\) and \({labels},\)"
    with pytest.raises(InputError, match=f"same length, two or more.*{received}"):
        split(np.zeros(images), np.zeros(labels, int))


@pytest.fixture(scope="module")
def numbered():
    """As many images as MNIST has, each a pixel that is labeled with its place."""
    train = np.arange(60_000)
    test = np.arange(10_000)
    return (train % 256, train), (test % 256, test)


def assert_places(x, y, first, count):
    assert_array_equal(y, np.arange(first, first + count))
    assert_allclose(x, y % 256 / 255, atol=1e-7)


def test_first_5000_training_images_validate_as_in_the_article(numbered):
    train, validation, test = splits.prepare_digits(numbered)
    assert_places(*train, first=5_000, count=55_000)
    assert_places(*validation, first=0, count=5_000)
    assert_places(*test, first=0, count=10_000)


@pytest.mark.parametrize(
    ("part", "first_of_a", "first_of_b", "count"),
    [
        ("train", 5_000, 32_500, 22_000),
        ("validation", 27_000, 54_500, 5_500),
        ("test", 0, 5_000, 5_000),
    ],
)
def test_two_inputs_get_the_articles_halves(
    numbered, part, first_of_a, first_of_b, count
):
    x, y = getattr(splits.prepare_two_inputs(numbered), part)
    assert_places(x["input_a"], y["output_a"], first_of_a, count)
    assert_places(x["input_b"], y["output_b"], first_of_b, count)


def test_halves_leave_an_odd_last_image_out():
    _, outputs = split_two_inputs(np.arange(5), np.arange(5))
    assert_array_equal(outputs["output_a"], [0, 1])
    assert_array_equal(outputs["output_b"], [2, 3])


def test_flat_images_are_the_same_pixels(few_digits):
    plain = splits.prepare_digits(few_digits)
    for (x, y), (flat, labels) in zip(plain, splits.prepare_flat(few_digits)):
        assert_array_equal(flat, x.reshape(len(x), 784))
        assert_array_equal(labels, y)


def test_pairs_are_made_within_each_part(few_digits):
    plain = splits.prepare_digits(few_digits)
    for (x, _), (pairs, same) in zip(plain, splits.prepare_pairs(few_digits)):
        assert_array_equal(pairs["left"], x)
        images = {image.tobytes() for image in x}
        assert images.issuperset(image.tobytes() for image in pairs["right"])
        assert set(same) == {0, 1}


# Labels with many images, with few, and one that occurs once.
LABELS = [np.arange(1001) % 10, np.array([5, 5, 300]), np.array([0, 0, 1, 1, 2])]


@pytest.mark.parametrize("y", LABELS, ids=len)
@pytest.mark.parametrize("seed", range(3))
def test_half_of_the_pairs_have_one_label_and_no_image_is_its_own_partner(y, seed):
    numbers = np.arange(len(y))
    pairs, same = make_pairs(numbers, y, seed)
    assert_array_equal(pairs["left"], numbers)
    assert_array_equal(same, y == y[pairs["right"]])
    assert same.sum() == (len(y) + 1) // 2
    assert not any(pairs["left"] == pairs["right"])


def test_different_labels_are_equally_likely_and_so_are_images_of_one_label():
    y = np.arange(10_000) % 10
    pairs, same = make_pairs(np.arange(10_000), y)
    steps = (y[pairs["right"]] - y) % 10
    counts = np.bincount(steps[same == 0])[1:]
    assert counts.min() > 0.8 * counts.mean()
    # Of images that are drawn with replacement, about 63% are drawn at least once.
    assert len(np.unique(pairs["right"])) > 6_000


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_takes_same_and_different_pairs_in_turn(sample, epoch):
    _, same = make_pairs(*sample[0])
    label = same[epoch_order(len(same), seed=0, epoch=epoch)]
    changes = np.count_nonzero(np.diff(label))
    assert abs(changes - len(same) / 2) < 200  # six standard deviations


def test_pairs_are_drawn_with_the_seed_alone():
    y = np.arange(100) % 10
    first, again, other = [make_pairs(y, y, seed)[0]["right"] for seed in (4, 4, 5)]
    assert_array_equal(first, again)
    assert any(first != other)


@pytest.mark.parametrize("y", [[1, 1, 1], [0, 1, 2], [0.5, 2, 2], [[1], [2], [1]]])
def test_labels_that_make_no_balanced_pairs_are_refused(y):
    with pytest.raises(InputError, match="`y` should .*Received"):
        make_pairs(np.zeros(3), np.array(y))


@pytest.mark.parametrize("seed", [-1, None])
def test_seed_that_draws_no_reproducible_pairs_is_refused(seed):
    with pytest.raises(InputError, match="`seed` should be an integer from 0"):
        make_pairs(np.zeros(4), np.array([0, 0, 1, 1]), seed)
