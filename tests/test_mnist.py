"""Where MNIST comes from, and that nothing else is taken for it."""

import io
import re
import time
import urllib.error
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from keras_model_wars import InputError, mnist
from keras_model_wars.mnist import (
    ENVIRONMENT_VARIABLE,
    find_mnist,
    fingerprint,
    load_mnist,
)


def write(path, **replaced):
    """Write a small .npz file in Keras's format, with some arrays replaced."""
    arrays = {
        "x_train": np.full((4, 28, 28), 7, np.uint8),
        "y_train": np.arange(4, dtype=np.uint8),
        "x_test": np.full((2, 28, 28), 9, np.uint8),
        "y_test": np.array([1, 3], np.uint8),
    }
    np.savez(path, **(arrays | replaced))
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where Keras's cache keeps mnist.npz."""
    path = tmp_path / "keras" / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return path


def assert_is_sample(loaded):
    assert fingerprint(loaded) == "4500 + 500, crc32 08c72f01"


def test_path_comes_before_environment_and_cache(cache, tmp_path, monkeypatch, recwarn):
    write(cache)
    given = write(tmp_path / "given.npz", y_test=np.array([5, 6]))
    named = write(tmp_path / "named.npz", y_test=np.array([7, 8]))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(named))
    from_path, path_source = find_mnist(given)
    from_variable, variable_source = find_mnist()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    from_cache, cache_source = find_mnist()
    assert path_source == str(given)
    assert variable_source == f"{named} ({ENVIRONMENT_VARIABLE})"
    assert cache_source == f"Keras's cache ({cache})"
    assert from_path[1][1].tolist() == [5, 6]
    assert from_variable[1][1].tolist() == [7, 8]
    assert from_cache[1][1].tolist() == [1, 3]
    assert not recwarn.list


def test_sample_is_4500_and_500_images_in_one_order(monkeypatch, recwarn):
    (x_train, y_train), (x_test, y_test) = load_mnist(Path("sample"))
    assert x_train.shape == (4500, 28, 28)
    assert x_test.shape == (500, 28, 28)
    assert y_train[:10].tolist() == [4, 2, 0, 9, 6, 6, 2, 1, 2, 0]
    assert y_test.shape == (500,)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "sample")
    assert_is_sample(load_mnist())
    assert not recwarn.list


def no_answer(*_, **__):
    time.sleep(5)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (urllib.error.URLError("CERTIFICATE " + "long " * 50), "CERTIFICATE"),
        (OSError("off"), "off"),
        (TimeoutError(), "no answer"),
        (no_answer, "no answer"),
    ],
)
def test_sample_without_a_network_comes_within_seconds_with_one_short_warning(
    monkeypatch, answer, reason
):
    assert 2 * mnist._NETWORK_SECONDS <= 15
    monkeypatch.setattr(mnist, "_NETWORK_SECONDS", 0.5)
    monkeypatch.setattr("urllib.request.urlopen", Mock(side_effect=answer))
    expected = rf"failed \(.*{reason}.*\)\. .*--data mnist.npz"
    with pytest.warns(UserWarning, match=expected) as caught:
        assert_is_sample(load_mnist())
    assert len(caught) == 1
    assert len(f"warning: {caught[0].message}") <= 160
    assert caught[0].filename == __file__


def test_sample_without_a_home_folder_comes_with_a_warning(monkeypatch):
    no_home = RuntimeError("Could not determine home directory.")
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setattr(Path, "home", Mock(side_effect=no_home))
    with pytest.warns(UserWarning, match=r"\(Could not determine home directory\)\. "):
        assert_is_sample(load_mnist())


def test_download_is_kept_in_the_cache(cache, monkeypatch, recwarn, capsys):
    content = write(cache).read_bytes()
    cache.unlink()
    network = Mock(return_value=io.BytesIO(content))
    monkeypatch.setattr("urllib.request.urlopen", network)
    load_mnist()
    (_, _), (_, y_test) = load_mnist()
    network.assert_called_once()
    assert y_test.tolist() == [1, 3]
    assert "Downloading https://" in capsys.readouterr().err
    assert list(cache.parent.iterdir()) == [cache]
    assert not recwarn.list


def test_half_a_download_leaves_no_file(cache, monkeypatch):
    content = write(cache).read_bytes()
    cache.unlink()
    half = io.BytesIO(content[: len(content) // 2])
    monkeypatch.setattr("urllib.request.urlopen", Mock(return_value=half))
    with pytest.warns(UserWarning, match=r"\(File is not a zip file\)"):
        assert_is_sample(load_mnist())
    assert not list(cache.parent.iterdir())


def test_damaged_cache_is_left_and_comes_with_a_warning(cache):
    cache.write_bytes(b"broken")
    with pytest.warns(UserWarning, match=r"mnist.npz .*\(File is not a zip file\)"):
        assert_is_sample(load_mnist())
    assert cache.read_bytes() == b"broken"


def test_file_is_loaded_as_it_is_and_integers_become_uint8(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 28, 28))
    labels = np.array([9, 0, 1, 2])
    path = write(tmp_path / "mnist.npz", x_train=images, y_train=labels)
    (x_train, y_train), (x_test, y_test) = load_mnist(path)
    np.testing.assert_array_equal(x_train, images)
    np.testing.assert_array_equal(y_train, labels)
    np.testing.assert_array_equal(x_test, np.full((2, 28, 28), 9))
    assert x_train.dtype == y_train.dtype == np.uint8
    assert y_test.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("x_train", np.zeros((4, 784), int), r"(count, 28, 28).*shape=(4, 784)"),
        ("x_test", np.zeros((0, 28, 28), int), r"(count, 28, 28).*=(0, 28, 28)"),
        ("y_train", np.eye(10, dtype=int)[:4], r"(count).*shape=(4, 10)"),
        ("y_train", np.array([0, 1, 2, 10]), "0 to 9. Received: 0 to 10"),
        ("y_test", np.array([-1, 3]), "0 to 9. Received: -1 to 3"),
        ("x_train", np.zeros((4, 28, 28)), "integers.*dtype=float64"),
        ("x_test", np.full((2, 28, 28), 256), "0 to 255.* 256 to 256"),
    ],
)
def test_array_that_is_not_mnists_is_refused_by_name(tmp_path, name, values, message):
    path = write(tmp_path / "mnist.npz", **{name: values})
    message = message.replace("(", r"\(").replace(")", r"\)")
    expected = f"^{re.escape(str(path))}: {name} should hold .*{message}"
    with pytest.raises(InputError, match=expected):
        load_mnist(path)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("y_train", [0, 1, 2], "one label per image.* 4 and 2 images, 3 and 2 labels"),
        ("y_test", [0, 1, 2], "one label per image.* 4 and 2 images, 4 and 3 labels"),
        ("y_test", 3, "one label per image.* 4 and 2 images, 4 and 1 labels"),
        ("y_train", [7, 7, 7, 7], "two or more different labels.* the label 7 for all"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_refused(tmp_path, name, labels, message):
    path = write(tmp_path / "mnist.npz", **{name: np.array(labels)})
    with pytest.raises(InputError, match=message):
        load_mnist(path)


def test_data_without_two_pairs_of_arrays_is_refused():
    with pytest.raises(InputError, match=r"^`data` should be \(x_train, y_train\), "):
        mnist.check_mnist([[1, 2], 3], "`data`")


def test_file_cut_short_is_refused(tmp_path):
    path = write(tmp_path / "mnist.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="npz file .*Received: File is not a zip file"):
        load_mnist(path)


def test_file_with_one_wrong_bit_is_refused(tmp_path):
    path = write(tmp_path / "mnist.npz")
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="npz file .*Received: Bad CRC-32"):
        load_mnist(path)


@pytest.mark.parametrize("path", ["missing.npz", ".", 5, "a\0b"])
def test_what_is_no_file_is_refused(path):
    expected = rf"^{re.escape(str(path))} should be an \.npz file with .*Received: .+"
    with pytest.raises(InputError, match=expected):
        load_mnist(path)


def test_file_without_labels_is_refused(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((4, 28, 28), int))
    with pytest.raises(
        InputError, match="arrays x_train, y_train.*Received: .y_train is not"
    ):
        load_mnist(tmp_path / "mnist.npz")


class Trap:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_nothing_is_unpickled(tmp_path):
    trap = np.array([Trap(), Trap()], dtype=object)
    path = write(tmp_path / "mnist.npz", y_test=trap)
    with pytest.raises(pytest.fail.Exception, match="unpickled"):
        np.load(path, allow_pickle=True)["y_test"]
    with pytest.raises(InputError, match="Object arrays cannot be loaded"):
        load_mnist(path)
