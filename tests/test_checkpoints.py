"""Trainings that are killed, stopped, resumed and replaced."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pandas as pd
import pytest

from keras_model_wars import train

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}


def run_and_stop_in_epoch(epoch, how, model, digits_file, folder, settings):
    """Train in a process that gets a signal in the middle of an epoch, and return its exit status and error output."""
    program = f"""
        import os, keras
        from keras_model_wars import train
        from keras_model_wars.shuffling import ReshuffledDataset

        class Stopped(ReshuffledDataset):
            def on_epoch_begin(self, epoch, logs=None):
                super().on_epoch_begin(epoch, logs)
                self.now = epoch

            def on_train_batch_end(self, batch, logs=None):
                if self.now == {epoch} and batch >= 4:
                    os.kill(os.getpid(), {int(how)})

        import keras_model_wars.training
        keras_model_wars.training.ReshuffledDataset = Stopped
        train({model!r}, data={str(digits_file)!r}, out={str(folder)!r}, steps_per_execution=2, **{settings!r})
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return process.returncode, process.stderr


@pytest.mark.parametrize(
    "model", ["sequential", "shared_layers"]
)  # plain SGD, and SGD whose momentum must come back too
def test_a_killed_training_ends_after_resume_as_one_that_was_not_killed(model, few_digits_file, tmp_path):
    whole = train(model, data=few_digits_file, out=tmp_path / "whole", **SMALL)
    status, _ = run_and_stop_in_epoch(2, signal.SIGKILL, model, few_digits_file, tmp_path / "killed", SMALL)
    assert status == -signal.SIGKILL
    assert len(pd.read_csv(tmp_path / "killed" / "history.csv")) == 2
    resumed = train(model, data=few_digits_file, out=tmp_path / "killed", resume=True, **SMALL)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert (tmp_path / "killed" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()
    assert len(json.loads((tmp_path / "killed" / "run.json").read_text())["seconds_an_epoch"]) == 4
    assert not (tmp_path / "killed" / "backup").exists()


def test_ctrl_c_keeps_the_last_finished_epoch_and_says_how_to_go_on(few_digits_file, tmp_path):
    stopped = train("sequential", data=few_digits_file, out=tmp_path / "two", **(SMALL | {"epochs": 2}))
    status, errors = run_and_stop_in_epoch(2, signal.SIGINT, "sequential", few_digits_file, tmp_path / "four", SMALL)
    assert status == -signal.SIGINT
    assert "Stopped after 2 of 4 epochs" in errors
    assert "--resume" in errors
    kept = keras.saving.load_model(tmp_path / "four" / "model.keras")
    for ours, theirs in zip(kept.get_weights(), stopped.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert len(pd.read_csv(tmp_path / "four" / "history.csv")) == 2


@pytest.fixture
def unfinished(few_digits_file, tmp_path):
    """A folder whose training stopped after its second epoch, made without a process of its own."""
    train("sequential", data=few_digits_file, out=tmp_path, **SMALL)
    record = json.loads((tmp_path / "run.json").read_text())
    del record["test"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "`seed` should be 0.*Received: seed=1"),
        ({"epochs": 5}, "`epochs` should be 4.*Received: epochs=5"),
        ({"batch_size": 16}, "`batch_size` should be 32.*Received: batch_size=16"),
        ({"learning_rate": 0.1}, "`learning_rate` should be 0.01.*Received: learning_rate=0.1"),
        ({"hidden_units": (16, 9)}, r"`hidden_units` should be \[16, 8\].*Received: hidden_units=\[16, 9\]"),
    ],
)
def test_resuming_with_other_settings_is_refused_with_both_values(changed, named, unfinished, few_digits_file):
    before = {path.name: path.read_bytes() for path in unfinished.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match=named):
        train("sequential", data=few_digits_file, out=unfinished, resume=True, **(SMALL | changed))
    assert before == {path.name: path.read_bytes() for path in unfinished.iterdir() if path.is_file()}


def test_resuming_with_other_digits_is_refused(unfinished, few_digits):
    (x_train, y_train), test = few_digits
    with pytest.raises(ValueError, match="`digits` should be"):
        train("sequential", data=((x_train[::-1], y_train[::-1]), test), out=unfinished, resume=True, **SMALL)


def test_an_unfinished_run_is_neither_lost_nor_resumed_unasked(unfinished, few_digits_file):
    with pytest.raises(ValueError, match=r"unfinished.*resume=True.*overwrite=True"):
        train("sequential", data=few_digits_file, out=unfinished, **SMALL)


def test_a_finished_run_is_replaced_only_when_asked(few_digits_file, tmp_path):
    settings = SMALL | {"epochs": 1}
    train("sequential", data=few_digits_file, out=tmp_path, **settings)
    (tmp_path / "article_comparison.csv").write_text("of a run on the full set")
    model = (tmp_path / "model.keras").read_bytes()
    for keywords in ({}, {"resume": True}):
        with pytest.raises(ValueError, match="without a finished run.*overwrite=True"):
            train("sequential", data=few_digits_file, out=tmp_path, **settings, **keywords)
    assert (tmp_path / "model.keras").read_bytes() == model
    run = train("sequential", data=few_digits_file, out=tmp_path, overwrite=True, **settings, seed=1)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["seed"] == 1
    assert np.array_equal(
        keras.saving.load_model(tmp_path / "model.keras").get_weights()[0], run.model.get_weights()[0]
    )
    assert not (tmp_path / "article_comparison.csv").exists()


def test_resume_starts_a_training_where_there_is_none(few_digits_file, tmp_path):
    run = train("sequential", data=few_digits_file, out=tmp_path / "new", resume=True, **(SMALL | {"epochs": 1}))
    assert len(run.history) == 1


def test_a_backup_cut_short_between_two_renames_is_found(few_digits_file, tmp_path):
    whole = train("sequential", data=few_digits_file, out=tmp_path / "whole", **SMALL)
    run_and_stop_in_epoch(2, signal.SIGKILL, "sequential", few_digits_file, tmp_path / "killed", SMALL)
    backup = tmp_path / "killed" / "backup"
    os.rename(backup / "latest", backup / "before")
    (backup / "writing").mkdir(exist_ok=True)
    (backup / "writing" / "latest.weights.h5").write_bytes(b"half")
    resumed = train("sequential", data=few_digits_file, out=tmp_path / "killed", resume=True, **SMALL)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
