"""Training: what it leaves behind, and that one seed gives one result."""

import json
import platform
from importlib.metadata import version

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from keras_model_wars import training
from keras_model_wars.article import compare_with_article
from keras_model_wars.data import prepare_digits, prepare_two_inputs
from keras_model_wars.shuffling import ReshuffledDataset, epoch_order
from keras_model_wars.training import train

FILES = {"model.keras", "history.csv", "summary.txt", "diagram.png", "learning_curves.png", "run.json"}
# Small, and with batches that divide the digits as little as the executions divide the batches.
SETTINGS = {
    "sequential": {"hidden_units": (16, 8), "batch_size": 5},
    "wide_deep": {"hidden_units": (16, 8), "batch_size": 5},
    "two_input_two_output": {"hidden_units": (16, 8), "branch_units": 12, "batch_size": 2},
}
METRICS = {
    "sequential": ["accuracy", "loss"],
    "wide_deep": ["accuracy", "loss"],
    "two_input_two_output": ["loss", "output_a_accuracy", "output_a_loss", "output_b_accuracy", "output_b_loss"],
}


TWO_DIGITS = np.zeros((2, 28, 28), int), np.arange(2)


@pytest.fixture(scope="module")
def trained(few_digits, tmp_path_factory):
    """Train a small model for two epochs; what was trained with the same settings before is not trained again."""
    runs = {}

    def run(model, **settings):
        key = (model, *settings.items())
        if key not in runs:
            settings = {"epochs": 2, "seed": 3, **SETTINGS[model], **settings}
            folder = tmp_path_factory.mktemp(model) / "runs" / model
            runs[key] = train(model, data=few_digits, out=folder, verbose=False, **settings)
        return runs[key]

    return run


def assert_same_run(run, other):
    """Hold that two runs are equal to the bit."""
    pd.testing.assert_frame_equal(run.history, other.history, check_exact=True)
    assert run.test_metrics == other.test_metrics
    for weight, same in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize("model", SETTINGS)
def test_run_leaves_its_files_and_no_other(trained, model):
    run = trained(model)

    assert {path.name for path in run.folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in run.folder.iterdir())
    assert [path.name for path in run.folder.parent.iterdir()] == [model]


@pytest.mark.parametrize("model", SETTINGS)
def test_history_has_a_row_an_epoch_and_a_column_a_metric(trained, model):
    run = trained(model)

    assert run.history.index.tolist() == [1, 2]
    assert run.history.index.name == "epoch"
    assert run.history.columns.tolist() == METRICS[model] + [f"val_{name}" for name in METRICS[model]]
    assert run.history.notna().all(axis=None)


def test_history_file_holds_the_history(trained):
    run = trained("two_input_two_output")

    written = pd.read_csv(run.folder / "history.csv", index_col="epoch")

    pd.testing.assert_frame_equal(written, run.history, rtol=1e-12, check_index_type=False)


def test_summary_file_counts_the_parameters(trained):
    run = trained("wide_deep")

    assert f"Total params: {run.model.count_params():,}" in (run.folder / "summary.txt").read_text(encoding="utf-8")


def test_run_file_tells_how_the_run_was_made(trained):
    run = trained("two_input_two_output")

    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))

    settings = {"model": "two_input_two_output", "epochs": 2, "batch_size": 2, "learning_rate": 0.01, "seed": 3}
    assert record["settings"].items() >= settings.items()
    assert record["settings"].items() >= {"hidden_units": [16, 8], "branch_units": 12}.items()
    assert record["versions"] == {
        "python": platform.python_version(),
        "keras": keras.version(),
        "tensorflow": version("tensorflow"),
    }
    assert record["backend"] == "tensorflow"
    assert record["data"] == "arrays given to train"
    assert len(record["seconds_an_epoch"]) == 2
    assert record["seconds"] == pytest.approx(sum(record["seconds_an_epoch"]), abs=0.01)
    assert record["test"] == run.test_metrics
    assert record["final_epoch"] == run.history.loc[2].to_dict()


@pytest.mark.parametrize("model", SETTINGS)
def test_test_metrics_are_those_of_the_saved_model(trained, few_digits, model):
    run = trained(model)
    prepare = prepare_two_inputs if model == "two_input_two_output" else prepare_digits

    saved = keras.models.load_model(run.folder / "model.keras")
    # Keras takes the mean of an output's loss over the batches, not over the digits, so it depends on their size.
    batch_size = SETTINGS[model]["batch_size"]
    again = saved.evaluate(*prepare(few_digits).test, batch_size=batch_size, verbose=0, return_dict=True)

    assert set(run.test_metrics) == set(METRICS[model])
    assert again == pytest.approx(run.test_metrics, rel=1e-5)


def test_last_validation_metrics_are_those_of_the_saved_model(trained, few_digits):
    run = trained("sequential")

    saved = keras.models.load_model(run.folder / "model.keras")
    again = saved.evaluate(*prepare_digits(few_digits).validation, verbose=0, return_dict=True)

    assert {f"val_{name}": value for name, value in again.items()} == pytest.approx(
        run.history.filter(like="val_").loc[2].to_dict(), rel=1e-5
    )


def test_training_follows_the_articles_optimizer(trained):
    optimizer = trained("wide_deep").model.optimizer

    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay, optimizer.clipnorm) == (
        0,
        False,
        None,
        None,
    )


@pytest.mark.parametrize("model", SETTINGS)
def test_steps_an_execution_change_no_bit(trained, few_digits, model):
    prepare = prepare_two_inputs if model == "two_input_two_output" else prepare_digits
    labels = prepare(few_digits).train[1]
    count, batch_size = len(keras.tree.flatten(labels)[0]), SETTINGS[model]["batch_size"]
    by_default = trained(model)
    steps = by_default.model.steps_per_execution
    assert 1 < steps < count // batch_size
    assert count % batch_size
    assert -(-count // batch_size) % steps

    assert_same_run(by_default, trained(model, steps_per_execution=1))


def test_steps_that_outnumber_the_batches_change_no_bit(trained):
    assert_same_run(trained("sequential"), trained("sequential", steps_per_execution=1000))


def test_one_seed_gives_one_run_to_the_bit(trained, few_digits, tmp_path):
    first = trained("sequential")
    keras.utils.set_random_seed(99)

    again = train(
        "sequential", epochs=2, seed=3, data=few_digits, out=tmp_path, verbose=False, **SETTINGS["sequential"]
    )

    assert_same_run(first, again)


def test_two_seeds_give_two_runs(trained):
    first, other = trained("sequential"), trained("sequential", seed=4)

    assert (first.history["loss"] != other.history["loss"]).all()


def test_longer_run_begins_as_the_shorter_one(trained):
    first, longer = trained("sequential"), trained("sequential", epochs=3)

    pd.testing.assert_frame_equal(first.history, longer.history.head(2), check_exact=True)


def test_training_lowers_the_loss(few_digits, tmp_path):
    run = train(
        "sequential",
        epochs=6,
        batch_size=8,
        learning_rate=0.1,
        hidden_units=(64, 32),
        data=few_digits,
        out=tmp_path,
        verbose=False,
    )

    assert run.history["loss"].iloc[-1] < 0.5 * run.history["loss"].iloc[0]
    assert run.test_metrics["accuracy"] > 0.6


def test_learning_rate_reaches_the_optimizer(trained):
    run = trained("sequential", learning_rate=0.02)

    assert float(run.model.optimizer.learning_rate) == pytest.approx(0.02)
    assert (run.history["loss"] != trained("sequential").history["loss"]).all()


def test_order_takes_every_digit_once():
    assert sorted(epoch_order(1000, seed=0, epoch=0)) == list(range(1000))


def test_order_is_another_one_each_epoch_and_seed():
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}

    assert len(orders) == 25
    assert tuple(range(50)) not in orders


def test_order_depends_on_seed_and_epoch_alone():
    first = epoch_order(50, seed=7, epoch=3)
    keras.utils.set_random_seed(99)
    epoch_order(50, seed=7, epoch=2)

    np.testing.assert_array_equal(epoch_order(50, seed=7, epoch=3), first)


def what_fit_sees(count, batch_size, steps, seed, epochs, initial_epoch=0):
    """Return the batches that ``fit`` takes of the digits 0 to ``count`` - 1, epoch by epoch."""
    seen = []

    class Recorder(keras.Model):
        def train_step(self, batch):
            x, y = batch
            tf.numpy_function(lambda x, y: seen[-1].append((x.tolist(), y.tolist())), [x, y], [])
            return {"loss": 0.0}

    class NewEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append([])

    digits = np.arange(count)
    dataset = ReshuffledDataset(digits, digits + 1000, batch_size=batch_size, seed=seed)
    model = Recorder()
    model.compile(steps_per_execution=steps)
    callbacks = [dataset, NewEpoch()]
    model.fit(
        dataset.dataset, epochs=epochs, initial_epoch=initial_epoch, shuffle=False, callbacks=callbacks, verbose=0
    )
    return seen


@pytest.mark.parametrize(
    ("count", "batch_size", "steps"),
    [(12, 3, 1), (12, 3, 2), (10, 3, 1), (10, 3, 3), (10, 3, 64), (137, 2, 35), (5, 32, 1), (5, 32, 4), (1, 1, 1)],
)
def test_fit_sees_every_digit_once_an_epoch_in_its_order(count, batch_size, steps):
    epochs = what_fit_sees(count, batch_size, steps, seed=5, epochs=3)

    assert len(epochs) == 3
    for epoch, batches in enumerate(epochs):
        order = epoch_order(count, 5, epoch).tolist()
        expected = [order[i : i + batch_size] for i in range(0, count, batch_size)]
        assert [x for x, _ in batches] == expected
        assert [y for _, y in batches] == [[digit + 1000 for digit in batch] for batch in expected]


def test_resumed_fit_sees_the_order_that_it_would_have_seen():
    whole = what_fit_sees(10, 3, 2, seed=5, epochs=4)
    resumed = what_fit_sees(10, 3, 2, seed=5, epochs=4, initial_epoch=2)

    assert resumed == whole[2:]


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
    ("settings", "error", "message"),
    [
        ({"model": "resnet"}, ValueError, "sequential, wide_deep, two_input_two_output.* Received: 'resnet'"),
        ({"model": None}, ValueError, "Received: None"),
        ({"epochs": 0}, ValueError, "`epochs` should be a whole number .*Received: epochs=0"),
        ({"epochs": -1}, ValueError, "epochs=-1"),
        ({"epochs": 1.5}, ValueError, "epochs=1.5"),
        ({"epochs": True}, ValueError, "epochs=True"),
        ({"epochs": "3"}, ValueError, "epochs='3'"),
        ({"batch_size": 0}, ValueError, "`batch_size` should be a whole number .*Received: batch_size=0"),
        ({"batch_size": 32.0}, ValueError, "batch_size=32.0"),
        ({"learning_rate": 0}, ValueError, "`learning_rate` should be a finite number above zero"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate=-0.1"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate=nan"),
        ({"learning_rate": float("inf")}, ValueError, "learning_rate=inf"),
        ({"learning_rate": "0.1"}, ValueError, "learning_rate='0.1'"),
        ({"seed": -1}, ValueError, "`seed` should be a whole number from 0 to .*Received: seed=-1"),
        ({"seed": 2**32}, ValueError, "seed=4294967296"),
        ({"seed": 0.5}, (TypeError, ValueError), "seed=0.5"),
        ({"steps_per_execution": -1}, ValueError, "`steps_per_execution` should be a whole number .*Received: "),
        ({"hidden_units": (8,)}, ValueError, "`hidden_units` should be two"),
        ({"hidden_units": (8, 0)}, ValueError, "`hidden_units` should .*Received: "),
        ({"hiden_units": (8, 4)}, TypeError, "hiden_units"),
        ({"data": "missing.npz"}, ValueError, "missing.npz should be .* no such file"),
        ({"data": 5}, ValueError, "`data` should be"),
        ({"data": ((np.zeros((4, 784), int), np.arange(4)),) * 2}, ValueError, "`data`: x_train should have the shape"),
        ({"model": "two_input_two_output", "data": (TWO_DIGITS, TWO_DIGITS)}, ValueError, "should .* Received: "),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_no_file(
    few_digits, tmp_path, monkeypatch, settings, error, message
):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(error, match=message):
        train(**{"model": "sequential", "data": few_digits, "verbose": False, **settings})

    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_is_refused_before_training(few_digits, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")

    def fit(*_, **__):
        raise AssertionError("trained although nothing can be written")

    monkeypatch.setattr(keras.Model, "fit", fit)
    with pytest.raises(ValueError, match="`out` should be a folder that can be written. Received: .*file"):
        train("sequential", data=few_digits, out=tmp_path / "file" / "run", verbose=False)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("model", ["sequential", "two_input_two_output"])
def test_run_on_as_many_digits_as_the_article_is_compared(few_digits, tmp_path, capsys, monkeypatch, model):
    monkeypatch.setattr(training, "FULL_TRAIN_DIGITS", len(few_digits[0][0]))

    run = train(model, epochs=1, hidden_units=(4, 4), data=few_digits, out=tmp_path)

    written = pd.read_csv(run.folder / "article_comparison.csv")
    pd.testing.assert_frame_equal(written, compare_with_article(run.history, model), rtol=1e-12)
    assert (run.folder / "article_comparison.png").stat().st_size
    assert "No comparison" not in capsys.readouterr().out
