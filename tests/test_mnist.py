"""Where MNIST comes from, and that nothing else is taken for it."""

import socket
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_model_wars import InputError, load_mnist
from keras_model_wars.mnist import ENVIRONMENT_VARIABLE, fingerprint, name_digits

SAMPLE = "4500 + 500, crc32 08c72f01"


def random_images():
    return np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)


def write(path, **replaced):
    """Write a small .npz file in Keras's format, with some arrays replaced."""
    arrays = {
        "x_train": np.full((4, 28, 28), 7, np.uint8),
        "y_train": np.arange(4, dtype=np.uint8),
        "x_test": np.full((2, 28, 28), 9, np.uint8),
        "y_test": np.array([1, 3], np.uint8),
    }
    np.savez_compressed(path, **(arrays | replaced))
    return path


def test_path_comes_before_the_environment_and_that_before_keras(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: "Keras's own")
    named = write(tmp_path / "named.npz")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(named))
    assert fingerprint(load_mnist("sample")) == SAMPLE
    assert fingerprint(load_mnist()).startswith("4 + 2, ")
    monkeypatch.delenv(ENVIRONMENT_VARIABLE)
    assert load_mnist() == "Keras's own"


def test_file_in_the_home_folder_is_loaded_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "mnist.npz", x_train=random_images())
    (x_train, y_train), (x_test, y_test) = load_mnist("~/mnist.npz")
    np.testing.assert_array_equal(x_train, random_images())
    assert y_train.tolist() == [0, 1, 2, 3]
    assert len(x_test) == len(y_test) == 2


def test_sample_comes_offline_with_one_warning_at_the_callers_line():
    with pytest.warns(UserWarning, match="sample of 5,000.* offline") as caught:
        loaded = load_mnist()
    assert fingerprint(loaded) == SAMPLE
    assert [warning.filename for warning in caught] == [__file__]


def test_a_network_that_never_answers_is_waited_for_briefly(monkeypatch):
    timeouts = []

    def hang():
        timeouts.append(socket.getdefaulttimeout())
        raise TimeoutError

    monkeypatch.setattr(keras.datasets.mnist, "load_data", hang)
    with pytest.warns(UserWarning, match="bundled sample"):
        load_mnist()
    assert timeouts == [5]
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"x_train": np.zeros((4, 784), np.uint8)},
        {"x_train": np.zeros((4, 28, 28), np.float32)},
        {"y_train": np.array([-1, 0, 1, 2])},
        {"y_test": np.uint8([1, 2, 3])},
        {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.uint8([])},
    ],
)
def test_other_arrays_are_refused(tmp_path, wrong):
    path = write(tmp_path / "mnist.npz", **wrong)
    with pytest.raises(InputError, match="mnist.npz should hold images .*Received: "):
        load_mnist(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = write(tmp_path / "mnist.npz", x_train=random_images())
    content = path.read_bytes()
    path.write_bytes(content[:500] + b"damaged" + content[507:])
    with pytest.raises(InputError, match="mnist.npz should be an .npz file"):
        load_mnist(path)


def test_a_file_without_labels_is_refused(tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, x_train=random_images())
    with pytest.raises(InputError, match="x_train, y_train, x_test and y_test"):
        load_mnist(path)


@pytest.mark.parametrize("path", ["missing.npz", "."])
def test_a_missing_file_and_a_folder_are_the_systems_errors(path):
    with pytest.raises(OSError, match=path):
        load_mnist(path)


def test_nothing_is_unpickled(tmp_path):
    path = write(tmp_path / "mnist.npz", y_test=np.array([1, None]))
    with pytest.raises(InputError) as caught:
        load_mnist(path)
    assert "Object arrays cannot be loaded" in str(caught.value.__cause__)


def test_digits_are_named_by_their_content_or_their_file(sample, few_digits):
    assert name_digits("any.npz", fingerprint(sample)) == "sample"
    assert name_digits(Path("folder/few.npz"), fingerprint(few_digits)) == "few.npz"
    assert name_digits(few_digits, fingerprint(few_digits)) == "375 images"


def test_the_full_set_is_called_mnist(full_mnist):
    assert name_digits("any.npz", fingerprint(load_mnist(full_mnist))) == "MNIST"
