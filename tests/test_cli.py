"""The command: what it prints and writes; bad input is refused in one line; a builder's bug keeps its traceback."""

import importlib.metadata
import json
import re
import runpy
import shutil
from functools import partial
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree

import pandas as pd
import pytest
from conftest import ROOT
from PIL import Image

import keras_model_wars
from keras_model_wars import EXPERIMENTS, InputError, cli, models

OPTIONS = "--epochs --batch-size --learning-rate --hidden-units --seed --data --out --resume --overwrite --quiet"
HELP = {
    "": "train summary plot samples list which-api predict report claims draw --version",
    "train": OPTIONS,
    "summary": "--hidden-units",
    "plot": "--hidden-units --out",
    "samples": "--data --count --out",
    "which-api": "MODEL --hidden-units",
    "predict": "RUN IMAGE --out",
    "report": "--runs --out",
    "draw": "RUN",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def files():
    return sorted(path.name for path in Path().rglob("*"))


def text_of(svg):
    return "".join(ElementTree.parse(svg).getroot().itertext())


def assert_refused(result, message):
    assert (result.status, result.out) == (2, "")
    assert [line[:7] for line in result.err.splitlines()] == ["error: "]
    assert re.search(message, result.err), result.err


@pytest.mark.parametrize("name", HELP)
def test_help_names_its_options(command, name):
    result = command(*name.split(), "-h")
    assert (result.status, result.err) == (0, "")
    assert not [option for option in HELP[name].split() if option not in result.out]


def test_command_alone_prints_its_help_and_list_every_model(command):
    assert command() == command("--help")
    assert (
        command("--version").out
        == f"{importlib.metadata.version('keras-model-wars')}\n"
    )
    assert not [name for name in EXPERIMENTS if name not in command("list").out]


def test_train_passes_its_options_on_leaves_what_it_prints_resumes_and_overwrites(
    command, few_digits_file
):
    options = [
        "--hidden-units",
        "16,8",
        "--batch-size",
        16,
        "--seed",
        4,
        "--learning-rate",
        0.05,
    ]
    train = partial(command, "train", "sequential", *options, "--data", few_digits_file)
    result = train("--epochs", 1)
    assert (result.status, result.err) == (0, "")
    record = json.loads(Path("runs/sequential/run.json").read_text())
    settings = {
        "epochs": 1,
        "batch_size": 16,
        "learning_rate": 0.05,
        "seed": 4,
        "hidden_units": [16, 8],
    }
    assert record["settings"].items() >= settings.items()
    assert record["data"] == str(few_digits_file)
    validation, test = record["final_epoch"]["val_accuracy"], record["test"]["accuracy"]
    assert f"Digits: {few_digits_file}\n" in result.out
    assert "Total params: 12,786" in result.out
    assert f"accuracy: validation {validation:.4f}, test {test:.4f}\n" in result.out
    (written,) = re.findall(
        r"^Written to runs.sequential: (.*)$", result.out, re.MULTILINE
    )
    assert sorted(written.split(", ")) == sorted(
        path.name for path in Path("runs/sequential").iterdir()
    )
    for option, epochs in (("--resume", 2), ("--overwrite", 1)):
        assert train("--quiet", option, "--epochs", epochs) == (0, "", "")
        assert len(pd.read_csv("runs/sequential/history.csv")) == epochs
    assert_refused(train("--quiet"), "holds one.*--resume.*--overwrite")


@pytest.mark.parametrize("model", EXPERIMENTS)
def test_every_model_has_a_script_that_is_the_command_with_its_name(model, monkeypatch):
    passed = []
    monkeypatch.setattr(cli, "main", passed.append)
    monkeypatch.setattr("sys.argv", ["script", "--epochs", "0"])
    runpy.run_path(str(ROOT / "scripts" / f"{model}.py"), run_name="__main__")
    assert passed == [["train", model, "--epochs", "0"]]


@pytest.mark.parametrize("given", ["name", "folder", "file"])
def test_summary_plot_and_which_api_take_a_name_a_folder_and_a_file(
    command, small_runs, given, monkeypatch
):
    folder = shutil.copytree(small_runs["wide_deep"].folder, "runs/wide_deep")
    model = {"name": "wide_deep", "folder": folder, "file": f"{folder}/model.keras"}[
        given
    ]
    parameters = (
        "21,668,442"
        if given == "name"
        else f"{small_runs['wide_deep'].model.count_params():,}"
    )
    assert f"Total params: {parameters}" in command("summary", model).out
    result = command(
        "which-api", model, *(["--hidden-units", "8,8"] if given == "name" else [])
    )
    assert result.out.startswith("wide_deep needs the functional API.\n")
    assert "'bypass' joins 'image' and 'reshape'" in " ".join(result.out.split())
    assert command("plot", model, "--out", "new/model.svg") == (
        0,
        "Written: new/model.svg\n",
        "",
    )
    assert "bypass" in text_of("new/model.svg")
    monkeypatch.chdir("runs/wide_deep")
    assert command("plot", ".").out == "Written: wide_deep.png\n"


def test_plot_draws_with_the_units_asked_for_and_neurons_and_samples_the_digits(
    command, few_digits_file
):
    assert command("which-api", "sequential") == (
        0,
        "sequential needs the sequential API.\n",
        "",
    )
    assert (
        command(
            "plot",
            "two_input_two_output",
            "--hidden-units",
            "77,55",
            "--out",
            "model.svg",
        ).status
        == 0
    )
    assert all(shape in text_of("model.svg") for shape in ("(None, 77)", "(None, 55)"))
    assert command("plot", "simple").out == "Written: simple.png\n"
    assert command("samples", "--count", 12, "--data", few_digits_file) == (
        0,
        "Written: samples.png\n",
        "",
    )
    with Image.open("samples.png") as image:
        assert 3 < image.width / image.height < 6  # two rows of up to ten digits
    assert files() == ["model.svg", "samples.png", "simple.png"]


def test_claims_prints_four_tables_that_fit_the_screen(command, monkeypatch):
    long = (
        "ValueError: [Input] " + "a sentence of Keras's. " * 20 + "a_name_of_code" * 5
    )
    for name in ("scoreboard", "claims", "changes", "pitfalls"):
        columns = ("statement", "the article", "Keras", "evidence", "holds")
        table = pd.DataFrame(
            [{column: f"{name} of {column}" for column in columns} | {"evidence": long}]
        )
        monkeypatch.setattr(
            keras_model_wars, name, lambda table=table: table, raising=False
        )
    result = command("claims")
    assert (result.status, result.err) == (0, "")
    assert max(len(line) for line in result.out.splitlines()) <= 80
    assert "…" not in result.out, "what is too long for its column goes on below"
    words = result.out.split()
    assert words.count("[Input]") == 4, "nothing is taken for markup"
    assert [name for name in words if name in ("scoreboard", "pitfalls")] == [
        "scoreboard"
    ] * 4 + ["pitfalls"] * 4


# What is typed, and what the error says.
REFUSED = {
    "train": "Missing argument 'MODEL'",
    "list --all": "No such option: --all",
    "draw": "keras-model-wars train",
    "train resnet": "`model` should be one of sequential, wide_deep, .* Received: 'resnet'",
    "train sequential --epochs many": "--epochs.*Received: keras-model-wars train sequential --epochs many",
    "train sequential --epochs 0": "`epochs` should be a whole number .*Received: epochs=0",
    "train sequential --learning-rate nan": "`learning_rate` should be .*Received: learning_rate=nan",
    "train sequential --hidden-units 8 --data sample": "`hidden_units` should be two whole numbers above zero",
    "train sequential --hidden-units 8,x": "--hidden-units.* should be two numbers .* Received: .*--hidden-units 8,x",
    "train sequential --data missing.npz": "missing.npz should be an .npz file .* Received: .*No such file",
    "train sequential --data .": "should be an .npz file .* Received: .*(directory|denied)",
    "train sequential --resume --overwrite": "`resume` or `overwrite`.*Received: resume=True, overwrite=True",
    "train sequential --out file/run --data sample": "(Not a directory|File exists).*file",
    "summary resnet": "MODEL should be one of sequential, .*a run's folder or a .keras file. Received: resnet",
    "summary runs/sequential": "keras-model-wars train sequential",
    "summary file": "file should be a .*Received: ",
    "summary none.keras --hidden-units 8,8": "one of sequential, .* with --hidden-units. Received: none.keras",
    "which-api file": "file should be",
    "which-api file --hidden-units 8,8": "one of .* with --hidden-units",
    "plot Simple": "MODEL should be one of .*simple, .*Received: Simple",
    "plot simple --hidden-units 8,8": "one of sequential, .* with --hidden-units. Received: simple",
    "plot sequential --out diagram.jpg": r"end in \.png, \.svg, \.pdf\. Received: diagram.jpg",
    "plot sequential --out file/diagram.png": "(Not a directory|File exists).*file",
    "samples --count 0 --data sample": "--count.*1.*Received: .*--count 0",
    "samples --out digits.gif --data sample": r"end in \.png, \.svg, \.pdf\. Received: digits.gif",
    "summarize": "No such command 'summarize'",
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.items())
def test_bad_input_is_refused_in_one_line_and_writes_nothing(
    command, arguments, message
):
    Path("file").write_text("no model, no folder")
    assert_refused(command(*arguments.split()), message)
    assert files() == ["file"]


BUGS = {
    'keras.Sequential([keras.Input((4,)), layers.Dense("64")])': (
        ValueError,
        TypeError,
    ),
    "1 / 0": ZeroDivisionError,
    "layers.Concatenate()([keras.Input((28, 28)), keras.Input((3, 4))])": ValueError,
    "keras.Model(keras.Input((4,)), layers.Dense(2))": (
        ValueError,
        AttributeError,
        TypeError,
    ),
    'layers.Dense(8, activation="rleu")': ValueError,
}


@pytest.mark.parametrize(("bug", "error"), BUGS.items())
def test_bug_in_a_builder_keeps_its_traceback(monkeypatch, few_digits_file, bug, error):
    source = f"import keras\nfrom keras import layers\ndef build_sequential(hidden_units=(1, 1)):\n    {bug}\n"
    Path("edited.py").write_text(source)
    monkeypatch.setattr(
        models, "build_sequential", runpy.run_path("edited.py")["build_sequential"]
    )
    with pytest.raises(error) as caught:
        cli.main(["train", "sequential", "--data", str(few_digits_file)])
    assert not isinstance(caught.value, InputError)
    assert [entry for entry in caught.traceback if Path(entry.path).name == "edited.py"]
    assert files() == ["edited.py"]


def test_draw_takes_every_finished_run_and_no_other(command, monkeypatch, small_runs):
    for name, record in (("stopped", "{}"), ("damaged", "{")):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "run.json").write_text(record)
    shutil.copytree(small_runs["wide_deep"].folder, "runs/wide_deep")
    served = []
    monkeypatch.setattr("keras_model_wars.drawing.serve_drawing", served.append)
    assert command("draw") == (0, "", "")
    assert [list(models) for models in served] == [["wide_deep"]]


def test_missing_backend_and_a_file_that_is_held_open_are_one_line(
    command, monkeypatch
):
    no_backend = InputError("KERAS_BACKEND should be\n\n  unset", "'jax'")
    held_open = PermissionError(13, "in use", ".history-1234.csv", None, "history.csv")
    monkeypatch.setattr(
        keras_model_wars, "load_mnist", Mock(side_effect=[no_backend, held_open])
    )
    assert_refused(
        command("samples"),
        r"error: KERAS_BACKEND should be unset\. Received: 'jax'\.\n",
    )
    assert_refused(command("samples"), "error: Permission denied: history.csv\n")
