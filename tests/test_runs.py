"""Runs that are killed, stopped, resumed, extended and replaced."""

import json
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from keras_model_wars import train, training
from keras_model_wars.runs import RUN_FILES, RunRecord

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}


class Killed(BaseException):
    """What ends a training at once, as a kill does: nothing is written or cleaned up after it."""


@pytest.fixture
def kill_before(monkeypatch):
    """Let a training die in an epoch just before it writes a file; before its first batch if no file is named."""

    def kill(epoch, file=None):
        begin, write = RunRecord.on_epoch_begin, os.replace
        now = {}

        def begin_epoch(self, number, logs=None):
            now["epoch"] = number
            begin(self, number, logs)
            if number == epoch and file is None:
                raise Killed

        def replace(self, target):
            if now.get("epoch") == epoch and target.name == file:
                raise Killed
            write(self, target)

        monkeypatch.setattr(RunRecord, "on_epoch_begin", begin_epoch)
        monkeypatch.setattr("pathlib.Path.replace", replace)

    return kill


@pytest.fixture(autouse=True, scope="module")
def no_pictures(small_runs):
    """Write a few bytes for every picture: what they show is tested elsewhere, and takes longer than these trainings."""

    def write(*arguments, **_):
        next(argument for argument in arguments if isinstance(argument, Path)).write_bytes(b"picture")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_model", "plot_learning_curves", "plot_mistakes"):
            patch.setattr(training, name, write)
        yield


def assert_same_run(folder, run, whole):
    pd.testing.assert_frame_equal(run.history, whole.history, check_exact=True)
    assert run.test_metrics == whole.test_metrics
    for ours, theirs in zip(run.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert (folder / "history.csv").read_text() == whole.history.to_csv()
    assert len(json.loads((folder / "run.json").read_text())["seconds_per_epoch"]) == len(whole.history)
    assert {path.name for path in folder.iterdir()} <= set(RUN_FILES)


# Plain SGD; SGD whose momentum must come back too; two outputs.
@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("sequential", "model.keras"),
        *(("shared_layers", file) for file in (None, "run.json", "history.csv", "model.keras")),
        ("two_input_two_output", "history.csv"),
    ],
)
def test_run_killed_at_any_moment_ends_after_resume_as_one_that_was_not(
    model, file, few_digits, tmp_path, kill_before, monkeypatch, whole_runs
):
    kill_before(2, file)
    with pytest.raises(Killed):
        train(model, data=few_digits, out=tmp_path, **SMALL)
    monkeypatch.undo()
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.iterations == 2 * BATCHES[model]
    (tmp_path / f".model-{'0a' * 16}.keras").write_bytes(b"half")  # what a kill leaves in the middle of writing
    resumed = train(model, data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_same_run(tmp_path, resumed, whole_runs[model])


BATCHES = {"sequential": 11, "shared_layers": 11, "two_input_two_output": 5}


@pytest.fixture(scope="module")
def whole_runs(few_digits):
    return {model: train(model, data=few_digits, **SMALL) for model in BATCHES}


def test_finished_and_unfinished_runs_are_extended_to_the_bit(
    few_digits, tmp_path, kill_before, monkeypatch, whole_runs
):
    finished, killed = tmp_path / "finished", tmp_path / "killed"
    train("shared_layers", data=few_digits, out=finished, **(SMALL | {"epochs": 2}))
    kill_before(1)
    with pytest.raises(Killed):
        train("shared_layers", data=few_digits, out=killed, **(SMALL | {"epochs": 2}))
    monkeypatch.undo()
    for folder in (finished, killed):
        run = train("shared_layers", data=few_digits, out=folder, resume=True, **SMALL)
        assert_same_run(folder, run, whole_runs["shared_layers"])


def test_extending_a_finished_run_first_drops_its_end(few_digits, small_runs, tmp_path, kill_before):
    folder = shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")
    kill_before(2)
    with pytest.raises(Killed):
        train("sequential", data=few_digits, out=folder, resume=True, seed=3, **SMALL)
    assert "test" not in json.loads((folder / "run.json").read_text())
    left = {"model.keras", "history.csv", "run.json", "summary.txt", "diagram.png"}
    assert {path.name for path in folder.iterdir()} == left


def test_resume_without_epochs_means_the_runs_own_and_finishes_what_lacks_its_end(few_digits, small_runs, tmp_path):
    whole = small_runs["sequential"]
    folder = shutil.copytree(whole.folder, tmp_path / "run")
    record = json.loads((folder / "run.json").read_text())
    del record["test"]
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "mistakes.png").unlink()
    run = train("sequential", data=few_digits, out=folder, resume=True, seed=3, hidden_units=(16, 8), verbose=False)
    assert_same_run(folder, run, whole)
    assert (folder / "mistakes.png").exists()
    assert json.loads((folder / "run.json").read_text())["test"] == whole.test_metrics


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "`seed` should be 3.*Received: seed=1"),
        ({"epochs": 1}, "`epochs` should be at least 2.*Received: epochs=1"),
        ({"batch_size": 16}, "`batch_size` should be 32.*Received: batch_size=16"),
        ({"learning_rate": 0.1}, "`learning_rate` should be 0.01.*Received: learning_rate=0.1"),
        ({"hidden_units": (16, 9)}, r"`hidden_units` should be \[16, 8\].*Received: hidden_units=\[16, 9\]"),
        ({"model": "functional_twin"}, "`model` should be 'sequential'.*Received: model='functional_twin'"),
        ({"data": "other"}, "`digits` should be '375"),
    ],
)
def test_resuming_with_other_settings_is_refused_with_both_values_and_changes_nothing(
    changed, named, few_digits, small_runs, tmp_path
):
    (x_train, y_train), test = few_digits
    if "data" in changed:
        changed = {"data": ((x_train[::-1], y_train[::-1]), test)}
    folder = shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    settings = {"model": "sequential", "data": few_digits, "seed": 3, "hidden_units": (16, 8), "verbose": False}
    with pytest.raises(ValueError, match=named):
        train(**(settings | changed), out=folder, resume=True)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_that_holds_a_run_is_neither_replaced_nor_resumed_unasked(few_digits, small_runs):
    folder = small_runs["sequential"].folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=r"without a run.*--resume.*--overwrite"):
        train("sequential", data=few_digits, out=folder, **SMALL)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("arguments", [{"resume": True}, {"overwrite": True}, {"resume": True, "overwrite": True}])
def test_resume_and_overwrite_need_a_folder_and_exclude_each_other(arguments, few_digits, tmp_path):
    out = {"out": tmp_path / "run"} if len(arguments) > 1 else {}
    with pytest.raises(ValueError, match="`resume` or `overwrite` should come with `out`.* Received: "):
        train("sequential", data=few_digits, **SMALL, **arguments, **out)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("killed_in", [0, 1])
def test_overwrite_never_mixes_two_runs(
    killed_in, few_digits, small_runs, tmp_path, kill_before, monkeypatch, whole_runs
):
    folder = shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")
    (folder / "article_comparison.csv").write_text("of a run on the full set")
    (folder / "notes.txt").write_text("not a file of the run")
    kill_before(killed_in)
    with pytest.raises(Killed):
        train("sequential", data=few_digits, out=folder, overwrite=True, **SMALL)
    monkeypatch.undo()
    left = {"run.json", "summary.txt", "diagram.png", "notes.txt"}
    assert {path.name for path in folder.iterdir()} == left | ({"model.keras", "history.csv"} if killed_in else set())
    (folder / "notes.txt").unlink()
    run = train("sequential", data=few_digits, out=folder, resume=True, **SMALL)
    assert_same_run(folder, run, whole_runs["sequential"])


def test_overwrite_with_wrong_arguments_removes_nothing(few_digits, small_runs):
    folder = small_runs["sequential"].folder
    before = sorted(path.name for path in folder.iterdir())
    for wrong in ({"hidden_units": (8,)}, {"data": "missing.npz"}, {"epochs": 0}):
        with pytest.raises(ValueError, match="should"):
            train("sequential", out=folder, overwrite=True, **{"data": few_digits, "verbose": False, **wrong})
    assert before == sorted(path.name for path in folder.iterdir())


def test_a_model_without_a_record_is_never_resumed(few_digits, small_runs, tmp_path, whole_runs):
    shutil.copy(small_runs["sequential"].folder / "model.keras", tmp_path)
    run = train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_same_run(tmp_path, run, whole_runs["sequential"])


@pytest.mark.parametrize("record", ["", "[]", '{"settings": 1}', "half a rec"])
def test_damaged_record_is_refused_by_name(record, few_digits, tmp_path):
    (tmp_path / "run.json").write_text(record)
    with pytest.raises(ValueError, match=r"run\.json should be the record of a run.*--overwrite"):
        train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert (tmp_path / "run.json").read_text() == record


def test_ctrl_c_says_how_to_continue_only_if_an_epoch_is_kept(few_digits, tmp_path, monkeypatch, capsys):
    for epoch, said in ((0, ""), (1, "Stopped after 1 of 4 epochs. Continue with --resume.\n")):

        def interrupt(self, batch, logs=None, epoch=epoch):
            if self.model.optimizer.iterations > 11 * epoch:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(RunRecord, "on_train_batch_end", interrupt, raising=False)
        previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job in the background
        try:
            with pytest.raises(KeyboardInterrupt):
                train("sequential", data=few_digits, out=tmp_path / str(epoch), steps_per_execution=2, **SMALL)
        finally:
            signal.signal(signal.SIGINT, previous)
        assert capsys.readouterr().err.lstrip("\n") == said


def test_a_full_disk_leaves_the_last_epoch_whole_and_resumable(few_digits, tmp_path, monkeypatch, whole_runs):
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
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert keras.saving.load_model(tmp_path / "model.keras").optimizer.iterations == 22
    run = train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_same_run(tmp_path, run, whole_runs["sequential"])


def test_numpys_whole_numbers_are_settings_too(few_digits, tmp_path):
    settings = {"epochs": 1, "hidden_units": (np.int64(16), np.int64(8)), "seed": np.uint8(3), "verbose": False}
    train("sequential", data=few_digits, out=tmp_path, **settings)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["hidden_units"] == [16, 8]
