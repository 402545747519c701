"""Scaling, splitting and pairing the digits as the articles do."""

import numpy as np
import pytest

from keras_model_wars import splits
from keras_model_wars.splits import (
    make_pairs,
    scale_pixels,
    split_two_inputs,
    split_validation,
)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_every_pixel_is_divided_by_255_as_float32(dtype):
    pixels = np.arange(256).reshape(16, 16).astype(dtype)
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(
        scaled, np.arange(256).reshape(16, 16).astype("float32") / np.float32(255)
    )
    np.testing.assert_array_equal(pixels.ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("size", "expected"), [(None, 2), (1, 1), (23, 23), (np.int64(3), 3)]
)
def test_first_digits_validate(size, expected):
    x, y = np.arange(24).reshape(24, 1, 1), np.arange(24) + 100
    train, validation = split_validation(x, y, size)
    assert all(map(np.array_equal, validation, (x[:expected], y[:expected])))
    assert all(map(np.array_equal, train, (x[expected:], y[expected:])))


@pytest.fixture(scope="module")
def numbered():
    """As many digits as the full MNIST has: tiny images, each digit labeled with its place."""
    parts = (np.arange(count) for count in (60_000, 10_000))
    return tuple(
        ((places % 256).astype(np.uint8).reshape(-1, 1, 1), places) for places in parts
    )


def assert_places(x, y, first, count):
    np.testing.assert_array_equal(y, np.arange(first, first + count))
    np.testing.assert_allclose(x.ravel(), y % 256 / 255, atol=1e-7)
    assert x.dtype == np.float32


def test_prepared_digits_are_the_articles(numbered):
    for (x, y), first, count in zip(
        splits.prepare_digits(numbered), (5_000, 0, 0), (55_000, 5_000, 10_000)
    ):
        assert_places(x, y, first, count)


def test_digits_prepared_for_two_inputs_are_the_articles_halves_in_order(numbered):
    counts, first_of_a, first_of_b = (
        (22_000, 5_500, 5_000),
        (5_000, 27_000, 0),
        (32_500, 54_500, 5_000),
    )
    for (x, y), count, a, b in zip(
        splits.prepare_two_inputs(numbered), counts, first_of_a, first_of_b
    ):
        assert_places(x["input_a"], y["output_a"], a, count)
        assert_places(x["input_b"], y["output_b"], b, count)
    _, outputs = split_two_inputs(np.zeros(11), np.arange(11))
    assert [half.tolist() for half in outputs.values()] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
    ]


def test_flat_digits_and_pairs_are_made_within_each_part(few_digits):
    plain, flat, paired = (
        getattr(splits, f"prepare_{kind}")(few_digits)
        for kind in ("digits", "flat", "pairs")
    )
    for (x, y), (vectors, labels), (pairs, same) in zip(plain, flat, paired):
        np.testing.assert_array_equal(vectors, x.reshape(len(x), 784))
        np.testing.assert_array_equal(labels, y)
        np.testing.assert_array_equal(pairs["left"], x)
        assert {image.tobytes() for image in pairs["right"]} <= {
            image.tobytes() for image in x
        }
        assert set(same) == {0, 1}


def test_pairs_are_balanced_labeled_by_their_digits_and_drawn_with_the_seed_alone():
    y = np.random.default_rng(0).integers(0, 10, 1001).astype("uint8")
    x = np.arange(1001)[
        :, None, None
    ]  # each image holds its own number, so that pairs can be traced
    pairs, same = make_pairs(x, y, seed=4)
    left, right = (y[pairs[side][:, 0, 0]] for side in ("left", "right"))
    assert np.array_equal(pairs["left"], x)
    assert np.array_equal(same, left == right)
    assert abs(int(same.sum()) - len(x) / 2) < 1
    steps = np.bincount((10 + right - left)[same == 0] % 10)[1:]
    assert steps.min() > 0.5 * steps.mean()
    again, other = (make_pairs(x, y, seed=seed)[0]["right"] for seed in (4, 5))
    assert np.array_equal(pairs["right"], again)
    assert not np.array_equal(pairs["right"], other)
