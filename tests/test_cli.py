"""The command: what it prints and writes, and how it refuses a user's mistakes."""

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

import keras_model_wars as kmw
from keras_model_wars import InputError, cli
from keras_model_wars.runs import RunRecord

HELP = {
    "": "train summary plot samples list which-api predict report claims draw --version",
    "train": "--epochs --batch-size --learning-rate --hidden-units --seed --data --out "
    "--resume --overwrite --quiet FILE.py:NAME",
    "summary": "MODEL --hidden-units",
    "plot": "MODEL --hidden-units --out",
    "samples": "--data --count --out",
    "which-api": "MODEL --hidden-units",
    "predict": "RUN IMAGE --out",
    "report": "--runs --out",
    "draw": "RUN",
}
MY_MODEL = """
import keras
from keras import layers

def build_mine(hidden_units=(8,)):
    stack = [keras.Input((28, 28)), layers.Flatten()]
    stack += [layers.Dense(units, "relu") for units in hidden_units]
    return keras.Sequential([*stack, layers.Dense(10, "softmax")])

def build_fixed():
    return build_mine()

def build_large():
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten()], name="large")

def build_broken():
    return 1 / 0

def build_nothing():
    build_mine()

def build_compiled():
    model = build_mine()
    model.compile()
    return model

def build_five():
    return keras.Sequential(
        [keras.Input((28, 28)), layers.Flatten(), layers.Dense(5)], name="five"
    )
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("my_model", None)


@pytest.fixture
def my_model():
    Path("my_model.py").write_text(MY_MODEL)


def files():
    return sorted(path.name for path in Path().rglob("*"))


def text_of(svg):
    return "".join(ElementTree.parse(svg).getroot().itertext())


def assert_refused(result, message):
    assert result.status == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize("name", HELP)
def test_help_names_arguments_and_options(command, name):
    result = command(*name.split(), "-h")
    assert (result.status, result.err) == (0, "")
    for option in HELP[name].split():
        assert option in result.out


def test_command_alone_prints_its_help(command):
    assert command() == command("--help")


def test_version_is_that_of_the_package(command):
    version = importlib.metadata.version("keras-model-wars")
    assert command("--version").out == f"{version}\n"


def test_list_shows_every_model_with_its_settings(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = command("list").out
    for experiment in kmw.EXPERIMENTS.values():
        (line,) = [line for line in out.splitlines() if f" {experiment.name} " in line]
        assert str(experiment.epochs) in line
        assert str(experiment.learning_rate) in line
        assert f"{experiment.parameters:,}" in line


def test_list_breaks_no_word_at_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = command("list").out.split()
    for experiment in kmw.EXPERIMENTS.values():
        assert set(experiment.title.split()) <= set(words)


def test_the_next_step_after_training_pairs_is_not_to_draw(command, few_digits_file):
    options = ("--epochs", 1, "--hidden-units", "16,8", "--data", few_digits_file)
    last = command("train", "shared_layers", *options).out.splitlines()[-1]
    assert last == "Next: `keras-model-wars report` to compare your runs."


def train(command, data, *options):
    return command(
        "train", "sequential", "--hidden-units", "16,8", "--data", data, *options
    )


def test_train_passes_its_options_on(command, few_digits_file):
    options = ("--batch-size", 16, "--seed", 4, "--learning-rate", 0.05)
    result = train(command, few_digits_file, "--epochs", 1, *options)
    assert (result.status, result.err) == (0, "")
    record = json.loads(Path("runs/sequential/run.json").read_text())
    settings = record["settings"]
    assert settings["epochs"] == 1
    assert settings["batch_size"] == 16
    assert settings["learning_rate"] == 0.05
    assert settings["seed"] == 4
    assert settings["hidden_units"] == [16, 8]
    assert record["data"] == str(few_digits_file)


def test_train_prints_one_line_per_epoch_if_it_is_not_a_terminal(
    command, few_digits_file
):
    out = train(command, few_digits_file, "--epochs", 2).out
    assert f"Data: {few_digits_file}\n" in out
    assert "Total params: 12,786" in out
    assert out.count("val_loss") == 2
    assert "accuracy: validation 0." in out
    assert "Written to runs" in out
    assert out.splitlines()[-1].startswith("Next: `keras-model-wars draw runs/")
    assert "\b" not in out
    assert "\x1b" not in out
    assert "\r" not in out


@pytest.mark.parametrize(("option", "epochs"), [("--resume", 2), ("--overwrite", 1)])
def test_quiet_train_resumes_and_overwrites(command, few_digits_file, option, epochs):
    train(command, few_digits_file, "--epochs", 1)
    quiet = train(command, few_digits_file, "--quiet", option, "--epochs", epochs)
    assert quiet == (0, "", "")
    assert len(pd.read_csv("runs/sequential/history.csv")) == epochs


def test_ctrl_c_says_how_to_continue(command, few_digits_file, monkeypatch):
    begin = RunRecord.on_epoch_begin

    def interrupt(self, epoch, logs=None):
        begin(self, epoch, logs)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecord, "on_epoch_begin", interrupt)
    result = train(command, few_digits_file, "--epochs", 3)
    assert result.status == 130
    assert "Stopped after 2 of 3 epochs. Continue with --resume." in result.err


def test_train_refuses_a_folder_that_holds_a_run(command, few_digits_file):
    train(command, few_digits_file, "--epochs", 1)
    result = train(command, few_digits_file, "--quiet")
    assert_refused(result, "without a run. Received: runs/sequential, which holds one")


def test_a_model_of_ones_own_is_trained_into_a_run_of_its_name(
    command, few_digits_file, my_model
):
    result = command(
        "train", "my_model.py:build_mine", "--epochs", 1, "--data", few_digits_file
    )
    assert (result.status, result.err) == (0, "")
    assert Path("runs/mine/model.keras").exists()
    assert command("which-api", "runs/mine").out.startswith("mine needs the sequential")


def test_a_model_of_ones_own_is_summarized_and_drawn(command, my_model):
    widths = ("--hidden-units", "5,6,7")
    summary = command("summary", "my_model.py:build_mine", *widths)
    assert "(None, 7)" in summary.out
    assert command("plot", "my_model.py:build_mine").out == "Written: mine.png\n"


@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_trained_model_is_summarized_and_drawn(command, small_runs, given):
    folder = shutil.copytree(small_runs["wide_deep"].folder, "runs/lr0.1")
    model = folder if given == "folder" else f"{folder}/model.keras"
    parameters = small_runs["wide_deep"].model.count_params()
    assert f"{parameters:,}" in command("summary", model).out
    assert command("plot", model).out == "Written: lr0.1.png\n"
    assert "'bypass' joins" in " ".join(command("which-api", model).out.split())


def test_the_current_folder_is_a_run_too(command, small_runs, monkeypatch):
    folder = shutil.copytree(small_runs["wide_deep"].folder, "runs/wide_deep")
    monkeypatch.chdir(folder)
    assert command("plot", ".").out == "Written: wide_deep.png\n"


def test_which_api_says_why_a_model_is_sequential(command):
    assert command("which-api", "sequential").out == (
        "sequential needs the sequential API: each layer has one input and one output.\n"
    )


def test_plot_draws_the_widths_that_are_asked_for(command):
    command(
        "plot", "two_input_two_output", "--hidden-units", "77,55", "--out", "model.svg"
    )
    text = text_of("model.svg")
    assert "(None, 77)" in text
    assert "(None, 55)" in text


def test_samples_draws_two_rows_of_images(command, few_digits_file):
    result = command("samples", "--count", 12, "--data", few_digits_file)
    assert result == (0, "Written: samples.png\n", "")
    with Image.open("samples.png") as image:
        assert 3 < image.width / image.height < 6


def test_predict_prints_the_digit_and_its_probabilities(command, good_run, sample):
    (x_train, y_train), _ = sample
    Image.fromarray(x_train[y_train == 3][0]).resize((140, 140)).save("three.png")
    result = command("predict", good_run.folder, "three.png", "--out", "bars.png")
    assert result.status == 0, result.err
    assert result.out.startswith("three.png: ")
    assert result.out.endswith("Written: bars.png\n")
    assert Path("bars.png").exists()


def test_draw_takes_every_finished_run_and_no_other(command, monkeypatch, small_runs):
    Path("runs/stopped").mkdir(parents=True)
    Path("runs/stopped/run.json").write_text("{}")
    shutil.copytree(small_runs["wide_deep"].folder, "runs/wide_deep")
    drawn = []
    monkeypatch.setattr(kmw, "draw_digit", drawn.append, raising=False)
    assert command("draw").status == 0
    assert [list(models) for models in drawn] == [["wide_deep"]]


RUNS = {
    ("runs/lr0.1", "runs/lr0.2"): ["lr0.1", "lr0.2"],
    ("a/run", "b/run"): ["a/run", "b/run"],
    ("a/model.keras", "b/model.keras"): ["a", "b"],
    ("a.keras", "b"): ["a", "b"],
}


@pytest.mark.parametrize("runs", RUNS)
def test_every_run_to_draw_for_has_a_name_of_its_own(runs):
    assert cli._labels(list(runs)) == RUNS[runs]


MISTAKES = {
    "train": "Missing argument 'MODEL'",
    "list --all": "No such option: --all. Received: keras-model-wars list --all",
    "train sequential --lr 3": "Did you mean --learning-rate? Received",
    "summarize": "No such command 'summarize'. Did you mean 'summary'? Received",
    "draw": "keras-model-wars train sequential",
    "train sequental": "Received: 'sequental'. Did you mean sequential?",
    "train resnet": "MODEL should be one of sequential, wide_deep",
    "train sequential --epochs many": "--epochs many",
    "train sequential --epochs 0": "--epochs",
    "train sequential --learning-rate nan": "--learning-rate should be a positive",
    "train sequential --hidden-units 8": "--hidden-units should be two positive int",
    "train sequential --hidden-units 8,0": "such as 256,128. Received",
    "train sequential --hidden-units 8,x": "such as 256,128. Received",
    "train sequential --data missing.npz": "missing.npz should be an .npz file",
    "train sequential --data .": "should be an .npz file",
    "train sequential --resume --overwrite": "--resume and --overwrite should not",
    "train sequential --out file/run --data sample": "file",
    "train my_model.py:build_yours": "Names that are there: build_broken, build_comp",
    "train missing.py:build_mine": "missing.py should be a Python file",
    "train my_model.py:build_large --data sample": "large takes (32, 32, 3); the digit",
    "train my_model.py:build_five --data sample": "five returns (5,)",
    "train my_model.py:build_nothing": "Received: NoneType",
    "train my_model.py:build_compiled": "Received: a compiled one",
    "plot my_model.py:build_fixed --hidden-units 8": "fixed, whose builder doesn't",
    "summary resnet": "MODEL should be one of sequential",
    "summary runs/sequential": "keras-model-wars train sequential",
    "summary file": "file should be a .keras file",
    "summary .": "a folder without a model",
    "which-api file --hidden-units 8,8": "file, which is loaded",
    "plot sequential --out diagram.jpg": "Received: diagram.jpg",
    "plot sequential --out file/diagram.png": "file",
    "samples --count 0 --data sample": "--count",
    "samples --out digits.gif --data sample": ".pdf. Received: digits.gif",
    "predict none.keras three.png": "none.keras should be a run's folder",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(command, my_model, typed):
    Path("file").write_text("no model, no folder")
    assert_refused(command(*typed.split()), MISTAKES[typed])
    assert [name for name in files() if "pycache" not in name] == [
        "file",
        "my_model.py",
    ] or any("my_model" in name and name.endswith(".pyc") for name in files())


def test_a_bug_in_a_builder_keeps_its_traceback(my_model, few_digits_file):
    with pytest.raises(ZeroDivisionError) as caught:
        cli.main(["train", "my_model.py:build_broken", "--data", str(few_digits_file)])
    lines = [entry for entry in caught.traceback if entry.path.name == "my_model.py"]
    assert "1 / 0" in str(lines[-1].statement)


def test_a_file_that_is_held_open_is_one_line(command, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "in use", ".history-1234.csv", None, "history.csv")

    monkeypatch.setattr(kmw, "load_mnist", refuse, raising=False)
    assert_refused(command("samples"), "error: Permission denied: history.csv.")


def test_a_backend_that_does_not_start_is_reported_as_it_is(monkeypatch):
    import keras

    def refuse(*_):
        raise ImportError("No module named 'absl'")

    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setattr(keras.ops, "zeros", refuse)
    with pytest.raises(InputError, match="No module named 'absl'. Install what is mis"):
        cli.start_keras()


def test_a_backend_that_was_chosen_is_named(monkeypatch):
    import keras

    def refuse(*_):
        raise ImportError("No module named 'jax'")

    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(keras.ops, "zeros", refuse)
    with pytest.raises(InputError, match="unset KERAS_BACKEND, which is 'jax'"):
        cli.start_keras()


def test_messages_about_the_machine_are_held_back_and_all_others_are_not(capfd):
    with cli._without_chatter():
        os.write(2, b"W0000 00:00:1 cuda.cc:1] no cuda here\n")
        os.write(2, b"a message of weight\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "a message of weight\nafter\n"


def test_messages_before_an_error_reach_the_screen(capfd):
    with pytest.raises(ZeroDivisionError), cli._without_chatter():
        _ = os.write(2, b"why it fails\n") / 0
    assert capfd.readouterr().err == "why it fails\n"
