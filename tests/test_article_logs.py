"""The article's logs, our seeds, and the comparison of a run with both."""

import keras
import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from keras_model_wars import (
    article_log,
    compare_with_article,
    how_typical,
    prediction_interval,
    seed_histories,
)
from keras_model_wars.article_logs import LOGGED_MODELS, as_history

EPOCHS = {"sequential": 20, "wide_deep": 10, "two_input_two_output": 10}
PRINTED = [
    ("sequential", 1, "loss", 0.6153),
    ("sequential", 1, "val_accuracy", 0.9114),
    ("sequential", 20, "accuracy", 0.9858),
    ("sequential", 20, "val_loss", 0.0801),
    ("sequential", 7, "seconds", 6),
    ("wide_deep", 1, "accuracy", 0.8582),
    ("wide_deep", 2, "val_loss", 0.2139),
    ("wide_deep", 6, "seconds", 221),
    ("two_input_two_output", 1, "loss", 1.8279),
    ("two_input_two_output", 1, "val_output_a_loss", 0.5220),
    ("two_input_two_output", 10, "output_a_loss", 0.1304),
    ("two_input_two_output", 10, "val_output_b_accuracy", 0.9349),
]
each_model = pytest.mark.parametrize("model", LOGGED_MODELS)


@pytest.mark.parametrize(("model", "epoch", "metric", "printed"), PRINTED)
def test_log_holds_what_the_article_printed(model, epoch, metric, printed):
    log = article_log(model)
    assert log.loc[epoch, metric] == printed
    assert log.index.tolist() == list(range(1, EPOCHS[model] + 1))
    assert not log.isna().any(axis=None)


def test_logs_losses_of_the_outputs_sum_to_the_loss():
    log = article_log("two_input_two_output")
    for part in ("", "val_"):
        sums = log[f"{part}output_a_loss"] + log[f"{part}output_b_loss"]
        np.testing.assert_allclose(sums, log[f"{part}loss"], atol=1e-3)


@each_model
def test_seeds_are_full_runs_and_seed_0_is_not_among_them(model):
    histories, samples, log = (
        seed_histories(model),
        seed_histories(model, sample=True),
        article_log(model),
    )
    assert (len(histories), len(samples)) == (20 if model == "sequential" else 9, 20)
    for history in histories:
        assert sorted(history) == sorted(set(log) - {"seconds"})
        assert history.index.tolist() == log.index.tolist()
    committed = pd.read_csv(ROOT / "figures" / model / "history.csv", index_col="epoch")
    assert not [
        history
        for history in histories
        if np.allclose(history["loss"], committed["loss"], rtol=1e-4)
    ]
    assert (
        len({history["loss"].iloc[0] for history in histories + samples})
        == len(histories) + 20
    )


# From a table of Student's t: 97.5 % and 95 % with four degrees of freedom.
@pytest.mark.parametrize(("confidence", "t"), [(0.95, 2.776), (0.90, 2.132)])
def test_prediction_interval_is_the_one_of_the_textbooks(confidence, t):
    values = [0.2, 0.4, 0.5, 0.7, 1.2]
    interval = prediction_interval([{"loss": [9.0 + v, v]} for v in values], confidence)
    row = interval.loc[(2, "loss")]
    reach = t * np.std(values, ddof=1) * np.sqrt(1 + 1 / 5)
    assert interval.index.names == ["epoch", "metric"]
    assert (interval.loc[(1, "loss"), "mean"], row["mean"]) == pytest.approx((9.6, 0.6))
    assert (row["high"] - 0.6, 0.6 - row["low"]) == pytest.approx(
        (reach, reach), rel=1e-3
    )


def test_distance_is_the_root_mean_square_of_standardized_differences():
    runs = [[1.0, 5.0], [0.2, 5.1], [0.4, 5.3], [0.9, 5.6]]
    one, *others = ({"loss": run} for run in runs)
    typical = how_typical(one, others)

    def distance(run, rest):
        z = [
            (v - np.mean(r)) / (np.std(r, ddof=1) * np.sqrt(1 + 1 / 3))
            for v, r in zip(run, np.transpose(rest))
        ]
        return np.sqrt(np.mean(np.square(z)))

    expected = [
        distance(run, runs[:place] + runs[place + 1 :])
        for place, run in enumerate(runs)
    ]
    assert (typical.distance, *typical.others) == pytest.approx(tuple(expected))
    assert typical.farther == sum(other > expected[0] for other in expected[1:])
    assert how_typical({"loss": [30.0, 5.0]}, others).farther == 0


LOSSES = {"loss": [0.5, 0.25]}


def fitted(*epochs):
    history = keras.callbacks.History()
    history.epoch, history.history = [*epochs], LOSSES
    return history


HISTORIES = [
    (fitted(0, 1), [1, 2]),
    (fitted(5, 6), [6, 7]),
    (LOSSES, [1, 2]),
    (pd.DataFrame(LOSSES), [1, 2]),
    (pd.DataFrame({"epoch": [0, 1]} | LOSSES), [1, 2]),
    (pd.DataFrame(LOSSES, [3, 4]).rename_axis("epoch"), [3, 4]),
]


@pytest.mark.parametrize(("history", "epochs"), HISTORIES)
def test_histories_are_taken_as_keras_gives_them(history, epochs):
    taken = as_history(history)
    assert (taken.index.tolist(), taken.index.name) == (epochs, "epoch")
    assert taken.to_dict("list") == LOSSES


@each_model
def test_comparison_lays_run_article_and_interval_beside_each_other(model):
    log = article_log(model).drop(columns="seconds")
    run = log[sorted(log)] * np.linspace(0.9, 1.1, len(log))[:, None]
    comparison = compare_with_article(
        run.reset_index(drop=True), model
    )  # as usual in pandas, counted from 0
    interval = prediction_interval(seed_histories(model))
    expected = [(epoch, metric) for epoch in log.index for metric in sorted(log)]
    assert list(zip(comparison["epoch"], comparison["metric"])) == expected
    for row in comparison.itertuples():
        place = (row.epoch, row.metric)
        assert (row.measured, row.article) == (run.loc[place], log.loc[place])
        assert row.difference == row.measured - row.article
        mean, low, high = interval.loc[place]
        assert (row.mean, row.low, row.high) == (mean, low, high)
        assert (row.inside, row.article_inside) == (
            low <= row.measured <= high,
            low <= row.article <= high,
        )
    assert 0 < comparison["inside"].sum() < len(comparison)


def test_epochs_that_one_of_both_lacks_are_left_out_and_diverged_ones_are_not_inside():
    log = article_log("wide_deep").drop(columns="seconds")
    longer = pd.concat([log, log.tail(1).rename(index={10: 11})])
    longer.loc[3, "loss"] = np.nan
    comparison = compare_with_article(longer.tail(9), "wide_deep")
    assert comparison["epoch"].unique().tolist() == list(range(3, 11))
    assert not comparison.query("epoch == 3 and metric == 'loss'")["inside"].item()
