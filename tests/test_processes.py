"""What only a process of its own shows: console script, network, signals, threads, devices, a bare environment."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import keras_model_wars
from keras_model_wars import EXPERIMENTS, cli, train

COMMAND = "keras-model-wars"
SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}


def read_history(folder):
    return pd.read_csv(folder / "history.csv", index_col="epoch", dtype=str).astype(float).rename(index=int)


def test_help_imports_no_tensorflow(run_process, tmp_path):
    for arguments in (["--help"], ["train", "-h"], ["list"], ["--version"]):
        result = run_process(COMMAND, *arguments, folder=tmp_path, PYTHONPROFILEIMPORTTIME="1")
        assert result.status == 0
        assert result.out
        assert "| keras_model_wars" in " ".join(result.err.split())
        assert not [line for line in result.err.splitlines() if line.endswith(("| keras", "| tensorflow"))]


def test_script_without_a_network_trains_on_the_sample_and_says_so_in_one_line(run_process, tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "wide_deep.py"
    result = run_process("python", script, "--epochs", 1, "--hidden-units", "16,8", folder=tmp_path)
    assert result.status == 0, result.err
    (warning,) = result.err.splitlines()
    assert warning.startswith("warning: Using the bundled sample of 5,000 digits: ")
    assert len(warning) <= 160
    assert "Digits: the bundled sample of 5,000 digits\n" in result.out
    assert "129/129" in result.out, "Keras's progress bar"
    assert "No comparison with the article: this run had 4,500 of MNIST's 60,000 digits." in result.out
    assert (tmp_path / "runs" / "wide_deep" / "model.keras").stat().st_size


def test_command_trains_a_small_model_on_one_thread_with_the_result_of_train(few_digits_file, few_digits, tmp_path):
    program = """
        import sys, tensorflow
        from keras_model_wars.cli import app
        app(sys.argv[1:], standalone_mode=False)
        print(tensorflow.config.threading.get_intra_op_parallelism_threads())
    """
    arguments = ["train", "sequential", "--epochs", "2", "--data", str(few_digits_file), "--quiet"]
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert process.stdout.split()[-1:] == ["1"], process.stderr
    run = train("sequential", epochs=2, data=few_digits, verbose=False)
    pd.testing.assert_frame_equal(read_history(tmp_path / "runs" / "sequential"), run.history, check_exact=True)


def test_only_small_models_with_the_articles_widths_are_limited_to_one_thread(command, monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "import_keras", asked.append)
    monkeypatch.setattr(keras_model_wars, "train", lambda *_, **__: None)
    for model in EXPERIMENTS:
        command("train", model)
        command("train", model, "--hidden-units", "16,8")
    assert asked == [1, None, None, None, None, None, 1, None, 1, None, 1, None]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows knows no SIGKILL")
def test_run_killed_in_the_middle_of_an_epoch_ends_after_resume_as_one_that_was_not(
    few_digits, few_digits_file, tmp_path
):
    program = f"""
        import os, signal
        from keras_model_wars import runs, train

        def kill(self, batch, logs=None):
            if self.model.optimizer.iterations > 26:
                os.kill(os.getpid(), signal.SIGKILL)

        runs.RunRecord.on_train_batch_end = kill
        train("shared_layers", data={str(few_digits_file)!r}, out="killed", steps_per_execution=2, **{SMALL!r})
    """
    process = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert len(read_history(tmp_path / "killed")) == 2
    whole = train("shared_layers", data=few_digits, **SMALL)
    resumed = train("shared_layers", data=few_digits, out=tmp_path / "killed", resume=True, **SMALL)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


# Virtual devices must be made before TensorFlow first runs, hence a process. 768 digits leave 704 to train and 64 to
# validate: batches of 32 share evenly between two devices, as they must for losses that are means of means.
TWO_DEVICES = """
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
        two = losses()
    print(json.dumps([one, two]))
"""


def test_two_devices_of_a_mirrored_strategy_learn_what_one_learns(tmp_path):
    program = [sys.executable, "-c", textwrap.dedent(TWO_DEVICES)]
    process = subprocess.run(program, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300)
    assert process.returncode == 0, process.stderr[-2000:]
    (one_replica, one), (two_replicas, two) = json.loads(process.stdout.splitlines()[-1])
    assert (one_replica, two_replicas) == (1, 2)
    assert two == pytest.approx(one, abs=1e-4)


@pytest.mark.skipif(os.name == "nt", reason="the signal is sent as a terminal of Linux and macOS sends it")
def test_ctrl_c_ends_the_command_with_status_130_and_one_line(few_digits_file, tmp_path):
    program = f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job in the background
        from keras_model_wars import train  # imports Keras quietly
        from keras_model_wars import runs
        from keras_model_wars.cli import main

        def stop(self, batch, logs=None):
            if self.model.optimizer.iterations > 11:
                signal.raise_signal(signal.SIGINT)

        runs.RunRecord.on_train_batch_end = stop
        main(["train", "sequential", "--quiet", "--hidden-units", "16,8", "--data", {str(few_digits_file)!r}])
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert process.returncode == 130
    assert process.stderr == "\nStopped after 1 of 20 epochs. Continue with --resume.\n"


def test_two_runs_at_once_without_home_or_screen_in_a_folder_with_a_difficult_name(few_digits_file, tmp_path):
    folder = tmp_path / "ein Ordner für Ü"
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "DISPLAY")}
    options = ["--quiet", "--epochs", "1", "--hidden-units", "16,8", "--data", str(few_digits_file), "--out"]
    both = [
        subprocess.Popen(
            [str(Path(sys.executable).parent / COMMAND), "train", "sequential", *options, f"{name} Lauf"],
            cwd=folder,
            env=environment | {"HOME": "/dev/null/none", "PYTHONUTF8": "1"},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for name in ("erster", "zweiter")
    ]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    first, second = (read_history(folder / f"{name} Lauf") for name in ("erster", "zweiter"))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
