"""What only a process of its own can show: imports, threads, kills, and a machine without much."""

import signal
from textwrap import dedent

import pytest
from PIL import Image

from conftest import assert_same_run
from keras_model_wars import train

SMALL = {"epochs": 3, "seed": 3, "hidden_units": (16, 8), "verbose": False}


def read_history(folder):
    return (folder / "history.csv").read_text()


def test_importing_the_package_does_not_load_tensorflow(run_process, tmp_path):
    program = """
        import sys
        import keras_model_wars as kmw
        dir(kmw), kmw.__version__, kmw.load_mnist("sample")
        from keras_model_wars.__main__ import main
        try:
            main(["train", "--help"])
        finally:
            assert not {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
    """
    result = run_process("python", "-c", dedent(program), folder=tmp_path)
    assert (result.status, result.err) == (0, "")
    assert "--min-accuracy" in result.out


def test_two_commands_train_the_same_at_once_offline_without_home_or_screen(
    start_process, tmp_path
):
    folder = tmp_path / "ein Ordner für Ü"
    folder.mkdir()
    options = ("train", "wide_deep", "--epochs", 1, "--hidden-units", "16,8", "--out")
    with_home = {"folder": folder}
    without_home = with_home | {"HOME": "/dev/null/none"}
    first = start_process("keras-model-wars", *options, "first run", **with_home)
    second = start_process(
        "python", "-m", "keras_model_wars", *options, "second run", **without_home
    )
    for result in (first(), second()):
        assert result.status == 0, result.err
        assert "Digits: sample" in result.out
        assert "129/129" in result.out, "Keras's line per epoch"
        warning = [line for line in result.err.splitlines() if "sample" in line]
        assert len(warning) == 1
    assert read_history(folder / "first run") == read_history(folder / "second run")


def test_the_command_trains_a_small_model_like_train_but_on_one_thread(
    run_process, few_digits_file, few_digits, tmp_path
):
    program = """
        import sys, tensorflow
        from keras_model_wars.__main__ import app
        app(sys.argv[1:], standalone_mode=False)
        print(tensorflow.config.threading.get_intra_op_parallelism_threads())
    """
    options = ("--epochs", 2, "--data", few_digits_file, "--quiet")
    result = run_process(
        "python",
        "-c",
        dedent(program),
        "train",
        "sequential",
        *options,
        folder=tmp_path,
    )
    assert result.out.split()[-1:] == ["1"], result.err
    run = train("sequential", epochs=2, data=few_digits, verbose=False)
    assert read_history(tmp_path / "runs" / "sequential") == run.history.to_csv()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows knows no SIGKILL")
def test_a_run_killed_within_an_epoch_and_resumed_ends_as_any_other(
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
    result = run_process("python", "-c", dedent(program), folder=tmp_path)
    assert result.status == -signal.SIGKILL
    header, *epochs = read_history(tmp_path / "killed").splitlines()
    assert len(epochs) == 2
    whole = train("shared_layers", data=few_digits, **SMALL)
    resumed = train(
        "shared_layers", data=few_digits, out=tmp_path / "killed", resume=True, **SMALL
    )
    assert_same_run(resumed, whole)


def test_a_prediction_comes_without_words_about_the_machine(
    run_process, good_run, sample, tmp_path
):
    good_run.model.save(tmp_path / "model.keras")
    Image.fromarray(sample[1][0][0]).save(tmp_path / "digit.png")
    result = run_process(
        "keras-model-wars", "predict", "model.keras", "digit.png", folder=tmp_path
    )
    assert (result.status, result.err) == (0, "")


def test_a_missing_backend_is_named_with_what_to_do(run_process, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "nonsense"}')
    result = run_process(
        "keras-model-wars", "list", folder=tmp_path, KERAS_HOME=str(tmp_path)
    )
    assert result.status == 2
    (line,) = [line for line in result.err.splitlines() if line.startswith("error")]
    assert "nonsense" in line
    assert "KERAS_BACKEND" in line
    assert "keras.json" in line


@pytest.mark.parametrize("last_act", ["os.abort()", "pass"])
def test_only_what_is_written_before_an_abort_reaches_the_screen(
    last_act, run_process, tmp_path
):
    # As TensorFlow ends on a processor without AVX.
    written = "import os; os.write(2, b'compiled to use AVX')"
    (tmp_path / "keras.py").write_text(f"{written}; {last_act}")
    program = "from keras_model_wars.__main__ import start_keras; start_keras()"
    result = run_process("python", "-c", program, folder=tmp_path)
    assert ("compiled to use AVX" in result.err) == (last_act == "os.abort()")
