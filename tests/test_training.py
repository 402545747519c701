"""Training: one seed gives one result, in the order that the seed and the epoch make, with the article's settings."""

import functools
import json
import platform
from importlib.metadata import version

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import assert_same_run

from keras_model_wars import compare_with_article, training
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
SMALL = {"hidden_units": (16, 8), "batch_size": 5}
SETTINGS = {
    "sequential": SMALL,
    "wide_deep": SMALL,
    "shared_layers": SMALL,
    "two_input_two_output": {
        "hidden_units": (16, 8),
        "branch_units": 12,
        "batch_size": 2,
    },
}
METRICS = dict.fromkeys(SETTINGS, ["accuracy", "loss"])
METRICS["two_input_two_output"] = [
    "loss",
    "output_a_accuracy",
    "output_a_loss",
    "output_b_accuracy",
    "output_b_loss",
]
each_model = pytest.mark.parametrize("model", SETTINGS)


@pytest.fixture(scope="module")
def trained(few_digits):
    """Train a small model for two epochs; what was trained with the same settings before is not trained again."""

    @functools.cache
    def run(model, **settings):
        settings = {"epochs": 2, "seed": 3, **SETTINGS[model], **settings}
        return train(model, data=few_digits, verbose=False, **settings)

    return run


@each_model
def test_run_leaves_its_files_one_row_per_epoch_and_the_model_that_has_its_metrics(
    small_runs, few_digits, model
):
    run, splits = small_runs[model], EXPERIMENTS[model].prepare(few_digits)
    assert {path.name for path in run.folder.iterdir() if path.stat().st_size} == FILES
    assert (run.history.index.tolist(), run.history.index.name) == ([1, 2], "epoch")
    assert run.history.columns.tolist() == METRICS[model] + [
        f"val_{name}" for name in METRICS[model]
    ]
    assert run.history.notna().all(axis=None)
    written = (
        pd.read_csv(run.folder / "history.csv", index_col="epoch", dtype=str)
        .astype(float)
        .rename(index=int)
    )
    pd.testing.assert_frame_equal(
        written, run.history, check_exact=True, check_index_type=False
    )
    saved = keras.models.load_model(run.folder / "model.keras")
    assert set(run.test_metrics) == set(METRICS[model])
    last = (
        run.history.filter(like="val_")
        .rename(columns=lambda name: name.removeprefix("val_"))
        .loc[2]
        .to_dict()
    )
    for split, metrics in ((splits.test, run.test_metrics), (splits.validation, last)):
        again = saved.evaluate(*split, batch_size=32, verbose=0, return_dict=True)
        assert again == pytest.approx(metrics, rel=1e-5)


def test_nothing_is_written_where_no_folder_is_named(few_digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # As a notebook's cell that is run twice.
    runs = [
        train(
            "sequential", epochs=1, hidden_units=(8, 4), data=few_digits, verbose=False
        )
        for _ in range(2)
    ]
    assert runs[0].folder is None
    assert_same_run(*runs)
    assert not list(tmp_path.iterdir())


def test_record_tells_how_the_run_was_made(small_runs):
    run = small_runs["two_input_two_output"]
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    settings = {
        "model": "two_input_two_output",
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.01,
        "seed": 3,
    }
    assert record["settings"].items() >= (settings | {"hidden_units": [16, 8]}).items()
    versions = {
        "python": platform.python_version(),
        "keras": keras.version(),
        "tensorflow": version("tensorflow"),
    }
    assert record["versions"] == versions
    assert (record["backend"], record["data"]) == (
        "tensorflow",
        "arrays passed to train",
    )
    assert (record["parameters"], record["api"]) == (
        run.model.count_params(),
        "functional",
    )
    assert "2 inputs: 'input_a', 'input_b'" in record["reasons"]
    assert len(record["seconds_per_epoch"]) == 2
    assert (record["test"], record["final_epoch"]) == (
        run.test_metrics,
        run.history.loc[2].to_dict(),
    )
    assert f"Total params: {run.model.count_params():,}" in (
        run.folder / "summary.txt"
    ).read_text(encoding="utf-8")


def test_settings_are_the_experiments_unless_others_are_asked_for(trained):
    assert {(e.learning_rate, e.batch_size) for e in EXPERIMENTS.values()} == {
        (0.01, 32)
    }
    assert [EXPERIMENTS[model].epochs for model in SETTINGS] == [20, 10, 5, 10]
    sgd = trained("wide_deep").model.optimizer
    assert type(sgd) is keras.optimizers.SGD
    assert float(sgd.learning_rate) == pytest.approx(0.01)
    assert (sgd.momentum, sgd.nesterov, sgd.weight_decay, sgd.clipnorm) == (
        0,
        False,
        None,
        None,
    )
    assert trained("shared_layers").model.optimizer.momentum == 0.9
    other = trained("sequential", learning_rate=0.02)
    assert float(other.model.optimizer.learning_rate) == pytest.approx(0.02)
    assert (other.history["loss"] != trained("sequential").history["loss"]).all()


@each_model
def test_steps_per_execution_change_no_bit(trained, few_digits, model):
    by_default, batch_size = trained(model), SETTINGS[model]["batch_size"]
    count = len(keras.tree.flatten(EXPERIMENTS[model].prepare(few_digits).train[1])[0])
    steps = by_default.model.steps_per_execution
    assert 1 < steps < count // batch_size
    assert 0 not in (count % batch_size, -(-count // batch_size) % steps)
    assert_same_run(by_default, trained(model, steps_per_execution=1))


def test_one_seed_gives_one_run_in_every_spelling_of_the_network_and_another_seed_another(
    trained, few_digits
):
    first = trained("sequential")
    for model in ("sequential", "functional_twin", "added_sequential"):
        keras.utils.set_random_seed(99)
        again = train(
            model,
            epochs=2,
            seed=3,
            data=few_digits,
            verbose=False,
            **SETTINGS["sequential"],
        )
        assert_same_run(first, again)
    assert (
        first.history["loss"] != trained("sequential", seed=4).history["loss"]
    ).all()
    pd.testing.assert_frame_equal(
        first.history, trained("sequential", epochs=3).history.head(2), check_exact=True
    )


def test_epoch_order_takes_every_digit_once_and_depends_on_seed_and_epoch_only():
    orders = {
        tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert tuple(range(50)) not in orders
    first = epoch_order(50, seed=7, epoch=3)
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(epoch_order(50, seed=7, epoch=3), first)


def what_fit_sees(count, batch_size, steps, **epochs):
    """Return the batches that ``fit`` takes of the digits 0 to ``count`` - 1, epoch by epoch."""
    seen, digits = [], np.arange(count)

    class Recorder(keras.Model):
        def train_step(self, batch):
            tf.numpy_function(
                lambda x, y: seen[-1].append((x.tolist(), y.tolist())), batch, []
            )
            return {"loss": 0.0}

    order = ReshuffledDataset(digits, digits + 1000, batch_size=batch_size, seed=5)
    new_epoch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append([])
    )
    model = Recorder()
    model.compile(steps_per_execution=steps)
    model.fit(
        order.dataset, shuffle=False, callbacks=[order, new_epoch], verbose=0, **epochs
    )
    return seen


@pytest.mark.parametrize(
    ("count", "batch_size", "steps"),
    [(12, 3, 1), (10, 3, 3), (10, 3, 64), (137, 2, 35), (5, 32, 4), (1, 1, 1)],
)
def test_fit_sees_every_digit_once_per_epoch_in_its_order(count, batch_size, steps):
    epochs = what_fit_sees(count, batch_size, steps, epochs=3)
    for epoch, batches in enumerate(epochs):
        order = epoch_order(count, 5, epoch).tolist()
        expected = [order[i : i + batch_size] for i in range(0, count, batch_size)]
        assert batches == [
            (batch, [digit + 1000 for digit in batch]) for batch in expected
        ]
    assert len(epochs) == 3
    assert (
        what_fit_sees(count, batch_size, steps, epochs=3, initial_epoch=2) == epochs[2:]
    )


def test_inputs_and_outputs_of_two_are_shuffled_together():
    digits = np.arange(10)
    x, y = (
        {"input_a": digits, "input_b": digits + 100},
        {"output_a": digits + 200, "output_b": digits + 300},
    )
    reshuffled = ReshuffledDataset(x, y, batch_size=4, seed=0)
    batches = list(reshuffled.dataset)
    assert len(batches) == len(reshuffled.dataset) == 3
    for part, name, first in (
        (0, "input_a", 0),
        (0, "input_b", 100),
        (1, "output_a", 200),
        (1, "output_b", 300),
    ):
        seen = np.concatenate([batch[part][name] for batch in batches])
        np.testing.assert_array_equal(seen, epoch_order(10, 0, 0) + first)


def test_folder_that_cannot_be_written_is_refused_before_training(
    few_digits, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(
        keras.Model,
        "fit",
        lambda *_, **__: pytest.fail("trained although nothing can be written"),
    )
    with pytest.raises(OSError, match="file"):
        train(
            "sequential", data=few_digits, out=tmp_path / "file" / "run", verbose=False
        )
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_builder_that_returns_no_model_is_named(few_digits, monkeypatch):
    monkeypatch.setattr("keras_model_wars.models.build_sequential", lambda **_: None)
    with pytest.raises(
        RuntimeError,
        match=r"build_sequential \(.*line \d+\) should return a Keras model.*: None",
    ):
        train("sequential", data=few_digits)


@pytest.mark.parametrize(
    ("model", "settings"),
    [("two_input_two_output", {}), ("sequential", {"learning_rate": 1e30})],
)
def test_run_on_all_digits_is_compared_even_if_it_diverges(
    model, settings, few_digits, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(training, "FULL_TRAIN_DIGITS", len(few_digits[0][0]))
    run = train(
        model, epochs=1, hidden_units=(16, 8), data=few_digits, out=tmp_path, **settings
    )
    assert {path.name for path in tmp_path.iterdir()} == FILES | {
        "article_comparison.csv",
        "article_comparison.png",
    }
    written, expected = (
        pd.read_csv(tmp_path / "article_comparison.csv"),
        compare_with_article(run.history, model),
    )
    pd.testing.assert_frame_equal(
        written.select_dtypes("number"), expected.select_dtypes("number"), rtol=1e-12
    )
    assert "No comparison" not in capsys.readouterr().out
    record = json.loads(
        (tmp_path / "run.json").read_text(),
        parse_constant=lambda name: pytest.fail(name),
    )
    assert (record["final_epoch"]["loss"] is None) == bool(settings)
    assert np.isfinite(run.history["loss"].iloc[-1]) != bool(settings)


def test_many_models_in_one_process_bring_no_word_of_retracing(capfd):
    for _ in range(7):
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).predict(
            np.zeros((3, 4)), verbose=0
        )
    assert capfd.readouterr().err == ""
