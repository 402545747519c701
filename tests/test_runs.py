"""Runs that are killed, stopped, resumed, extended and replaced; models that are loaded."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import keras
import pytest

from conftest import assert_same_run, without_pictures
from keras_model_wars import InputError, load_model, train
from keras_model_wars.runs import RUN_FILES, RunRecord, run_folder

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}
# The settings of the small runs in conftest.py.
LIKE_THEM = {"seed": 3, "hidden_units": (16, 8), "verbose": False}
BATCHES = 11  # of the few digits in an epoch


class Killed(BaseException):
    """End a training at once, as a kill does: nothing is written after it."""


def train_until_killed(model, data, folder, *, epoch, file=None, **settings):
    """Train, and die in ``epoch`` before ``file`` is written, or at its start."""
    replace = Path.replace
    now = []

    def begin(self, number, logs=None):
        now[:] = [number]
        self._start = 0
        if number == epoch and file is None:
            raise Killed

    def replace_or_die(self, target):
        if now == [epoch] and target.name == file:
            raise Killed
        replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecord, "on_epoch_begin", begin)
        patch.setattr(Path, "replace", replace_or_die)
        with pytest.raises(Killed):
            train(model, data=data, out=folder, **(SMALL | settings))


@pytest.fixture(autouse=True, scope="module")
def no_pictures():
    """Draw none: what they show is tested elsewhere."""
    with without_pictures():
        yield


@pytest.fixture(scope="module")
def whole_runs(few_digits):
    """Runs that nothing disturbed."""
    models = ("sequential", "shared_layers", "two_input_two_output")
    return {model: train(model, data=few_digits, **SMALL) for model in models}


@pytest.fixture
def folder(small_runs, tmp_path):
    """A copy of a finished run of two epochs."""
    return shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def record(folder):
    return json.loads((folder / "run.json").read_text())


def assert_ends_as(run, whole):
    """Assert that a run and its files are those of one that nothing disturbed."""
    assert_same_run(run, whole)
    assert record(run.folder)["test"] == whole.test_metrics
    assert (run.folder / "history.csv").read_text() == whole.history.to_csv()
    assert len(record(run.folder)["seconds_per_epoch"]) == len(whole.history)
    assert set(content(run.folder)) <= set(RUN_FILES)


# Plain SGD, two outputs, and SGD whose momentum must come back too.
KILLS = [
    ("two_input_two_output", 2, "history.csv"),
    ("shared_layers", 0, "model.keras"),
    ("shared_layers", 2, None),
    ("shared_layers", 2, "run.json"),
    ("sequential", 2, "model.keras"),
]


@pytest.mark.parametrize(("model", "epoch", "file"), KILLS)
def test_a_killed_run_ends_after_resume_as_one_that_was_not(
    model, epoch, file, few_digits, tmp_path, whole_runs
):
    train_until_killed(model, few_digits, tmp_path, epoch=epoch, file=file)
    # What a kill in the middle of writing leaves.
    (tmp_path / f".model-{'0a' * 16}.keras").write_bytes(b"half")
    run = train(model, data=few_digits, out=tmp_path, resume=True, verbose=False)
    assert_ends_as(run, whole_runs[model])


def test_a_full_disk_leaves_the_epoch_before_whole(few_digits, tmp_path, whole_runs):
    save = keras.Model.save

    def save_or_fail(self, file):
        save(self, file)
        if self.optimizer.iterations > BATCHES:
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "save", save_or_fail)
        with pytest.raises(OSError, match="No space"):
            train("shared_layers", data=few_digits, out=tmp_path, **SMALL)
    assert not list(tmp_path.glob(".*")), "nothing half written is left"
    run = train("shared_layers", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_ends_as(run, whole_runs["shared_layers"])


def test_a_finished_run_is_extended_bit_for_bit(few_digits, tmp_path, whole_runs):
    shorter = SMALL | {"epochs": 2}
    train("shared_layers", data=few_digits, out=tmp_path, **shorter)
    run = train("shared_layers", data=few_digits, out=tmp_path, resume=True, epochs=4)
    assert_ends_as(run, whole_runs["shared_layers"])


def test_extending_a_run_first_removes_its_old_end(few_digits, folder):
    train_until_killed("sequential", few_digits, folder, epoch=2, resume=True, seed=3)
    assert "test" not in record(folder)
    assert "mistakes.png" not in content(folder)
    assert "summary.txt" in content(folder)


def test_resume_finishes_what_lacks_its_end(few_digits, folder, small_runs):
    unfinished = record(folder)
    del unfinished["test"]
    (folder / "run.json").write_text(json.dumps(unfinished))
    run = train("sequential", data=few_digits, out=folder, resume=True, verbose=False)
    assert_ends_as(run, small_runs["sequential"])


def test_resume_without_a_run_starts_one(few_digits, tmp_path, whole_runs):
    run = train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_ends_as(run, whole_runs["sequential"])


REFUSED = {
    "keep its seed: 3. Received: 1": {"seed": 1},
    "digits: 375 images. Received: sample": {"data": "sample"},
    "finished 2 epochs": {"epochs": 1},
    "keep its learning_rate: 0.01. Received: 0.1": {"learning_rate": 0.1},
    r"keep its hidden_units: \[16, 8\]. Received: \[16, 9\]": {"hidden_units": (16, 9)},
    "keep its model: sequential": {"model": "functional_twin"},
    "resume=True or overwrite=True": {"resume": False},
    "either resume=True or": {"overwrite": True},
    "missing.npz": {"resume": False, "overwrite": True, "data": "missing.npz"},
}


@pytest.mark.parametrize(("message", "changed"), REFUSED.items())
def test_what_does_not_fit_the_run_is_refused_and_changes_nothing(
    message, changed, few_digits, folder
):
    before = content(folder)
    settings = {"model": "sequential", "data": few_digits, "resume": True, **LIKE_THEM}
    with pytest.raises((InputError, OSError), match=message):
        train(**(settings | changed), out=folder)
    assert content(folder) == before


@pytest.mark.parametrize("epoch", [0, 1])
def test_overwrite_never_mixes_two_runs(epoch, few_digits, folder, whole_runs):
    (folder / "article_comparison.csv").write_text("of a run on the full set")
    (folder / "notes.txt").write_text("not a file of the run")
    train_until_killed("sequential", few_digits, folder, epoch=epoch, overwrite=True)
    assert "article_comparison.csv" not in content(folder)
    assert (folder / "notes.txt").read_text() == "not a file of the run"
    (folder / "notes.txt").unlink()
    run = train("sequential", data=few_digits, out=folder, resume=True, verbose=False)
    assert_ends_as(run, whole_runs["sequential"])


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_file_that_no_run_has_left_is_not_replaced(few_digits, tmp_path, option):
    (tmp_path / "model.keras").write_text("mine")
    with pytest.raises(InputError, match="which holds model.keras. Choose another"):
        train("sequential", data=few_digits, out=tmp_path, **{option: True})
    assert content(tmp_path) == {"model.keras": b"mine"}


def test_a_damaged_record_is_named(few_digits, folder):
    (folder / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json should be.*damaged"):
        train("sequential", data=few_digits, out=folder, resume=True, verbose=False)


def test_the_folder_of_a_run_may_lie_in_the_home(few_digits, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    train("sequential", data=few_digits, out="~/x", **(SMALL | {"epochs": 1}))
    assert load_model("~/x").output_shape == (None, 10)
    assert (tmp_path / "x" / "run.json").exists()


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_folder("mine", new=False) == Path("runs/mine")
    for name in ("mine", "mine-2"):
        assert run_folder("mine", new=True) == Path("runs", name)
        Path("runs", name).mkdir(parents=True)
    os.utime("runs/mine", (0, 0))
    assert run_folder("mine", new=False) == Path("runs/mine-2")
    os.utime("runs/mine-2", (-1, -1))
    assert run_folder("mine", new=False) == Path("runs/mine")


def test_load_model_compiled_has_its_optimizer(small_runs):
    loaded = load_model(small_runs["shared_layers"].folder, compile=True)
    assert loaded.optimizer.momentum == 0.9
    assert loaded.optimizer.iterations == 2 * BATCHES


def test_a_model_that_is_not_there_is_refused_with_how_to_train(tmp_path):
    with pytest.raises(InputError, match="no model there.*keras-model-wars train"):
        load_model(tmp_path / "runs" / "sequential")


def test_a_damaged_file_is_named(folder):
    file = folder / "model.keras"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match="model.keras.*another or a damaged file"):
        load_model(folder)


def test_a_file_of_another_keras_is_called_that(tmp_path):
    file = tmp_path / "model.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "99.1"}')
        archive.writestr("config.json", '{"class_name": "New", "config": {}}')
    versions = f"Keras {keras.version()} can load. Received: a model of Keras 99.1"
    with pytest.raises(InputError, match=versions):
        load_model(file)


def test_code_in_a_file_is_not_run(tmp_path):
    function = keras.layers.Lambda(lambda x: x)
    model = keras.Sequential([keras.Input((4,)), function])
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="Lambda"):
        load_model(tmp_path / "model.keras")
