"""Full disks, odd homes, broken files: what happens when the world is not as it should be. The table is in tests/README.md."""

import importlib.util
import json
import os
import resource
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest

from keras_model_wars import data as data_module
from keras_model_wars import load_mnist, load_model, plot_learning_curves, train

COMMAND = os.path.join(os.path.dirname(sys.executable), "keras-model-wars")
SMALL = {"epochs": 1, "hidden_units": (16, 8), "verbose": False}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_full_disk_leaves_the_old_files_whole_and_is_one_line(few_digits_file, tmp_path):
    train("sequential", data=few_digits_file, out=tmp_path, **SMALL)
    before = contents(tmp_path)
    options = ["--epochs", "1", "--hidden-units", "16,8", "--data", str(few_digits_file), "--out", ".", "--overwrite"]
    process = subprocess.run(
        [COMMAND, "train", "sequential", "--quiet", *options],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        # No file may grow beyond 20,000 bytes, as on a disk that is full.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("error: File too large")
    assert "Traceback" not in process.stderr
    after = contents(tmp_path)
    assert set(after) == set(before)  # no temporary file stays behind
    large = {name for name, content in before.items() if len(content) > 20_000}
    assert {"model.keras", "diagram.png"} <= large
    assert all(after[name] == before[name] for name in large)


def test_ctrl_c_is_status_130_and_one_line_from_the_command(run_program, few_digits_file, tmp_path):
    program = f"""
        import os, signal
        from keras_model_wars import shuffling
        from keras_model_wars.cli import main

        whole = shuffling.ReshuffledDataset.on_epoch_begin
        def stop_in_the_second(self, epoch, logs=None):
            whole(self, epoch, logs)
            if epoch == 1:
                os.kill(os.getpid(), signal.SIGINT)
        shuffling.ReshuffledDataset.on_epoch_begin = stop_in_the_second
        main(["train", "sequential", "--quiet", "--epochs", "3", "--hidden-units", "16,8", "--data", {str(few_digits_file)!r}])
    """
    process = run_program(program, folder=tmp_path)
    assert process.returncode == 130
    assert process.stderr.split("\n")[-2].startswith("Stopped after 1 of 3 epochs")
    assert "Traceback" not in process.stderr
    assert keras.saving.load_model(tmp_path / "runs" / "sequential" / "model.keras").count_params() == 12_786


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"settings": 1}', "half a rec"])
def test_a_damaged_record_is_refused_by_name(record, few_digits_file, tmp_path):
    (tmp_path / "run.json").write_text(record)
    for keywords in ({}, {"resume": True}):
        with pytest.raises(ValueError, match=r"run\.json should be the record of a run.*--overwrite"):
            train("sequential", data=few_digits_file, out=tmp_path, **SMALL, **keywords)


def test_a_diverged_training_ends_with_a_record_that_is_json_and_with_pictures(few_digits_file, tmp_path):
    run = train("sequential", data=few_digits_file, out=tmp_path, learning_rate=1e30, **SMALL)
    assert not np.isfinite(run.history["loss"].iloc[-1])
    text = (tmp_path / "run.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["final_epoch"]["loss"] is None
    assert (tmp_path / "learning_curves.png").stat().st_size > 1000


def test_losses_beyond_all_bounds_are_drawn():
    figure = plot_learning_curves(pd.DataFrame({"loss": [1.0, np.inf], "accuracy": [0.5, np.nan]}))
    assert figure.axes[0].get_ylim() == (0, pytest.approx(1.05))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "_LARGEST_FILE", 2**20)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x_train.npy", bytes(2**21))
    with pytest.raises(ValueError, match="unpacks to 2,097,152 bytes, more than 1,048,576"):
        load_mnist(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_npz_is_refused(keep, few_digits_file, tmp_path):
    path = tmp_path / "short.npz"
    content = few_digits_file.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match=r"short\.npz should be an \.npz file.*cannot be read"):
        load_mnist(path)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)
    return path


def test_a_model_loads(saved_model):
    assert load_model(saved_model).count_params() == 10


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_model_is_one_line(keep, saved_model, tmp_path):
    path = tmp_path / "short.keras"
    content = saved_model.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(
        ValueError, match=r"short\.keras should be a model saved as a \.keras file\. Received"
    ) as refused:
        load_model(path)
    assert "\n" not in str(refused.value)


def test_a_damaged_model_is_one_line(saved_model, tmp_path):
    path = tmp_path / "damaged.keras"
    content = bytearray(saved_model.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.keras should be a model") as refused:
        load_model(path)
    assert "\n" not in str(refused.value)


def test_a_foreign_zip_named_keras_is_one_line(tmp_path):
    path = tmp_path / "foreign.keras"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("readme.txt", "no model")
    with pytest.raises(ValueError, match=r"foreign\.keras should be a model"):
        load_model(path)


def test_code_in_a_model_is_not_run(tmp_path):
    path = tmp_path / "code.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    with pytest.raises(ValueError, match="it holds code, which is not run here"):
        load_model(path)


def test_layers_that_only_their_maker_knows_are_named(tmp_path):
    class Homemade(keras.layers.Layer):
        def call(self, x):
            return x

    path = tmp_path / "homemade.keras"
    keras.Sequential([keras.Input((4,)), Homemade()]).save(path)
    with pytest.raises(ValueError, match="a layer that this Python does not know, class .Homemade."):
        load_model(path)


def test_two_runs_at_once_without_home_or_screen_in_a_folder_with_a_difficult_name(
    run_process, few_digits_file, tmp_path
):
    folder = tmp_path / "ein Ordner für Ü"
    folder.mkdir()
    options = [
        "train",
        "sequential",
        "--quiet",
        "--epochs",
        "1",
        "--hidden-units",
        "16,8",
        "--data",
        str(few_digits_file),
    ]
    environment = {name: value for name, value in os.environ.items() if name not in ("MPLBACKEND", "DISPLAY")}
    both = [
        subprocess.Popen(
            [COMMAND, *options, "--out", f"{name} Lauf"],
            cwd=folder,
            env=environment | {"HOME": "/dev/null/none", "PYTHONUTF8": "1"},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for name in ("erster", "zweiter")
    ]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    first, second = (folder / "erster Lauf", folder / "zweiter Lauf")
    assert contents(first).keys() == contents(second).keys()
    assert (first / "history.csv").read_text() == (second / "history.csv").read_text()


@pytest.mark.parametrize("backend", ["torch", "nonsense"])
def test_a_backend_that_is_not_installed_is_one_line(backend, run_process, tmp_path):
    if importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is installed here")
    process = run_process("keras-model-wars", "summary", "sequential", folder=tmp_path, KERAS_BACKEND=backend)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith(
        f"error: Keras should find its backend, by default tensorflow. Received: KERAS_BACKEND='{backend}'"
    )


@pytest.mark.parametrize(
    "keywords", [{"batch_size": 10**30}, {"steps_per_execution": 2**70}, {"learning_rate": 10**400}]
)
def test_numbers_beyond_the_machine_are_refused_and_leave_no_file(keywords, few_digits_file, tmp_path):
    with pytest.raises(ValueError, match="should be"):
        train("sequential", data=few_digits_file, out=tmp_path / "out", **SMALL | keywords)
    assert not (tmp_path / "out").exists()


def test_numpys_whole_numbers_are_settings_too(few_digits_file, tmp_path):
    settings = SMALL | {"hidden_units": (np.int64(16), np.int64(8)), "seed": np.uint8(3)}
    train("sequential", data=few_digits_file, out=tmp_path, **settings)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["hidden_units"] == [16, 8]
