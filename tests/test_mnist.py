"""Where the digits come from, and that nothing but MNIST is taken for MNIST."""

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

ARRAYS = {
    "x_train": np.full((4, 28, 28), 7, np.uint8),
    "y_train": np.arange(4, dtype=np.uint8),
    "x_test": np.full((2, 28, 28), 9, np.uint8),
    "y_test": np.array([1, 3], np.uint8),
}


def write(path, **replaced):
    """Write an .npz file; what is replaced by None is left out."""
    np.savez(
        path,
        **{
            name: array
            for name, array in (ARRAYS | replaced).items()
            if array is not None
        },
    )
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where Keras's cache keeps mnist.npz."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "keras" / "datasets" / "mnist.npz"


def test_path_comes_before_environment_and_cache(cache, tmp_path, monkeypatch, recwarn):
    write(cache)
    given, named = (
        write(tmp_path / "given.npz", y_test=np.array([5, 6])),
        write(tmp_path / "named.npz"),
    )
    assert find_mnist()[1] == f"Keras's cache ({cache})"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert find_mnist()[1] == f"Keras's cache ({cache})"
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(named))
    assert find_mnist()[1] == f"{named} ({ENVIRONMENT_VARIABLE})"
    assert find_mnist(given)[1] == str(given)
    assert [load_mnist(path)[1][1].tolist() for path in (None, str(given))] == [
        [1, 3],
        [5, 6],
    ]
    assert not recwarn.list


def test_sample_is_4500_and_500_digits_in_one_order(monkeypatch, recwarn):
    (x_train, y_train), (x_test, y_test) = load_mnist(Path("sample"))
    assert (x_train.shape, y_train.shape, x_test.shape) == (
        (4500, 28, 28),
        (4500,),
        (500, 28, 28),
    )
    assert y_train[:10].tolist() == [4, 2, 0, 9, 6, 6, 2, 1, 2, 0]
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "sample")
    assert fingerprint(load_mnist()) == "4500 + 500, crc32 08c72f01"
    assert not recwarn.list


# What the network answers, and what the warning says of it.
ANSWERS = (
    (urllib.error.URLError("CERTIFICATE " + "long " * 50), "CERTIFICATE"),
    (OSError("off"), "off"),
    (TimeoutError(), "no answer"),
    (lambda *_, **__: time.sleep(5), "no answer"),
)


@pytest.mark.parametrize(("answer", "reason"), ANSWERS)
def test_sample_comes_last_within_seconds_with_one_short_line_that_says_why_and_what_to_do(
    monkeypatch, answer, reason
):
    assert 2 * mnist._NETWORK_SECONDS <= 15
    monkeypatch.setattr(mnist, "_NETWORK_SECONDS", 0.5)
    monkeypatch.setattr("urllib.request.urlopen", Mock(side_effect=answer))
    with pytest.warns(
        UserWarning, match=rf"the download failed \(.*{reason}.*\)\. .*--data mnist.npz"
    ) as caught:
        assert [len(y) for _, y in load_mnist()] == [4500, 500]
    (warning,) = caught
    assert len(f"warning: {warning.message}") <= 160
    assert warning.filename == __file__


def test_only_a_whole_download_is_kept_and_a_damaged_cache_is_named(
    cache, monkeypatch, recwarn, capsys
):
    content = write(cache).read_bytes()
    cache.unlink()
    network = Mock(return_value=io.BytesIO(content))
    monkeypatch.setattr("urllib.request.urlopen", network)
    assert [load_mnist()[1][1].tolist() for _ in range(2)] == [[1, 3], [1, 3]]
    network.assert_called_once()
    assert "Downloading https://" in capsys.readouterr().err
    assert not recwarn.list
    assert list(cache.parent.iterdir()) == [cache]
    cache.write_bytes(b"broken")
    with pytest.warns(UserWarning, match="Keras's cached mnist.npz cannot be read"):
        assert len(load_mnist()[0][0]) == 4500
    cache.unlink()
    network.return_value = io.BytesIO(content[: len(content) // 2])
    with pytest.warns(
        UserWarning, match=r"the download failed \(File is not a zip file\)"
    ):
        assert len(load_mnist()[0][0]) == 4500
    assert not list(cache.parent.iterdir())


def test_file_is_loaded_as_it_is_and_whole_numbers_become_uint8(tmp_path):
    digits = np.random.default_rng(0).integers(0, 256, (4, 28, 28))
    path = write(
        tmp_path / "digits.npz", x_train=digits, y_train=np.array([9, 0, 1, 2])
    )
    (x_train, y_train), test = load_mnist(path)
    np.testing.assert_array_equal(x_train, digits)
    assert (x_train.dtype, y_train.dtype, y_train.tolist()) == (
        np.uint8,
        np.uint8,
        [9, 0, 1, 2],
    )
    assert all(map(np.array_equal, test, (ARRAYS["x_test"], ARRAYS["y_test"])))


NOT_MNIST = [
    (
        {"y_train": None, "y_test": None},
        "arrays x_train, y_train, x_test, y_test",
        "y_train",
    ),
    (
        {"x_train": np.zeros((4, 784), int)},
        "x_train should have the shape N x 28 x 28",
        "(4, 784)",
    ),
    ({"x_test": np.zeros((0, 28, 28), int)}, "N x 28 x 28", "(0, 28, 28)"),
    (
        {"y_train": np.eye(10, dtype=int)[:4]},
        "y_train should have the shape N ",
        "(4, 10)",
    ),
    (
        {"y_train": np.array([0, 1, 2, 10])},
        "y_train should .* whole numbers from 0 to 9",
        "0 to 10",
    ),
    (
        {"y_test": np.array([-1, 3])},
        "y_test should .* whole numbers from 0 to 9",
        "-1 to 3",
    ),
    (
        {"x_train": np.zeros((4, 28, 28))},
        "x_train should .* whole numbers from 0 to 255",
        "dtype=float64",
    ),
    (
        {"x_test": np.full((2, 28, 28), 256)},
        "x_test should .* whole numbers from 0 to 255",
        "256 to 256",
    ),
    (
        {"y_train": np.array([0, 1, 2])},
        "one label per image",
        "4 and 2 images, 3 and 2 labels",
    ),
    (
        {"y_test": np.array([0, 1, 2])},
        "one label per image",
        "4 and 2 images, 4 and 3 labels",
    ),
    (
        {"y_train": np.array([7, 7, 7, 7])},
        "two or more different digits",
        "digits [7] to train on",
    ),
]


@pytest.mark.parametrize(("replaced", "expected", "received"), NOT_MNIST)
def test_file_that_is_not_mnist_is_refused(tmp_path, replaced, expected, received):
    path = write(tmp_path / "digits.npz", **replaced)
    with pytest.raises(
        InputError,
        match=f"^{re.escape(str(path))}.*{expected}.*Received: .*{re.escape(received)}",
    ):
        load_mnist(path)


def test_what_cannot_be_read_as_an_npz_is_refused(tmp_path, monkeypatch):
    content = write(tmp_path / "whole.npz").read_bytes()
    flipped = content[:400] + bytes([content[400] ^ 1]) + content[401:]
    for name, broken in {
        "text": b"x_train",
        "truncated": content[:-200],
        "flipped": flipped,
    }.items():
        (tmp_path / name).write_bytes(broken)
    not_zip = dict.fromkeys(("text", "truncated"), "File is not a zip file")
    for name, received in (
        not_zip | {"flipped": "Bad CRC-32", "missing": "No such file", ".": ""}
    ).items():
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / name))
        expected = f"^{re.escape(str(tmp_path / name))} should be an .npz file .*Received: .*{received}.+"
        with pytest.raises(InputError, match=expected):
            load_mnist()


class Trap:
    def __reduce__(self):
        return pytest.fail, ("unpickled",)


def test_nothing_is_unpickled(tmp_path):
    path = write(
        tmp_path / "digits.npz", y_test=np.array([Trap(), Trap()], dtype=object)
    )
    with pytest.raises(pytest.fail.Exception, match="unpickled"):
        np.load(path, allow_pickle=True)["y_test"]
    with pytest.raises(InputError, match="Object arrays cannot be loaded"):
        load_mnist(path)
