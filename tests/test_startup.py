"""What happens before the work: public names, quiet libraries; and files that are written whole or not at all."""

import os
import stat

import pytest

import keras_model_wars
from keras_model_wars.files import replacing
from keras_model_wars.startup import import_keras, quiet_libraries


def test_every_public_name_is_there():
    assert len(set(keras_model_wars.__all__)) == len(keras_model_wars.__all__) > 0
    for name in keras_model_wars.__all__:
        assert getattr(keras_model_wars, name) is not None
        assert name in dir(keras_model_wars)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'keras_model_wars' has no attribute 'build_resnet'"):
        _ = keras_model_wars.build_resnet


def test_known_chatter_is_kept_off_and_all_else_let_through(capfd):
    with quiet_libraries():
        os.write(2, b"W0000 00:00:1 cuda.cc:1] no cuda here\na message of weight\nFontconfig warning: no fonts\n")

    assert capfd.readouterr().err == "a message of weight\n"


def test_messages_before_a_failure_are_let_through(capfd):
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


def test_threads_of_a_process_that_runs_already_stay_as_they_are():
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
            assert temporary.suffix == ".txt"
            assert temporary.parent == path.parent
            temporary.write_text(text)

    assert path.read_text() == "new"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_failed_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        1 / temporary.write_text("half") / 0

    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_file_gets_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "replaced"):
        pass

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "replaced")]
    assert modes[0] == modes[1]
