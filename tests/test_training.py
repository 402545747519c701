"""Training: one seed gives one result, in the order that the seed and the epoch make, with the article's settings."""

import json
import platform
from importlib.metadata import version

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_model_wars import training
from keras_model_wars.article_logs import compare_with_article
from keras_model_wars.experiments import EXPERIMENTS
from keras_model_wars.training import ReshuffledDataset, epoch_order, train

FILES = {
    "model.keras",
    "history.csv",
    "summary.txt",
    "diagram.png",
    "learning_curves.png",
    "mistakes.png",
    "run.json",
}
# Small, and with batches that divide the digits as little as the executions divide the batches.
SETTINGS = {
    "sequential": {"hidden_units": (16, 8), "batch_size": 5},
    "wide_deep": {"hidden_units": (16, 8), "batch_size": 5},
    "two_input_two_output": {"hidden_units": (16, 8), "branch_units": 12, "batch_size": 2},
    "shared_layers": {"hidden_units": (16, 8), "batch_size": 5},
}
METRICS = {
    "sequential": ["accuracy", "loss"],
    "wide_deep": ["accuracy", "loss"],
    "two_input_two_output": ["loss", "output_a_accuracy", "output_a_loss", "output_b_accuracy", "output_b_loss"],
    "shared_layers": ["accuracy", "loss"],
}
TWO_DIGITS = np.zeros((2, 28, 28), int), np.arange(2)


@pytest.fixture(scope="module")
def trained(few_digits):
    """Train a small model for two epochs; what was trained with the same settings before is not trained again."""
    runs = {}

    def run(model, **settings):
        key = (model, *settings.items())
        if key not in runs:
            settings = {"epochs": 2, "seed": 3, **SETTINGS[model], **settings}
            runs[key] = train(model, data=few_digits, verbose=False, **settings)
        return runs[key]

    return run


def assert_same_run(run, other):
    """Hold that two runs are equal to the bit."""
    pd.testing.assert_frame_equal(run.history, other.history, check_exact=True)
    assert run.test_metrics == other.test_metrics
    for weight, same in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize("model", METRICS)
def test_run_leaves_its_files_in_its_folder_and_no_other(small_runs, model):
    folder = small_runs[model].folder
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


def test_nothing_is_written_where_no_folder_is_named(few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"epochs": 1, "hidden_units": (8, 4), "data": few_digits, "verbose": False}
    runs = [train("sequential", **settings) for _ in range(2)]  # as a notebook's cell that is run twice
    assert runs[0].folder is None
    assert_same_run(*runs)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", METRICS)
def test_history_has_one_row_per_epoch_and_one_column_per_metric(small_runs, model):
    run = small_runs[model]
    assert run.history.index.tolist() == [1, 2]
    assert run.history.index.name == "epoch"
    assert run.history.columns.tolist() == METRICS[model] + [f"val_{name}" for name in METRICS[model]]
    assert run.history.notna().all(axis=None)
    written = pd.read_csv(run.folder / "history.csv", index_col="epoch", dtype=str).astype(float).rename(index=int)
    pd.testing.assert_frame_equal(written, run.history, check_exact=True, check_index_type=False)


def test_record_tells_how_the_run_was_made(small_runs):
    run = small_runs["two_input_two_output"]
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    settings = {"model": "two_input_two_output", "epochs": 2, "batch_size": 32, "learning_rate": 0.01, "seed": 3}
    assert record["settings"].items() >= (settings | {"hidden_units": [16, 8]}).items()
    assert record["versions"] == {
        "python": platform.python_version(),
        "keras": keras.version(),
        "tensorflow": version("tensorflow"),
    }
    assert record["backend"] == "tensorflow"
    assert record["data"] == "arrays passed to train"
    assert (record["parameters"], record["api"]) == (run.model.count_params(), "functional")
    assert "2 inputs: 'input_a', 'input_b'" in record["reasons"]
    assert len(record["seconds_per_epoch"]) == 2
    assert record["test"] == run.test_metrics
    assert record["final_epoch"] == run.history.loc[2].to_dict()
    summary = (run.folder / "summary.txt").read_text(encoding="utf-8")
    assert f"Total params: {run.model.count_params():,}" in summary


@pytest.mark.parametrize("model", METRICS)
def test_test_and_last_validation_metrics_are_those_of_the_saved_model(small_runs, few_digits, model):
    run, splits = small_runs[model], EXPERIMENTS[model].prepare(few_digits)
    saved = keras.models.load_model(run.folder / "model.keras")
    again = saved.evaluate(*splits.test, batch_size=32, verbose=0, return_dict=True)
    assert set(run.test_metrics) == set(METRICS[model])
    assert again == pytest.approx(run.test_metrics, rel=1e-5)
    again = saved.evaluate(*splits.validation, batch_size=32, verbose=0, return_dict=True)
    last = run.history.filter(like="val_").loc[2].to_dict()
    assert {f"val_{name}": value for name, value in again.items()} == pytest.approx(last, rel=1e-5)


def test_settings_are_the_experiments_unless_others_are_asked_for(trained):
    assert {e.learning_rate for e in EXPERIMENTS.values()} == {0.01}
    assert {e.batch_size for e in EXPERIMENTS.values()} == {32}
    assert {e.name: e.epochs for e in EXPERIMENTS.values() if e.name in METRICS} == dict(zip(METRICS, (20, 10, 10, 5)))
    optimizer = trained("wide_deep").model.optimizer
    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    plain = (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay, optimizer.clipnorm)
    assert plain == (0, False, None, None)
    assert trained("shared_layers").model.optimizer.momentum == 0.9
    other = trained("sequential", learning_rate=0.02)
    assert float(other.model.optimizer.learning_rate) == pytest.approx(0.02)
    assert (other.history["loss"] != trained("sequential").history["loss"]).all()


@pytest.mark.parametrize("model", SETTINGS)
def test_steps_per_execution_change_no_bit(trained, few_digits, model):
    by_default = trained(model)
    labels = EXPERIMENTS[model].prepare(few_digits).train[1]
    count, batch_size = len(keras.tree.flatten(labels)[0]), SETTINGS[model]["batch_size"]
    steps = by_default.model.steps_per_execution
    assert 1 < steps < count // batch_size
    assert count % batch_size
    assert -(-count // batch_size) % steps
    assert_same_run(by_default, trained(model, steps_per_execution=1))


def test_one_seed_gives_one_run_and_another_seed_another(trained, few_digits):
    first = trained("sequential")
    keras.utils.set_random_seed(99)
    again = train("sequential", epochs=2, seed=3, data=few_digits, verbose=False, **SETTINGS["sequential"])
    assert_same_run(first, again)
    assert (first.history["loss"] != trained("sequential", seed=4).history["loss"]).all()
    pd.testing.assert_frame_equal(first.history, trained("sequential", epochs=3).history.head(2), check_exact=True)


def test_three_spellings_of_one_network_learn_the_same_to_the_bit(trained, few_digits):
    for model in ("functional_twin", "added_sequential"):
        other = train(model, epochs=2, seed=3, data=few_digits, verbose=False, **SETTINGS["sequential"])
        assert trained("sequential").history.equals(other.history)


def test_epoch_order_takes_every_digit_once_and_depends_on_seed_and_epoch_only():
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert tuple(range(50)) not in orders
    first = epoch_order(50, seed=7, epoch=3)
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(epoch_order(50, seed=7, epoch=3), first)


def what_fit_sees(count, batch_size, steps, seed, epochs, initial_epoch=0):
    """Return the batches that ``fit`` takes of the digits 0 to ``count`` - 1, epoch by epoch."""
    seen = []

    class Recorder(keras.Model):
        def train_step(self, batch):
            x, y = batch
            tf.numpy_function(lambda x, y: seen[-1].append((x.tolist(), y.tolist())), [x, y], [])
            return {"loss": 0.0}

    digits = np.arange(count)
    dataset = ReshuffledDataset(digits, digits + 1000, batch_size=batch_size, seed=seed)
    model = Recorder()
    model.compile(steps_per_execution=steps)
    new_epoch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append([]))
    model.fit(
        dataset.dataset,
        epochs=epochs,
        initial_epoch=initial_epoch,
        shuffle=False,
        callbacks=[dataset, new_epoch],
        verbose=0,
    )
    return seen


@pytest.mark.parametrize(
    ("count", "batch_size", "steps"), [(12, 3, 1), (10, 3, 3), (10, 3, 64), (137, 2, 35), (5, 32, 4), (1, 1, 1)]
)
def test_fit_sees_every_digit_once_per_epoch_in_its_order(count, batch_size, steps):
    epochs = what_fit_sees(count, batch_size, steps, seed=5, epochs=3)
    assert len(epochs) == 3
    for epoch, batches in enumerate(epochs):
        order = epoch_order(count, 5, epoch).tolist()
        expected = [order[i : i + batch_size] for i in range(0, count, batch_size)]
        assert [x for x, _ in batches] == expected
        assert [y for _, y in batches] == [[digit + 1000 for digit in batch] for batch in expected]
    assert what_fit_sees(count, batch_size, steps, seed=5, epochs=3, initial_epoch=2) == epochs[2:]


def test_inputs_and_outputs_of_two_are_shuffled_together():
    digits = np.arange(10)
    x, y = {"input_a": digits, "input_b": digits + 100}, {"output_a": digits + 200, "output_b": digits + 300}
    reshuffled = ReshuffledDataset(x, y, batch_size=4, seed=0)
    batches = list(reshuffled.dataset)
    assert len(batches) == reshuffled.batches == len(reshuffled.dataset) == 3
    order = epoch_order(10, 0, 0)
    for part, name, first in ((0, "input_a", 0), (0, "input_b", 100), (1, "output_a", 200), (1, "output_b", 300)):
        seen = np.concatenate([batch[part][name] for batch in batches])
        np.testing.assert_array_equal(seen, order + first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "resnet"}, "sequential, wide_deep, two_input_two_output.* Received: 'resnet'"),
        ({"epochs": 0}, "`epochs` should be a whole number .*Received: epochs=0"),
        ({"epochs": "3"}, "epochs='3'"),
        ({"batch_size": 32.0}, "`batch_size` should be a whole number .*Received: batch_size=32.0"),
        ({"learning_rate": float("nan")}, "`learning_rate` should be a finite number above zero"),
        ({"seed": -1}, "`seed` should be a whole number from 0 to .*Received: seed=-1"),
        ({"steps_per_execution": 2**70}, "`steps_per_execution` should be a whole number .*Received: "),
        ({"hidden_units": (8, 0)}, "`hidden_units` should .*Received: "),
        ({"hiden_units": (8, 4)}, "hiden_units"),
        ({"data": "missing.npz"}, "missing.npz should be .* no such file"),
        ({"data": 5}, "`data` should be"),
        ({"data": ((np.zeros((4, 784), int), np.arange(4)),) * 2}, "`data`: x_train should have the shape"),
        ({"model": "two_input_two_output", "data": (TWO_DIGITS, TWO_DIGITS)}, "should .* Received: "),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_no_file(few_digits, tmp_path, settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        train(**{"model": "sequential", "data": few_digits, "out": tmp_path / "run", "verbose": False, **settings})
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_is_refused_before_training(few_digits, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(keras.Model, "fit", lambda *_, **__: pytest.fail("trained although nothing can be written"))
    with pytest.raises(OSError, match="file"):
        train("sequential", data=few_digits, out=tmp_path / "file" / "run", verbose=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_builder_that_returns_no_model_is_named(few_digits, monkeypatch):
    monkeypatch.setattr("keras_model_wars.models.build_sequential", lambda **_: None)
    with pytest.raises(
        RuntimeError, match=r"build_sequential .*line \d+.* should return a Keras model. Received: None"
    ):
        train("sequential", data=few_digits)


@pytest.mark.parametrize("model", ["sequential", "two_input_two_output"])
def test_run_on_as_many_digits_as_the_article_is_compared(few_digits, tmp_path, capsys, monkeypatch, model):
    monkeypatch.setattr(training, "FULL_TRAIN_DIGITS", len(few_digits[0][0]))
    run = train(model, epochs=1, hidden_units=(4, 4), data=few_digits, out=tmp_path)
    written = pd.read_csv(run.folder / "article_comparison.csv")
    pd.testing.assert_frame_equal(written, compare_with_article(run.history, model), rtol=1e-12, check_dtype=False)
    assert (run.folder / "article_comparison.png").stat().st_size
    assert "No comparison" not in capsys.readouterr().out


def test_diverged_run_ends_with_a_record_that_is_json_and_with_pictures(few_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "FULL_TRAIN_DIGITS", len(few_digits[0][0]))
    settings = {"epochs": 1, "hidden_units": (16, 8), "verbose": False}
    run = train("sequential", data=few_digits, out=tmp_path, learning_rate=1e30, **settings)
    assert not np.isfinite(run.history["loss"].iloc[-1])
    record = json.loads((tmp_path / "run.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert record["final_epoch"]["loss"] is None
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"article_comparison.csv", "article_comparison.png"}


def test_many_models_in_one_process_bring_no_word_of_retracing(capfd):
    for _ in range(7):
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).predict(np.zeros((3, 4)), verbose=0)
    assert capfd.readouterr().err == ""
