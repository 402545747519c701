"""Public names, checks, quiet libraries, and files that are written whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

import keras_model_wars
from keras_model_wars import InputError, checks
from keras_model_wars.checks import import_keras, positive_number, quiet_libraries, replacing, whole_number


def test_every_public_name_is_there():
    for name in keras_model_wars.__all__:
        value = getattr(keras_model_wars, name)
        assert callable(value) or name == "EXPERIMENTS"
        assert name in dir(keras_model_wars)
    with pytest.raises(AttributeError, match="'keras_model_wars' has no attribute 'build_resnet'"):
        _ = keras_model_wars.build_resnet


def test_package_loads_digits_and_prepares_images_without_tensorflow(few_digits_file):
    program = f"""
import sys, numpy, keras_model_wars as kmw
dir(kmw), kmw.EXPERIMENTS, kmw.load_mnist({str(few_digits_file)!r}), kmw.load_mnist("sample")
kmw.prepare_image(numpy.pad(numpy.zeros((60, 8)), 30, constant_values=1))
import keras_model_wars.cli, keras_model_wars.report
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_input_error_is_what_python_callers_catch():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, TypeError)


@pytest.mark.parametrize("value", [0, 11, 1.5, True, "3", None, float("nan"), 10**30])
def test_what_is_no_whole_number_in_range_is_refused(value):
    assert whole_number("epochs", 10, highest=10) == 10
    with pytest.raises(InputError, match=r"`epochs` should be a whole number from 1 to 10. Received: epochs="):
        whole_number("epochs", value, highest=10)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), True, "0.1", None, 10**400])
def test_what_is_no_positive_number_is_refused(value):
    assert positive_number("rate", 2) == 2.0
    with pytest.raises(InputError, match="`rate` should be a finite number above zero. Received: rate="):
        positive_number("rate", value)


def test_known_log_messages_are_held_and_all_else_let_through(capfd):
    with quiet_libraries():
        os.write(2, b"W0000 00:00:1 cuda.cc:1] no cuda here\na message of weight\nFontconfig warning: no fonts\n")
    assert capfd.readouterr().err == "a message of weight\n"
    with pytest.raises(ZeroDivisionError), quiet_libraries():
        1 / os.write(2, b"why it fails\n") / 0
    assert capfd.readouterr().err == "why it fails\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_missing_backend_is_named(monkeypatch):
    import keras

    def refuse(*_):
        raise ImportError("No module named 'jax'")

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(keras.ops, "zeros", refuse)
    with pytest.raises(ImportError, match="KERAS_BACKEND='jax' .*No module named 'jax'.*Unset KERAS_BACKEND"):
        import_keras()


def test_threads_of_an_initialized_process_stay_as_they_are():
    import keras
    import tensorflow as tf

    keras.ops.zeros(1)
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    import_keras(threads + 1)
    assert tf.config.threading.get_intra_op_parallelism_threads() == threads


def test_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            assert (temporary.suffix, temporary.parent) == (".txt", path.parent)
            temporary.write_text(text)
    assert path.read_text() == "new"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        1 / temporary.write_text("half") / 0
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failures", [3, 99])
def test_file_that_windows_holds_open_is_tried_again_and_then_given_up(tmp_path, monkeypatch, failures):
    path = tmp_path / "file.txt"
    path.write_text("old")
    rename, calls = type(path).replace, []

    def held(self, target):
        calls.append(target)
        if len(calls) <= failures:
            raise PermissionError(13, "in use", str(self), None, str(target))
        return rename(self, target)

    monkeypatch.setattr(type(path), "replace", held)
    monkeypatch.setattr(checks.time, "sleep", lambda _: None)
    if failures == 3:
        with replacing(path) as temporary:
            temporary.write_text("new")
        assert path.read_text() == "new"
    else:
        with pytest.raises(PermissionError) as caught, replacing(path) as temporary:
            temporary.write_text("new")
        assert caught.value.filename2 == str(path)
        assert (path.read_text(), len(calls)) == ("old", 10)
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_file_gets_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "replaced") as temporary:
        temporary.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "replaced")]
    assert modes[0] == modes[1]
