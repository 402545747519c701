"""The command: what it prints and writes, and how it refuses a user's mistakes."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import keras_model_wars as kmw
from conftest import without_pictures
from keras_model_wars.__main__ import check_accuracy, main
from keras_model_wars.runs import RunRecord

MY_MODEL = """
import keras
import tensorflow as tf
from keras_model_wars import Experiment

def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build_mine(hidden_units=(8,)):
    layers = tf.keras.layers
    hidden = [layers.Dense(units, "relu") for units in hidden_units]
    ends = [layers.Flatten(), Doubling(), *hidden, layers.Dense(10, "softmax")]
    model = tf.keras.Sequential([tf.keras.Input((28, 28)), *ends])
    model.compile("adam", own_loss, metrics=["accuracy"])
    return model

def build_residual():
    inputs = keras.Input((28, 28))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Add(name="join")([x, keras.layers.Dense(784)(x)])
    return keras.Model(inputs, keras.layers.Dense(10, "softmax")(x))

def build_nothing():
    build_mine()

def build_five():
    ends = [keras.layers.Flatten(), keras.layers.Dense(5, "softmax")]
    return keras.Sequential([keras.Input((28, 28)), *ends])

def build_broken():
    return 1 / 0
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Run each command in a folder with a model of the reader's own."""
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(MY_MODEL)
    return tmp_path


@pytest.fixture
def train_mine(command, few_digits_file):
    """Train the reader's own model for an epoch, without pictures."""

    def train(*options):
        short = ("--data", few_digits_file, "--epochs", 1)
        with without_pictures():
            return command("train", "my_model.py:build_mine", *short, *options)

    return train


def record(folder):
    return json.loads(Path(folder, "run.json").read_text())


def assert_refused(result, message):
    assert (result.status, result.out) == (2, "")
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_the_command_alone_prints_its_help(command):
    result = command()
    assert result.status == 0
    for name in ("train", "report", "draw", "which-api"):
        assert name in result.out


def test_the_version_is_that_of_the_package(command):
    assert command("--version").out == f"{kmw.__version__}\n"


def test_list_shows_every_model(command):
    out = command("list").out
    for name, experiment in kmw.EXPERIMENTS.items():
        assert name in out
        assert str(experiment.epochs) in out


def test_train_prints_the_result_and_saves_the_run(command, few_digits_file):
    options = "--epochs 2 --seed 5 --hidden-units 16,8 --learning-rate 0.1"
    data = ("--data", few_digits_file)
    result = command("train", "sequential", *options.split(), *data)
    assert result.status == 0
    assert "Folder: runs/sequential" in Path(result.out).as_posix()
    run = kmw.train(
        "sequential",
        epochs=2,
        seed=5,
        hidden_units=(16, 8),
        learning_rate=0.1,
        data=few_digits_file,
        verbose=False,
    )
    validation = run.history["val_accuracy"].iloc[-1]
    test = run.test_metrics["accuracy"]
    assert f"accuracy: validation {validation:.4f}, test {test:.4f}" in result.out


def test_trained_again_a_model_gets_a_folder_of_its_own(train_mine):
    for folder in ("runs/mine", "runs/mine-2", "runs/mine-3"):
        result = train_mine()
        assert f"Saved in {Path(folder)}." in result.out
        assert Path(folder, "run.json").exists()


def test_resume_and_overwrite_take_the_newest_run(train_mine):
    train_mine()
    train_mine()
    train_mine("--resume", "--epochs", 2)
    assert (record("runs/mine")["settings"]["epochs"]) == 1
    assert len(record("runs/mine-2")["seconds_per_epoch"]) == 2
    train_mine("--overwrite", "--hidden-units", "4,4", "--quiet")
    assert record("runs/mine-2")["settings"]["hidden_units"] == [4, 4]
    assert not Path("runs/mine-3").exists()


def test_a_folder_that_holds_a_run_is_refused_in_words_of_the_options(
    train_mine, command
):
    train_mine("--out", "here")
    result = command("train", "no.py:model", "--out", "here")
    assert_refused(result, "which holds a run. Continue it with --resume")


def test_an_accuracy_below_the_threshold_ends_with_status_1(train_mine):
    assert train_mine("--quiet", "--min-accuracy", 0).status == 0
    result = train_mine("--quiet", "--min-accuracy", 0.99)
    value = record("runs/mine-2")["test"]["accuracy"]
    assert result.status == 1
    assert result.err == f"test accuracy {value:.4f} is below 0.99\n"


def test_a_threshold_needs_an_accuracy():
    with pytest.raises(kmw.InputError, match="needs a model with metrics"):
        check_accuracy({"loss": 0.1}, 0.9)


def test_ctrl_c_says_how_to_continue(command, few_digits_file, monkeypatch):
    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunRecord, "on_epoch_begin", interrupt)
    monkeypatch.setattr("os._exit", sys.exit)
    result = command("train", "sequential", "--data", few_digits_file, "--quiet")
    assert result.status == 130
    assert "runs/sequential: --resume" in Path(result.err.strip()).as_posix()


def test_ctrl_c_ends_any_other_command_without_a_traceback(command, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(kmw, "scoreboard", interrupt, raising=False)
    assert command("claims").status == 130


def test_an_own_model_is_asked_with_the_classes_of_its_file(
    train_mine, command, sample, monkeypatch
):
    train_mine()
    Image.fromarray(sample[1][0][0]).save("digit.png")
    result = command("predict", "my_model.py:build_mine", "digit.png", "--out", "p.png")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("digit.png: ")
    assert Path("p.png").exists()
    asked = []
    monkeypatch.setattr(kmw, "draw_digit", asked.extend, raising=False)
    command("draw", "my_model.py:build_mine")
    assert asked == ["my_model.py:build_mine"]


def test_draw_asks_every_model_in_runs_that_can_be_loaded(
    command, small_runs, monkeypatch
):
    shutil.copytree(small_runs["sequential"].folder, "runs/mine")
    Path("runs/broken").mkdir()
    Path("runs/broken/model.keras").write_text("broken")
    asked = {}
    monkeypatch.setattr(kmw, "draw_digit", asked.update, raising=False)
    with pytest.warns(UserWarning, match=r"Left out: .*broken"):
        command("draw")
    assert [Path(name) for name in asked] == [Path("runs/mine")]


def test_a_model_is_summarized_and_drawn(command, small_runs):
    folder = small_runs["sequential"].folder
    for model in ("my_model.py:build_mine", folder, "sequential"):
        assert "Total params" in command("summary", model).out
    assert command("plot", "wide_deep", "--hidden-units", "16,8").status == 0
    assert Path("wide_deep.png").exists()


def test_which_api_says_what_a_model_can_be(command):
    result = command("which-api", "my_model.py:build_mine")
    assert result.out == "mine can be Sequential\n"
    result = command("which-api", "my_model.py:build_residual")
    assert result.out.startswith("residual needs the Functional API: ")
    assert "'join' joins" in result.out


def test_claims_prints_both_tables(command, monkeypatch):
    table = pd.DataFrame({"statement": ["it works"], "holds": ["yes"]})
    monkeypatch.setattr(kmw, "claims", lambda: table, raising=False)
    monkeypatch.setattr(kmw, "scoreboard", lambda: table, raising=False)
    assert command("claims").out.count("it works") == 2


def test_report_writes_a_page(command, small_runs):
    folder = small_runs["sequential"].folder
    assert command("report", "--runs", folder, "--out", "page.html").status == 0
    assert "sequential" in Path("page.html").read_text("utf-8")


MISTAKES = {
    "train": "Missing argument 'model'",
    "list --all": "No such option: --all",
    "summarize": "No such command 'summarize'",
    "draw": "Train a model first",
    "draw runs/sequental": "runs/sequental should be a run's folder",
    "train sequental": "Received: sequental",
    "train sequential --epochs many": "'--epochs'",
    "train sequential --epochs 0": "'--epochs'",
    "train sequential --learning-rate inf": "'--learning-rate'",
    "train sequential --hidden-units 8": "--hidden-units should be two widths",
    "train sequential --resume --overwrite": "exclude each other",
    "train sequential --hidden-units 8,x": "widths such as 256,128",
    "train sequential --data missing.npz": "missing.npz",
    "train sequential --out my_model.py/run --data sample --quiet": "my_model.py",
    "train my_model.py:build_yours": "called build_yours",
    "train my_model.py:build_five --data sample": "outside the valid range of [0, 5)",
    "train my_model.py:build_nothing --data sample": "Received: None",
    "summary my_model.py:build_five --hidden-units 8": "Received: 1 for five",
    r"predict C:\class\runs\sequental digit.png": "should be a run's folder",
    "summary runs/sequental": "should be a run's folder",
    "summary my_model.py": "FILE.py:NAME",
    "plot sequential --out diagram.jpg": "Received: diagram.jpg",
    "report": "keras-model-wars train sequential",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(command, own_folder, typed):
    assert_refused(command(*typed.split(" ")), MISTAKES[typed])
    assert [path.name for path in own_folder.iterdir()] == ["my_model.py"]


def test_a_bug_in_a_builder_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        main(["summary", "my_model.py:build_broken"])
    assert caught.traceback[-1].path.name == "my_model.py"
