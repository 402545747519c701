"""Scaling, splitting and pairing the digits as the articles do."""

import numpy as np
import pytest

from keras_model_wars import InputError, splits
from keras_model_wars.splits import make_pairs, scale_pixels, split_two_inputs, split_validation


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_every_pixel_is_divided_by_255_as_float32(dtype):
    pixels = np.arange(256).reshape(16, 16).astype(dtype)
    scaled = scale_pixels(pixels)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.arange(256).reshape(16, 16).astype("float32") / np.float32(255))
    np.testing.assert_array_equal(pixels.ravel(), np.arange(256))


@pytest.mark.parametrize("x", [np.float32([0, 1]), np.array([-1, 3]), np.array([0, 256]), np.array([True])])
def test_what_holds_no_pixels_is_not_scaled_nor_anything_twice(x):
    with pytest.raises(InputError, match="`x` should .* from 0 to 255.* Received: "):
        scale_pixels(x)


@pytest.mark.parametrize(("size", "expected"), [(None, 2), (1, 1), (23, 23), (np.int64(3), 3)])
def test_first_digits_validate(size, expected):
    x, y = np.arange(24).reshape(24, 1, 1), np.arange(24) + 100
    train, validation = split_validation(x, y, size)
    assert all(map(np.array_equal, validation, (x[:expected], y[:expected])))
    assert all(map(np.array_equal, train, (x[expected:], y[expected:])))


@pytest.mark.parametrize("size", [0, 24, 1.0, True, "5"])
def test_validation_set_that_leaves_a_part_empty_is_refused(size):
    with pytest.raises(InputError, match="`validation_size` should be .*from 1 to 23.* Received: "):
        split_validation(np.zeros(24), np.zeros(24), size)


@pytest.mark.parametrize("split", [split_validation, split_two_inputs, make_pairs])
@pytest.mark.parametrize(("x", "y"), [(24, 23), (1, 1), (0, 0)])
def test_digits_that_do_not_pair_up_or_are_too_few_are_refused(split, x, y):
    with pytest.raises(InputError, match=rf"of one length, two or more. Received: shapes \({x}, 2\) and \({y},\)"):
        split(np.zeros((x, 2)), np.zeros(y, int))


@pytest.mark.parametrize("count", [2, 10, 11])
def test_halves_go_to_the_two_inputs_in_order(count):
    half = count // 2
    inputs, outputs = split_two_inputs(np.arange(count), np.arange(count) + 100)
    assert {name: array.tolist() for name, array in (inputs | outputs).items()} == {
        "input_a": list(range(half)), "input_b": list(range(half, 2 * half)),
        "output_a": list(range(100, 100 + half)), "output_b": list(range(100 + half, 100 + 2 * half)),
    }  # fmt: skip


@pytest.fixture(scope="module")
def numbered():
    """As many digits as the full MNIST has: tiny images, each digit labeled with its place."""

    def part(count):
        places = np.arange(count)
        return (places % 256).astype(np.uint8).reshape(-1, 1, 1), places

    return part(60_000), part(10_000)


def pixels(places):
    return (places % 256 / 255).astype(np.float32)


def test_prepared_digits_are_the_articles(numbered):
    for (x, y), first, count in zip(splits.prepare_digits(numbered), (5_000, 0, 0), (55_000, 5_000, 10_000)):
        np.testing.assert_array_equal(y, np.arange(first, first + count))
        np.testing.assert_allclose(x.ravel(), pixels(y), atol=1e-7)
        assert x.dtype == np.float32


def test_digits_prepared_for_two_inputs_are_the_articles(numbered):
    counts, first_of_a, first_of_b = (22_000, 5_500, 5_000), (5_000, 27_000, 0), (32_500, 54_500, 5_000)
    for (x, y), count, a, b in zip(splits.prepare_two_inputs(numbered), counts, first_of_a, first_of_b):
        for letter, first in (("a", a), ("b", b)):
            np.testing.assert_array_equal(y[f"output_{letter}"], np.arange(first, first + count))
            np.testing.assert_allclose(x[f"input_{letter}"].ravel(), pixels(y[f"output_{letter}"]), atol=1e-7)


def test_flat_digits_and_pairs_are_made_within_each_part(few_digits):
    plain, flat, paired = (getattr(splits, f"prepare_{kind}")(few_digits) for kind in ("digits", "flat", "pairs"))
    for (x, y), (vectors, labels), (pairs, same) in zip(plain, flat, paired):
        np.testing.assert_array_equal(vectors, x.reshape(len(x), 784))
        np.testing.assert_array_equal(labels, y)
        np.testing.assert_array_equal(pairs["left"], x)
        assert {image.tobytes() for image in pairs["right"]} <= {image.tobytes() for image in x}
        assert set(same) == {0, 1}


def test_pairs_are_balanced_labeled_by_their_digits_and_drawn_with_the_seed_alone():
    y = np.random.default_rng(0).integers(0, 10, 1001).astype("uint8")
    # Each image holds its own number, so that pairs can be traced.
    x = np.arange(1001)[:, None, None]
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


@pytest.mark.parametrize("y", [np.array([1, 1, 1]), np.array([0.5, 1, 2]), np.eye(3, dtype=int)])
def test_labels_that_make_no_pairs_are_refused(y):
    with pytest.raises(InputError, match="`y` should .*Received: "):
        make_pairs(np.zeros((3, 28, 28)), y)
