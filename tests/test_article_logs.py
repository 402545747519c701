"""The article's logs, our seeds, and the comparison of a run with both."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from keras_model_wars import article_log, compare_with_article, how_typical, prediction_interval, seed_histories
from keras_model_wars.article_logs import LOGGED_MODELS, as_history

FIGURES = Path(__file__).parents[1] / "figures"
EPOCHS = {"sequential": 20, "wide_deep": 10, "two_input_two_output": 10}


@pytest.mark.parametrize(
    ("model", "epoch", "metric", "printed"),
    [
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
    ],
)
def test_log_holds_what_the_article_printed(model, epoch, metric, printed):
    log = article_log(model)
    assert log.loc[epoch, metric] == printed
    assert log.index.tolist() == list(range(1, EPOCHS[model] + 1))
    assert not log.isna().any(axis=None)


def test_logs_losses_of_the_outputs_sum_to_the_loss():
    log = article_log("two_input_two_output")
    np.testing.assert_allclose(log["output_a_loss"] + log["output_b_loss"], log["loss"], atol=1e-3)
    np.testing.assert_allclose(log["val_output_a_loss"] + log["val_output_b_loss"], log["val_loss"], atol=1e-3)


@pytest.mark.parametrize("function", [article_log, seed_histories])
@pytest.mark.parametrize("model", ["resnet", "", None])
def test_log_of_an_unknown_model_is_refused(function, model):
    with pytest.raises(ValueError, match="sequential, wide_deep, two_input_two_output. Received: "):
        function(model)


@pytest.mark.parametrize(("model", "seeds"), [("sequential", 20), ("wide_deep", 9), ("two_input_two_output", 9)])
def test_seeds_are_full_runs_and_seed_0_is_not_among_them(model, seeds):
    histories, log = seed_histories(model), article_log(model)
    assert len(histories) == seeds
    for history in histories:
        assert sorted(history) == sorted(set(log) - {"seconds"})
        assert history.index.tolist() == log.index.tolist()
    committed = pd.read_csv(FIGURES / model / "history.csv", index_col="epoch")
    assert not [history for history in histories if np.allclose(history["loss"], committed["loss"], rtol=1e-4)]
    samples = seed_histories(model, sample=True)
    assert len(samples) == 20
    assert len({history["loss"].iloc[0] for history in [*histories, *samples]}) == seeds + 20


# From a table of Student's t: 97.5 % and 95 % with four degrees of freedom.
@pytest.mark.parametrize(("confidence", "t"), [(0.95, 2.776), (0.90, 2.132)])
def test_prediction_interval_is_the_one_of_the_textbooks(confidence, t):
    values = [0.2, 0.4, 0.5, 0.7, 1.2]
    interval = prediction_interval([{"loss": [9.0 + v, v]} for v in values], confidence)
    row = interval.loc[(2, "loss")]
    reach = t * np.std(values, ddof=1) * np.sqrt(1 + 1 / 5)
    assert interval.index.names == ["epoch", "metric"]
    assert row["mean"] == pytest.approx(0.6)
    assert (row["high"] - 0.6, 0.6 - row["low"]) == pytest.approx((reach, reach), rel=1e-3)
    assert interval.loc[(1, "loss"), "mean"] == pytest.approx(9.6)


def test_interval_holds_one_more_run_as_often_as_it_says():
    runs = np.random.default_rng(0).normal(size=(150, 6, 5))
    inside = []
    for *others, one in runs:
        row = prediction_interval([{"loss": list(other)} for other in others])
        inside += [low <= value <= high for value, low, high in zip(one, row["low"], row["high"])]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)


def test_distance_is_the_root_mean_square_of_standardized_differences():
    one, others = {"loss": [1.0, 5.0]}, [{"loss": [0.2, 5.1]}, {"loss": [0.4, 5.3]}, {"loss": [0.9, 5.6]}]
    typical = how_typical(one, others)

    def distance(run, rest):
        z = [(v - np.mean(r)) / (np.std(r, ddof=1) * np.sqrt(1 + 1 / 3)) for v, r in zip(run, np.transpose(rest))]
        return np.sqrt(np.mean(np.square(z)))

    runs = [one["loss"], *(other["loss"] for other in others)]
    expected = [distance(run, runs[:place] + runs[place + 1 :]) for place, run in enumerate(runs)]
    assert (typical.distance, *typical.others) == pytest.approx(tuple(expected))
    assert typical.farther == sum(other > expected[0] for other in expected[1:])


def test_rank_of_a_run_like_the_others_is_uniform_and_another_is_the_farthest():
    random = np.random.default_rng(0)

    def histories(count, shift=0.0):
        walks = random.normal(size=(count, 6)).cumsum(axis=1) + shift  # epochs that are correlated
        return [{"loss": list(walk)} for walk in walks]

    ranks = [how_typical(*histories(1), histories(9)).farther for _ in range(150)]
    assert stats.chisquare(np.bincount(ranks, minlength=10)).pvalue > 0.001
    assert all(how_typical(*histories(1, shift=30.0), histories(9)).farther == 0 for _ in range(20))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (how_typical, ({"loss": [1.0]}, [{"loss": [1.0]}] * 3), "`loss` should differ .* no spread in epoch 1"),
        (how_typical, ({"loss": [1.0]}, [{"loss": [1.0]}, {"loss": [2.0]}]), "three or more"),
        (how_typical, ({"loss": [np.nan]}, [{"loss": [float(n)]} for n in range(4)]), "finite numbers"),
        (how_typical, ({"loss": [1.0], "a": [1]}, 3), "`histories` should be"),
        (how_typical, ({"loss": [1.0]}, [pd.DataFrame({"loss": [1.0]}, pd.Index([7], name="epoch"))] * 3), "in common"),
        (prediction_interval, ([{"loss": [1.0]}],), "two or more"),
        (prediction_interval, ([{"loss": [1.0]}, {"loss": [2.0]}], 95), "between 0 and 1. Received: confidence=95"),
    ],
)
def test_histories_that_cannot_be_compared_are_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def fitted(epochs, losses):
    history = keras.callbacks.History()
    history.epoch, history.history = epochs, {"loss": losses}
    return history


@pytest.mark.parametrize(
    ("history", "epochs"),
    [
        (fitted([0, 1], [0.5, 0.25]), [1, 2]),
        (fitted([5, 6], [0.5, 0.25]), [6, 7]),
        ({"loss": [0.5, 0.25]}, [1, 2]),
        (pd.DataFrame({"loss": [0.5, 0.25]}), [1, 2]),
        (pd.DataFrame({"epoch": [0, 1], "loss": [0.5, 0.25]}), [1, 2]),
        (pd.DataFrame({"loss": [0.5, 0.25]}, pd.Index([3, 4], name="epoch")), [3, 4]),
    ],
)
def test_histories_are_taken_as_keras_gives_them(history, epochs):
    taken = as_history(history)
    assert (taken.index.tolist(), taken.index.name) == (epochs, "epoch")
    assert taken.to_dict("list") == {"loss": [0.5, 0.25]}


@pytest.mark.parametrize(
    "history",
    [
        None,
        [0.5],
        {"accuracy": [0.5]},
        {"loss": []},
        {"loss": ["x"]},
        {"loss": [1.0], "a": [1, 2]},
        pd.DataFrame({"loss": [1.0, 2.0]}, pd.Index([1, 1], name="epoch")),
    ],
)
def test_what_is_no_history_is_refused(history):
    with pytest.raises(ValueError, match="`history` should .* Received: "):
        as_history(history)


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_comparison_lays_run_article_and_interval_beside_each_other(model):
    log = article_log(model).drop(columns="seconds")
    run = log[sorted(log)] * np.linspace(0.9, 1.1, len(log))[:, None]
    comparison = compare_with_article(run, model)
    interval = prediction_interval(seed_histories(model))
    expected = [(epoch, metric) for epoch in log.index for metric in sorted(log)]
    assert list(zip(comparison["epoch"], comparison["metric"])) == expected
    for row in comparison.itertuples():
        assert row.measured == run.loc[row.epoch, row.metric]
        assert row.article == log.loc[row.epoch, row.metric]
        assert row.difference == row.measured - row.article
        mean, low, high = interval.loc[(row.epoch, row.metric)]
        assert (row.mean, row.low, row.high) == (mean, low, high)
        assert row.inside == (low <= row.measured <= high)
        assert row.article_inside == (low <= row.article <= high)
    assert 0 < comparison["inside"].sum() < len(comparison)


def test_comparison_takes_what_fit_returned_epoch_by_epoch():
    log = article_log("sequential").drop(columns="seconds").reset_index(drop=True)  # the usual idiom counts from 0
    comparison = compare_with_article(log, "sequential")
    assert (comparison["difference"] == 0).all()
    assert comparison["epoch"].unique().tolist() == list(range(1, 21))


def test_epochs_that_one_of_both_lacks_are_left_out_and_diverged_ones_are_not_inside():
    log = article_log("wide_deep").drop(columns="seconds")
    longer = pd.concat([log, log.tail(1).rename(index={10: 11})])
    longer.loc[3, "loss"] = np.nan
    comparison = compare_with_article(longer.tail(9), "wide_deep")
    assert comparison["epoch"].unique().tolist() == list(range(3, 11))
    assert not comparison.query("epoch == 3 and metric == 'loss'")["inside"].item()


def test_history_without_the_articles_metrics_or_epochs_is_refused():
    log = article_log("sequential")
    with pytest.raises(ValueError, match="without accuracy, val_loss"):
        compare_with_article(log.drop(columns=["accuracy", "val_loss"]), "sequential")
    with pytest.raises(ValueError, match="epochs from 1 to 20"):
        compare_with_article(log.rename(index=lambda epoch: epoch + 100), "sequential")
