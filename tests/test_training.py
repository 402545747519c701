"""Training: one seed gives one result, with the article's settings."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest

import keras_model_wars as kmw
from conftest import assert_same_run
from keras_model_wars import EXPERIMENTS, Experiment, training
from keras_model_wars.training import train

FILES = {
    "model.keras",
    "history.csv",
    "summary.txt",
    "diagram.png",
    "learning_curves.png",
    "mistakes.png",
    "run.json",
}
COMPARISON = {"article_comparison.csv", "article_comparison.png"}
ONE_OUTPUT = ["accuracy", "loss"]
METRICS = {
    "sequential": ONE_OUTPUT,
    "wide_deep": ONE_OUTPUT,
    "two_input_two_output": [
        "loss",
        "output_a_accuracy",
        "output_a_loss",
        "output_b_accuracy",
        "output_b_loss",
    ],
    "shared_layers": ONE_OUTPUT,
}
each_model = pytest.mark.parametrize("model", METRICS)


def train_small(model, few_digits, **settings):
    """Train with batches that divide the images as little as steps the batches."""
    small = {"epochs": 2, "batch_size": 5, "seed": 3, "hidden_units": (16, 8)}
    return train(model, data=few_digits, verbose=False, **(small | settings))


@each_model
def test_run_leaves_its_files_and_no_others(small_runs, model):
    files = list(small_runs[model].folder.iterdir())
    assert {path.name for path in files} == FILES
    assert all(path.stat().st_size for path in files)


@each_model
def test_history_has_one_row_per_epoch_and_one_column_per_metric(small_runs, model):
    history = small_runs[model].history
    metrics = METRICS[model]
    assert history.index.tolist() == [1, 2]
    assert history.index.name == "epoch"
    assert history.columns.tolist() == metrics + [f"val_{name}" for name in metrics]
    assert history.notna().all(axis=None)


def test_history_file_holds_the_history_to_the_last_bit(small_runs):
    run = small_runs["two_input_two_output"]
    text = pd.read_csv(run.folder / "history.csv", index_col="epoch", dtype=str)
    np.testing.assert_array_equal(text.astype(float), run.history)


@each_model
def test_saved_model_has_the_metrics_of_the_run(small_runs, few_digits, model):
    run = small_runs[model]
    splits = EXPERIMENTS[model].prepare(few_digits)
    saved = keras.models.load_model(run.folder / "model.keras")
    test = saved.evaluate(*splits.test, batch_size=32, verbose=0, return_dict=True)
    validation = saved.evaluate(
        *splits.validation, batch_size=32, verbose=0, return_dict=True
    )
    last = {f"val_{name}": value for name, value in validation.items()}
    assert test == pytest.approx(run.test_metrics, rel=1e-5)
    assert last == pytest.approx(run.history.loc[2, list(last)].to_dict(), rel=1e-5)


def test_nothing_is_written_if_no_folder_is_named(few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = train_small("sequential", few_digits)
    second = train_small("sequential", few_digits)
    assert first.folder is None
    assert_same_run(first, second)
    assert not list(tmp_path.iterdir())


def test_record_tells_how_the_run_was_made(small_runs):
    run = small_runs["two_input_two_output"]
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    assert record["settings"]["model"] == "two_input_two_output"
    assert record["settings"]["epochs"] == 2
    assert record["settings"]["batch_size"] == 32
    assert record["settings"]["learning_rate"] == 0.01
    assert record["settings"]["seed"] == 3
    assert record["settings"]["hidden_units"] == [16, 8]
    assert record["versions"]["keras"] == keras.version()
    assert record["backend"] == "tensorflow"
    assert record["data"] == "arrays passed to train"
    assert record["parameters"] == run.model.count_params()
    assert record["api"] == "functional"
    assert "2 inputs: 'input_a', 'input_b'" in record["reasons"]
    assert len(record["seconds_per_epoch"]) == 2
    assert record["test"] == run.test_metrics
    assert record["final_epoch"] == run.history.loc[2].to_dict()


def test_summary_is_as_wide_as_its_names_need(small_runs):
    for run in small_runs.values():
        summary = (run.folder / "summary.txt").read_text(encoding="utf-8")
        assert f"Total params: {run.model.count_params():,}" in summary
        assert "…" not in summary
        assert "Param #" in summary
        assert summary.count("│") > 2 * len(run.model.layers), "no column is cut off"


def test_the_optimizer_is_plain_sgd_with_the_articles_settings(small_runs):
    optimizer = small_runs["wide_deep"].model.optimizer
    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert optimizer.momentum == 0
    assert not optimizer.nesterov
    assert small_runs["shared_layers"].model.optimizer.momentum == 0.9


def test_settings_that_are_passed_win_over_the_experiments(few_digits):
    usual = train_small("sequential", few_digits)
    other = train_small("sequential", few_digits, learning_rate=0.02)
    assert float(other.model.optimizer.learning_rate) == pytest.approx(0.02)
    assert (other.history["loss"] != usual.history["loss"]).all()


@each_model
def test_steps_per_execution_change_no_bit(few_digits, monkeypatch, model):
    many = train_small(model, few_digits, batch_size=2)
    assert many.model.steps_per_execution > 1
    order = training.ReshuffledDataset
    monkeypatch.setattr(order, "steps_per_execution", property(lambda self: 1))
    one = train_small(model, few_digits, batch_size=2)
    assert_same_run(without_output_losses(many), without_output_losses(one))


def without_output_losses(run):
    """Leave out what Keras 3.16 weighs in another way if it runs batches one by one.

    The mean loss of each output: then a last, smaller batch counts less.
    """
    columns = [name for name in run.history if not name.endswith(("a_loss", "b_loss"))]
    metrics = {name: run.test_metrics[name] for name in columns[: len(columns) // 2]}
    return dataclasses.replace(run, history=run.history[columns], test_metrics=metrics)


@pytest.mark.parametrize("model", ["functional_twin", "added_sequential"])
def test_every_spelling_of_the_network_trains_to_the_same_bits(few_digits, model):
    first = train_small("sequential", few_digits)
    keras.utils.set_random_seed(99)
    assert_same_run(first, train_small(model, few_digits))


def test_another_seed_gives_another_run(few_digits):
    first = train_small("sequential", few_digits)
    other = train_small("sequential", few_digits, seed=4)
    assert (first.history["loss"] != other.history["loss"]).all()


def test_more_epochs_begin_with_the_same_ones(few_digits):
    two = train_small("sequential", few_digits)
    three = train_small("sequential", few_digits, epochs=3)
    pd.testing.assert_frame_equal(two.history, three.history.head(2), check_exact=True)


def test_folder_that_cannot_be_written_is_refused_before_training(
    few_digits, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(keras.Model, "fit", None)
    with pytest.raises(OSError, match="file"):
        train_small("sequential", few_digits, out=tmp_path / "file" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("learning_rate", [0.01, 1e30])
def test_run_on_all_images_is_compared_even_if_it_diverges(
    few_digits, tmp_path, capsys, monkeypatch, learning_rate
):
    monkeypatch.setattr(training, "FULL_TRAIN_DIGITS", len(few_digits[0][0]))
    run = train(
        "sequential",
        epochs=1,
        learning_rate=learning_rate,
        hidden_units=(16, 8),
        data=few_digits,
        out=tmp_path,
    )
    assert {path.name for path in tmp_path.iterdir()} == FILES | COMPARISON
    assert "No comparison" not in capsys.readouterr().out
    written = pd.read_csv(tmp_path / "article_comparison.csv")
    expected = kmw.compare_with_article(run.history, "sequential")
    np.testing.assert_allclose(written["measured"], expected["measured"])


def test_record_of_a_diverged_run_is_valid_json(few_digits, tmp_path):
    train_small("sequential", few_digits, learning_rate=1e30, out=tmp_path)
    text = (tmp_path / "run.json").read_text()
    record = json.loads(text, parse_constant=pytest.fail)
    assert record["final_epoch"]["loss"] is None


def test_a_sample_is_not_compared_with_the_article_and_train_says_so(
    few_digits, capsys
):
    train("sequential", epochs=1, hidden_units=(8, 4), data=few_digits)
    assert "this run had 375 of MNIST's 60,000 training images" in (
        capsys.readouterr().out
    )


def build_mine(width=8):
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(width, "relu"),
            keras.layers.Dense(10, "softmax"),
        ]
    )


def test_an_experiment_of_ones_own_is_trained_and_saved(few_digits, tmp_path):
    mine = Experiment("mine", "My model", build_mine, epochs=2)
    run = train(mine, data=few_digits, out=tmp_path, verbose=False, width=4)
    record = json.loads((tmp_path / "run.json").read_text())
    assert len(run.history) == 2
    assert run.model.count_params() == 784 * 4 + 4 + 40 + 10
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert record["title"] == "My model"


def test_a_variant_of_an_experiment_needs_only_replace(few_digits):
    variant = dataclasses.replace(EXPERIMENTS["sequential"], learning_rate=0.02)
    run = train_small(variant, few_digits)
    assert_same_run(run, train_small("sequential", few_digits, learning_rate=0.02))


def test_a_subclassed_model_of_ones_own_is_trained(few_digits, tmp_path):
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.flatten = keras.layers.Flatten()
            self.dense = keras.layers.Dense(10, activation="softmax")

        def call(self, inputs):
            return self.dense(self.flatten(inputs))

    mine = Experiment("mine", "My model", Mine, epochs=1)
    run = train(mine, data=few_digits, out=tmp_path, verbose=False)
    assert run.model.count_params() == 7850
    assert (tmp_path / "model.keras").exists()


@pytest.mark.parametrize("verbose", [1, 2])
def test_train_prints_the_data_the_summary_and_the_result(few_digits, capsys, verbose):
    run = train(
        "sequential", epochs=1, hidden_units=(8, 4), data=few_digits, verbose=verbose
    )
    out = capsys.readouterr().out
    test = run.test_metrics["accuracy"]
    assert out.startswith("Data: arrays passed to train\n")
    assert "Total params: 6,366" in out
    assert f"accuracy: validation {run.history['val_accuracy'][1]:.4f}, " in out
    assert f"test {test:.4f}" in out


def test_a_misspelled_keyword_is_named(few_digits):
    with pytest.raises(kmw.InputError, match="hiden_units"):
        train("sequential", data=few_digits, hiden_units=(8, 4))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_does_not_take_is_refused_by_it(few_digits, seed):
    with pytest.raises(ValueError, match="[Ss]eed"):
        train("sequential", data=few_digits, seed=seed)
