"""Public names, quiet libraries, and files that are written whole or not at all."""

import os
import stat

import keras
import pytest
import tensorflow as tf

import keras_model_wars
from keras_model_wars import InputError, checks
from keras_model_wars.checks import import_keras, quiet_stderr, replacing


def test_every_public_name_is_there():
    for name in keras_model_wars.__all__:
        value = getattr(keras_model_wars, name)
        assert callable(value) or name == "EXPERIMENTS"
        assert name in dir(keras_model_wars)
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, TypeError)
    with pytest.raises(
        AttributeError, match="'keras_model_wars' has no attribute 'build_resnet'"
    ):
        _ = keras_model_wars.build_resnet


def test_known_log_messages_are_held_and_all_else_let_through(capfd):
    with quiet_stderr():
        os.write(
            2,
            b"W0000 00:00:1 cuda.cc:1] no cuda here\na message of weight\nFontconfig warning: no fonts\n",
        )
    assert capfd.readouterr().err == "a message of weight\n"
    with pytest.raises(ZeroDivisionError), quiet_stderr():
        1 / os.write(2, b"why it fails\n") / 0
    assert capfd.readouterr().err == "why it fails\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_missing_backend_is_named(monkeypatch):
    def refuse(*_):
        raise ImportError("No module named 'jax'")

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(keras.ops, "zeros", refuse)
    with pytest.raises(
        InputError,
        match="KERAS_BACKEND should .*Received: 'jax' .*No module named 'jax'",
    ):
        import_keras()


def test_threads_of_an_initialized_process_stay_as_they_are():
    keras.ops.zeros(1)
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    import_keras(threads + 1)
    assert tf.config.threading.get_intra_op_parallelism_threads() == threads


def test_file_is_replaced_when_it_is_whole_and_has_the_permissions_of_any_new_file(
    tmp_path,
):
    path = tmp_path / "new" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            assert (temporary.suffix, temporary.parent) == (".txt", path.parent)
            temporary.write_text(text)
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        1 / temporary.write_text("half") / 0
    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]
    (tmp_path / "usual").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        (tmp_path / "usual").stat().st_mode
    )


@pytest.mark.parametrize(("failures", "left"), [(3, "new"), (99, "old")])
def test_file_that_windows_holds_open_is_tried_again_and_then_given_up(
    tmp_path, monkeypatch, failures, left
):
    path, calls = tmp_path / "file.txt", []
    path.write_text("old")
    rename = type(path).replace

    def held(self, target):
        calls.append(target)
        if len(calls) <= failures:
            raise PermissionError(13, "in use", str(self), None, str(target))
        return rename(self, target)

    monkeypatch.setattr(type(path), "replace", held)
    monkeypatch.setattr(checks.time, "sleep", lambda _: None)
    try:
        with replacing(path) as temporary:
            temporary.write_text("new")
    except PermissionError as error:
        assert (error.filename2, left, len(calls)) == (str(path), "old", 10)
    assert path.read_text() == left
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]
