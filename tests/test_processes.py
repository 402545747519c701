"""What only a process of its own shows: imports, console script, network, kill, threads, devices, bare environment."""

import json
import signal
from textwrap import dedent

import matplotlib
import pandas as pd
import pytest
from PIL import Image

import keras_model_wars
from conftest import assert_same_run
from keras_model_wars import EXPERIMENTS, cli, train

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}


def read_history(folder):
    return (
        pd.read_csv(folder / "history.csv", index_col="epoch", dtype=str)
        .astype(float)
        .rename(index=int)
    )


def test_what_needs_no_keras_does_not_import_it(run_process, few_digits_file, tmp_path):
    result = run_process(
        "keras-model-wars",
        "train",
        "--help",
        folder=tmp_path,
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert (result.status, "--epochs" in result.out) == (0, True)
    assert "| keras_model_wars" in " ".join(result.err.split())
    assert not [
        line
        for line in result.err.splitlines()
        if line.endswith(("| keras", "| tensorflow"))
    ]
    program = f"""
        import sys, keras_model_wars as kmw
        assert "matplotlib" not in sys.modules
        dir(kmw), kmw.load_mnist({str(few_digits_file)!r}), kmw.load_mnist("sample")
        assert "tensorflow" not in sys.modules
    """
    # With a cache of fonts, because matplotlib warns where building one takes long.
    result = run_process(
        "python",
        "-c",
        dedent(program),
        folder=tmp_path,
        MPLCONFIGDIR=matplotlib.get_cachedir(),
    )
    assert (result.status, result.err) == (0, "")


def test_two_commands_train_the_same_at_once_offline_without_home_or_screen(
    start_process, tmp_path
):
    folder = tmp_path / "ein Ordner für Ü"
    folder.mkdir()
    options = ("--epochs", 1, "--hidden-units", "16,8", "--out")
    first = start_process(
        "keras-model-wars", "train", "wide_deep", *options, "erster Lauf", folder=folder
    )
    bare = {
        "folder": folder,
        "HOME": "/dev/null/none",
    }  # matplotlib and Fontconfig warn that they can't write there
    command = start_process(
        "keras-model-wars", "train", "wide_deep", *options, "zweiter Lauf", **bare
    )
    results = [first(), command()]
    for result in results:
        assert result.status == 0, result.err
        assert "Data: the bundled sample of 5,000 digits\n" in result.out
        assert "129/129" in result.out, "Keras's line per epoch"
        assert "this run had 4,500 of MNIST's 60,000 training images." in result.out
    (warning,) = results[0].err.splitlines()
    assert warning.startswith("warning: Using the bundled sample of 5,000 digits: ")
    assert len(warning) <= 160
    first, second = (
        read_history(folder / f"{name} Lauf") for name in ("erster", "zweiter")
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_command_trains_a_small_model_like_train_but_on_one_thread(
    run_process, few_digits_file, few_digits, tmp_path
):
    program = """
        import sys, tensorflow
        from keras_model_wars.cli import app
        app(sys.argv[1:], standalone_mode=False)
        print(tensorflow.config.threading.get_intra_op_parallelism_threads())
    """
    arguments = (
        "train",
        "sequential",
        "--epochs",
        2,
        "--data",
        few_digits_file,
        "--quiet",
    )
    result = run_process("python", "-c", dedent(program), *arguments, folder=tmp_path)
    assert result.out.split()[-1:] == ["1"], result.err
    run = train("sequential", epochs=2, data=few_digits, verbose=False)
    pd.testing.assert_frame_equal(
        read_history(tmp_path / "runs" / "sequential"), run.history, check_exact=True
    )


def test_only_small_models_with_the_articles_widths_are_limited_to_one_thread(
    command, monkeypatch
):
    asked = []
    monkeypatch.setattr(cli, "start_keras", asked.append)
    monkeypatch.setattr(keras_model_wars, "train", lambda *_, **__: None)
    for model in EXPERIMENTS:
        command("train", model, "--quiet")
        command("train", model, "--quiet", "--hidden-units", "16,8")
    assert asked == [1, None, None, None, None, None, 1, None, 1, None, 1, None]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows knows no SIGKILL")
def test_run_killed_within_an_epoch_and_resumed_ends_as_any_other(
    run_process, few_digits_file, few_digits, tmp_path
):
    program = f"""
        import os, signal
        from keras_model_wars import runs, train

        def kill(self, batch, logs=None):
            if self.model.optimizer.iterations > 26:
                os.kill(os.getpid(), signal.SIGKILL)

        runs.RunRecord.on_train_batch_end = kill
        train("shared_layers", data={str(few_digits_file)!r}, out="killed", **{SMALL!r})
    """
    assert (
        run_process("python", "-c", dedent(program), folder=tmp_path).status
        == -signal.SIGKILL
    )
    assert len(read_history(tmp_path / "killed")) == 2
    whole = train("shared_layers", data=few_digits, **SMALL)
    resumed = train(
        "shared_layers", data=few_digits, out=tmp_path / "killed", resume=True, **SMALL
    )
    assert_same_run(resumed, whole)


def test_two_devices_of_a_mirrored_strategy_learn_what_one_learns(
    run_process, tmp_path
):
    # Virtual devices must be made before TensorFlow first runs. 768 digits leave 704 to train and 64 to validate:
    # batches of 32 share evenly between two devices, as they must for losses that are means of means.
    program = """
        import json
        import tensorflow as tf
        cpu, = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from keras_model_wars import load_mnist, train

        (x_train, y_train), (x_test, y_test) = load_mnist("sample")
        data = (x_train[:768], y_train[:768]), (x_test[:64], y_test[:64])

        def losses():
            run = train("sequential", data=data, epochs=2, hidden_units=(32, 16), verbose=False)
            replicas = run.model.distribute_strategy.num_replicas_in_sync
            return replicas, [*run.history["loss"], *run.history["val_loss"], run.test_metrics["loss"]]

        one = losses()
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            print(json.dumps([one, losses()]))
    """
    result = run_process("python", "-c", dedent(program), folder=tmp_path)
    assert result.status == 0, result.err[-2000:]
    (one_replica, one), (two_replicas, two) = json.loads(result.out.splitlines()[-1])
    assert (one_replica, two_replicas) == (1, 2)
    assert two == pytest.approx(one, abs=1e-4)


def test_a_prediction_comes_without_words_about_the_machine(
    run_process, good_run, sample, tmp_path
):
    good_run.model.save(tmp_path / "model.keras")
    Image.fromarray(sample[1][0][0]).save(tmp_path / "digit.png")
    result = run_process(
        "keras-model-wars", "predict", "model.keras", "digit.png", folder=tmp_path
    )
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_command_trains_on_another_backend(
    run_process, few_digits_file, tmp_path, backend
):
    pytest.importorskip(backend)
    arguments = ("train", "sequential", "--epochs", 1, "--data", few_digits_file)
    result = run_process(
        "keras-model-wars", *arguments, folder=tmp_path, KERAS_BACKEND=backend
    )
    assert result.status == 0, result.err
    assert "accuracy: validation" in result.out


def test_a_backend_that_is_missing_is_reported_in_one_line(run_process, tmp_path):
    result = run_process(
        "keras-model-wars",
        "which-api",
        "sequential",
        folder=tmp_path,
        KERAS_BACKEND="nonsense",
    )
    (line,) = result.err.splitlines()
    assert result.status == 2
    assert "unset KERAS_BACKEND, which is 'nonsense'" in line


def test_what_is_written_before_an_abort_reaches_the_screen(run_process, tmp_path):
    program = """
        import os
        from keras_model_wars.cli import _without_chatter

        with _without_chatter():
            os.write(2, b"The TensorFlow library was compiled to use AVX\\n")
            os.abort()
    """
    result = run_process("python", "-c", dedent(program), folder=tmp_path)
    assert result.status != 0
    assert "compiled to use AVX" in result.err
