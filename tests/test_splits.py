"""Scaling, splitting and pairing the images as the articles do."""

import numpy as np
import pytest
from numpy.testing import assert_equal

from keras_model_wars import InputError, splits
from keras_model_wars.shuffling import epoch_order
from keras_model_wars.splits import make_pairs, scale_pixels, split_two_inputs


def test_every_pixel_is_divided_by_255_as_float32():
    pixels = np.arange(256, dtype=np.uint8)
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    assert_equal(scaled, pixels.astype("float32") / np.float32(255))


def test_pixels_that_are_scaled_already_are_refused():
    with pytest.raises(InputError, match="integers from 0 to 255.* dtype=float32"):
        scale_pixels(scale_pixels(np.array([0, 255])))


@pytest.fixture(scope="module")
def numbered():
    """As many images as MNIST has, each a pixel that is labeled with its place."""
    train = np.arange(60_000)
    test = np.arange(10_000)
    return (train % 256, train), (test % 256, test)


def assert_places(x, y, first, count):
    assert_equal(y, np.arange(first, first + count))
    assert_equal(x, scale_pixels(y % 256))


def test_first_5000_training_images_validate_as_in_the_article(numbered):
    train, validation, test = splits.prepare_digits(numbered)
    assert_places(*train, first=5_000, count=55_000)
    assert_places(*validation, first=0, count=5_000)
    assert_places(*test, first=0, count=10_000)


def test_two_inputs_get_the_articles_halves(numbered):
    prepared = splits.prepare_two_inputs(numbered)
    firsts = [(5_000, 32_500), (27_000, 54_500), (0, 5_000)]
    counts = (22_000, 5_500, 5_000)
    for (x, y), (first_a, first_b), count in zip(prepared, firsts, counts, strict=True):
        assert_places(x["input_a"], y["output_a"], first_a, count)
        assert_places(x["input_b"], y["output_b"], first_b, count)


def test_halves_leave_an_odd_last_image_out():
    for halves in split_two_inputs(np.arange(5), np.arange(5)):
        assert_equal([*halves.values()], [[0, 1], [2, 3]])


def test_pairs_are_made_within_each_part(few_digits):
    expected = [make_pairs(x, y) for x, y in splits.prepare_digits(few_digits)]
    assert_equal(splits.prepare_pairs(few_digits), expected)


# Labels with many images, and one that occurs once, as in a small set.
@pytest.mark.parametrize("y", [np.arange(1001) % 10, np.array([0, 0, 1, 1, 2])])
def test_half_of_the_pairs_have_one_label_and_no_image_is_its_own_partner(y):
    numbers = np.arange(len(y))
    pairs, same = make_pairs(numbers, y)
    partners = pairs["right"]
    assert_equal(pairs["left"], numbers)
    assert_equal(same, y == y[partners])
    assert same.sum() == (len(y) + 1) // 2
    assert not any(partners == numbers)


def test_an_epoch_takes_same_and_different_pairs_in_turn(sample):
    _, same = make_pairs(*sample[0])
    label = same[epoch_order(len(same), seed=0, epoch=0)]
    changes = np.count_nonzero(np.diff(label))
    assert abs(changes - len(same) / 2) < 200  # six standard deviations


def test_another_seed_draws_other_pairs():
    y = np.arange(100) % 10
    first, other = [make_pairs(y, y, seed)[0]["right"] for seed in (4, 5)]
    assert any(first != other)
