"""Runs that are killed, stopped, resumed, extended and replaced."""

import json
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import assert_same_run

from keras_model_wars import InputError, train, training
from keras_model_wars.runs import RUN_FILES, RunRecord

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}
LIKE_THEM = {
    "model": "sequential",
    "seed": 3,
    "hidden_units": (16, 8),
    "verbose": False,
}  # conftest.py's small runs
BATCHES = {"sequential": 11, "shared_layers": 11, "two_input_two_output": 5}


class Killed(BaseException):
    """What ends a training at once, as a kill does: nothing is written or cleaned up after it."""


def train_until_killed(model, data, folder, *, epoch, file=None, **settings):
    """Train, and die in an epoch just before a file is written, or before the first batch if none is named."""
    begin, write, now = RunRecord.on_epoch_begin, Path.replace, {}

    def begin_epoch(self, number, logs=None):
        now["epoch"] = number
        begin(self, number, logs)
        if number == epoch and file is None:
            raise Killed

    def replace(self, target):
        if now.get("epoch") == epoch and target.name == file:
            raise Killed
        write(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecord, "on_epoch_begin", begin_epoch)
        patch.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            train(model, data=data, out=folder, **(SMALL | settings))


@pytest.fixture(autouse=True, scope="module")
def no_pictures(small_runs):
    """Write a few bytes for every picture: what they show is tested elsewhere, and takes longer than the trainings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_model", "plot_learning_curves", "plot_mistakes"):
            patch.setattr(
                training,
                name,
                lambda *arguments, **_: arguments[-1].write_bytes(b"picture"),
            )
        yield


@pytest.fixture(scope="module")
def whole_runs(few_digits):
    """Runs that nothing disturbed."""
    return {model: train(model, data=few_digits, **SMALL) for model in BATCHES}


@pytest.fixture
def folder(small_runs, tmp_path):
    """A copy of a finished run of two epochs."""
    return shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def record(folder):
    return json.loads((folder / "run.json").read_text())


def assert_ends_as(run, whole):
    """Hold that a run is equal to the bit to one that nothing disturbed, and so are its files."""
    assert_same_run(run, whole)
    assert record(run.folder)["test"] == whole.test_metrics
    assert (run.folder / "history.csv").read_text() == whole.history.to_csv()
    assert len(record(run.folder)["seconds_per_epoch"]) == len(whole.history)
    assert set(content(run.folder)) <= set(RUN_FILES)


# Plain SGD, two outputs, and SGD whose momentum must come back too; the last run asks for two epochs and is extended.
KILLS = [
    ("sequential", {"epoch": 2, "file": "model.keras"}),
    ("two_input_two_output", {"epoch": 2, "file": "history.csv"}),
    ("shared_layers", {"epoch": 2}),
    ("shared_layers", {"epoch": 2, "file": "run.json"}),
    ("shared_layers", {"epoch": 2, "file": "history.csv"}),
    ("shared_layers", {"epoch": 2, "file": "model.keras"}),
    ("shared_layers", {"epoch": 1, "epochs": 2}),
]


@pytest.mark.parametrize(("model", "kill"), KILLS)
def test_run_killed_at_any_moment_ends_after_resume_as_one_that_was_not(
    model, kill, few_digits, tmp_path, whole_runs
):
    train_until_killed(model, few_digits, tmp_path, **kill)
    assert (
        keras.saving.load_model(tmp_path / "model.keras").optimizer.iterations
        == kill["epoch"] * BATCHES[model]
    )
    (tmp_path / f".model-{'0a' * 16}.keras").write_bytes(
        b"half"
    )  # what a kill leaves in the middle of writing
    assert_ends_as(
        train(model, data=few_digits, out=tmp_path, resume=True, **SMALL),
        whole_runs[model],
    )


def test_finished_run_is_extended_to_the_bit(few_digits, tmp_path, whole_runs):
    for settings in (SMALL | {"epochs": 2}, SMALL | {"resume": True}):
        run = train("shared_layers", data=few_digits, out=tmp_path, **settings)
    assert_ends_as(run, whole_runs["shared_layers"])


def test_extending_a_finished_run_first_drops_its_end(few_digits, folder):
    train_until_killed("sequential", few_digits, folder, epoch=2, resume=True, seed=3)
    assert "test" not in record(folder)
    assert set(content(folder)) == {
        "model.keras",
        "history.csv",
        "run.json",
        "summary.txt",
        "diagram.png",
    }


def test_resume_without_epochs_means_the_runs_own_and_finishes_what_lacks_its_end(
    few_digits, folder, small_runs
):
    found = record(folder) | {"seconds_per_epoch": [1000, 2000]}
    (folder / "run.json").write_text(
        json.dumps({name: found[name] for name in found if name != "test"})
    )
    (folder / "mistakes.png").unlink()
    assert_ends_as(
        train(data=few_digits, out=folder, resume=True, **LIKE_THEM),
        small_runs["sequential"],
    )
    assert (folder / "mistakes.png").exists()
    assert record(folder)["seconds_per_epoch"] == [1000, 2000], (
        "no epoch is trained again"
    )


REFUSED = [
    ({"seed": 1}, "`seed` should be 3.*Received: seed=1"),
    ({"data": "sample"}, "`digits` should be '375"),
    ({"epochs": 1}, "`epochs` should be at least 2.*Received: epochs=1"),
    ({"batch_size": 16}, "`batch_size` should be 32.*Received: batch_size=16"),
    (
        {"learning_rate": 0.1},
        "`learning_rate` should be 0.01.*Received: learning_rate=0.1",
    ),
    (
        {"hidden_units": (16, 9)},
        r"`hidden_units` should be \[16, 8\].*Received: hidden_units=\[16, 9\]",
    ),
    (
        {"model": "functional_twin"},
        "`model` should be 'sequential'.*Received: model='functional_twin'",
    ),
    ({"resume": False}, "without a run.*--resume.*--overwrite"),
    ({"resume": False, "overwrite": True, "hidden_units": (8,)}, "should be two"),
    ({"resume": False, "overwrite": True, "data": "missing.npz"}, "should be an .npz"),
]


@pytest.mark.parametrize(("changed", "named"), REFUSED)
def test_other_settings_and_wrong_arguments_are_refused_and_change_nothing(
    changed, named, few_digits, folder
):
    before = content(folder)
    with pytest.raises(InputError, match=named):
        train(
            **({"data": few_digits, "resume": True} | LIKE_THEM | changed), out=folder
        )
    assert before == content(folder)


def test_a_setting_that_the_run_was_made_without_should_be_left_out(few_digits, folder):
    made = record(folder)
    del made["settings"]["hidden_units"]
    (folder / "run.json").write_text(json.dumps(made))
    with pytest.raises(
        InputError,
        match=r"`hidden_units` should be left out.*Received: hidden_units=\[16, 8\]",
    ):
        train(data=few_digits, out=folder, resume=True, **LIKE_THEM)


@pytest.mark.parametrize("killed_in", [0, 1])
def test_overwrite_never_mixes_two_runs(killed_in, few_digits, folder, whole_runs):
    (folder / "article_comparison.csv").write_text("of a run on the full set")
    (folder / "notes.txt").write_text("not a file of the run")
    train_until_killed(
        "sequential", few_digits, folder, epoch=killed_in, overwrite=True
    )
    left = {"run.json", "summary.txt", "diagram.png", "notes.txt"}
    assert set(content(folder)) == left | (
        {"model.keras", "history.csv"} if killed_in else set()
    )
    (folder / "notes.txt").unlink()
    assert_ends_as(
        train("sequential", data=few_digits, out=folder, resume=True, **SMALL),
        whole_runs["sequential"],
    )


def test_a_folder_without_a_record_is_never_resumed(few_digits, folder, whole_runs):
    (folder / "run.json").unlink()
    assert_ends_as(
        train("sequential", data=few_digits, out=folder, resume=True, **SMALL),
        whole_runs["sequential"],
    )


@pytest.mark.parametrize("text", ["", "[]", '{"settings": 1}', "half a rec"])
def test_damaged_record_is_refused_by_name(text, few_digits, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(
        InputError, match=r"run\.json should be the record of a run.*--overwrite"
    ):
        train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert content(tmp_path) == {"run.json": text.encode()}


@pytest.mark.parametrize("text", ["", "no history", "epoch,loss\n1,low\n"])
def test_damaged_history_is_refused_and_nothing_changes(text, few_digits, folder):
    (folder / "history.csv").write_text(text)
    before = content(folder)
    with pytest.raises(InputError, match=r"and history\.csv its history.*--overwrite"):
        train("sequential", data=few_digits, out=folder, resume=True, **SMALL)
    assert content(folder) == before


@pytest.mark.parametrize(
    ("epoch", "said"),
    [(0, ""), (1, "Stopped after 1 of 4 epochs. Continue with --resume.\n")],
)
def test_ctrl_c_says_how_to_continue_if_an_epoch_is_kept(
    epoch, said, command, few_digits_file, tmp_path, monkeypatch
):
    def interrupt(self, batch, logs=None):
        if self.model.optimizer.iterations > 11 * epoch:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunRecord, "on_train_batch_end", interrupt, raising=False)
    # Small executions, for an interrupt in the middle of the second epoch; steps_per_execution is no option.
    monkeypatch.setattr(training, "_steps", lambda batches: 2)
    options = (
        "--epochs",
        4,
        "--hidden-units",
        "16,8",
        "--data",
        few_digits_file,
        "--out",
        tmp_path,
        "--quiet",
    )
    previous = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in a job in the background
    try:
        result = command("train", "sequential", *options)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert (result.status, result.err.lstrip("\n")) == (130, said)


def test_a_full_disk_leaves_the_last_epoch_whole_and_resumable(
    few_digits, tmp_path, monkeypatch, whole_runs
):
    save = keras.Model.save

    def full(self, path, **keywords):
        save(self, path, **keywords)
        if self.optimizer.iterations > 22:
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train("sequential", data=few_digits, out=tmp_path, **SMALL)
    monkeypatch.undo()
    assert not [name for name in content(tmp_path) if name.startswith(".")]
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.iterations == 22
    assert_ends_as(
        train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL),
        whole_runs["sequential"],
    )


def test_numpys_whole_numbers_are_settings_too(few_digits, tmp_path):
    settings = {
        "epochs": 1,
        "hidden_units": (np.int64(16), np.int64(8)),
        "seed": np.uint8(3),
        "verbose": False,
    }
    train("sequential", data=few_digits, out=tmp_path, **settings)
    assert record(tmp_path)["settings"]["hidden_units"] == [16, 8]
