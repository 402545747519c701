"""The article's logs, our seeds, and the comparison of a run with both."""

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from conftest import ROOT
from keras_model_wars import (
    InputError,
    article_log,
    compare_with_article,
    how_typical,
    prediction_interval,
    seed_histories,
)
from keras_model_wars.article_logs import LOGGED_MODELS, as_history

NAN = float("nan")
LOG = article_log("sequential").drop(columns="seconds")
SEEDS = seed_histories("sequential")
each_model = pytest.mark.parametrize("model", LOGGED_MODELS)


@pytest.mark.parametrize(
    ("model", "epoch", "metric", "printed"),
    [
        ("sequential", 1, "val_accuracy", 0.9114),
        ("sequential", 20, "val_loss", 0.0801),
        ("wide_deep", 2, "val_loss", 0.2139),
        ("wide_deep", 6, "seconds", 221),
        ("two_input_two_output", 10, "output_a_loss", 0.1304),
        ("two_input_two_output", 10, "val_output_b_accuracy", 0.9349),
    ],
)
def test_log_holds_what_the_article_printed(model, epoch, metric, printed):
    assert article_log(model).loc[epoch, metric] == printed


@each_model
def test_log_and_seeds_have_the_articles_epochs_and_metrics(model):
    log = article_log(model)
    epochs = 20 if model == "sequential" else 10
    assert log.index.tolist() == list(range(1, epochs + 1))
    assert not log.isna().any(axis=None)
    for history in seed_histories(model):
        assert history.index.equals(log.index)
        assert sorted(history) == sorted(log.drop(columns="seconds"))


def test_losses_of_the_outputs_sum_to_the_loss():
    log = article_log("two_input_two_output")
    for part in ("", "val_"):
        total = log[f"{part}output_a_loss"] + log[f"{part}output_b_loss"]
        assert_allclose(total, log[f"{part}loss"], atol=1e-3)


@each_model
def test_seeds_differ_and_seed_0_is_not_among_them(model):
    full = seed_histories(model)
    samples = seed_histories(model, sample=True)
    assert len(full) == (20 if model == "sequential" else 9)
    assert len(samples) == 20
    firsts = [history.loc[1, "loss"] for history in full + samples]
    assert len(set(firsts)) == len(firsts)
    seed_0 = pd.read_csv(ROOT / "figures" / model / "history.csv", index_col="epoch")
    assert not np.isclose(firsts, seed_0.loc[1, "loss"], rtol=1e-4).any()


@pytest.mark.parametrize("function", [article_log, seed_histories])
@pytest.mark.parametrize("model", ["shared_layers", None])
def test_model_without_a_log_is_refused(function, model):
    with pytest.raises(InputError, match="sequential, wide_deep, two_input_two_output"):
        function(model)


# From a table of Student's t: 97.5% and 95% with four degrees of freedom.
@pytest.mark.parametrize(("confidence", "t"), [(0.95, 2.776), (0.90, 2.132)])
def test_prediction_interval_is_the_one_of_the_textbooks(confidence, t):
    values = [0.2, 0.4, 0.5, 0.7, 1.2]
    histories = [{"loss": [9.0 + value, value]} for value in values]
    interval = prediction_interval(histories, confidence)
    reach = t * np.std(values, ddof=1) * np.sqrt(1 + 1 / 5)
    assert interval.index.names == ["epoch", "metric"]
    assert interval.loc[(1, "loss"), "mean"] == pytest.approx(9.6)
    expected = [0.6, 0.6 - reach, 0.6 + reach]
    assert interval.loc[(2, "loss")].tolist() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("confidence", [95, 0, "0.95"])
def test_confidence_that_is_no_probability_is_refused(confidence):
    with pytest.raises(InputError, match="between 0 and 1.*Received: confidence="):
        prediction_interval(SEEDS, confidence)


def distance(run, others):
    unit = np.std(others, axis=0, ddof=1) * np.sqrt(1 + 1 / len(others))
    z = (np.array(run) - np.mean(others, axis=0)) / unit
    return np.sqrt(np.mean(z**2))


def test_distance_is_the_root_mean_square_of_standardized_differences():
    runs = [[1.0, 5.0], [0.2, 5.1], [0.4, 5.3], [0.9, 5.6]]
    first, *others = [{"loss": run} for run in runs]
    typical = how_typical(first, others)
    expected = [distance(run, runs[:i] + runs[i + 1 :]) for i, run in enumerate(runs)]
    assert [typical.distance, *typical.others] == pytest.approx(expected)
    assert typical.farther == sum(other > expected[0] for other in expected[1:])
    assert how_typical({"loss": [30.0, 5.0]}, others).farther == 0


ONE = {"loss": [1.0]}
THREE = [{"loss": [0.0]}, {"loss": [1.0]}, {"loss": [2.0]}]
LATER = pd.DataFrame(ONE, pd.Index([101], name="epoch"))


@pytest.mark.parametrize(
    ("history", "histories", "message"),
    [
        (ONE, [ONE] * 3, "`loss` should differ .* the same value in epoch 1"),
        ({"loss": [NAN]}, THREE, "`loss` should be finite .* in epoch 1"),
        (ONE, THREE[:2], "list of 3 or more. Received: 2 of them"),
        (ONE, SEEDS[0], "list of 3 or more. Received: DataFrame"),
        (LATER, THREE, "in common"),
        (None, THREE, "`history` should be what `fit` returned.*Received: NoneType"),
    ],
)
def test_histories_that_give_no_distance_are_refused(history, histories, message):
    with pytest.raises(InputError, match=message):
        how_typical(history, histories)


def test_interval_of_a_diverged_run_is_refused():
    with pytest.raises(InputError, match="`loss` should be finite .* in epoch 1"):
        prediction_interval([*THREE, {"loss": [np.inf]}])


def fitted(epochs, **metrics):
    history = keras.callbacks.History()
    history.epoch = list(epochs)
    history.history = metrics
    return history


def table(epochs, **columns):
    return pd.DataFrame({"loss": [0.5, 0.25]} | columns, pd.Index(epochs, name="epoch"))


TWO = {"loss": [0.5, 0.25]}


@pytest.mark.parametrize(
    ("history", "epochs"),
    [
        (fitted([0, 1], **TWO), [1, 2]),
        (fitted([5, 6], **TWO), [6, 7]),
        (TWO, [1, 2]),
        ({"loss": np.array([0.5, 0.25])}, [1, 2]),
        (pd.DataFrame(TWO), [1, 2]),
        (pd.DataFrame(TWO, [8, 9]), [1, 2]),
        (table([3, 4]), [3, 4]),
        (table([0, 1]), [1, 2]),
        (pd.DataFrame(TWO | {"epoch": [0, 1]}), [1, 2]),
        (pd.DataFrame(TWO | {"epoch": [5, 6]}), [5, 6]),
    ],
)
def test_history_keeps_its_epochs_counted_from_1(history, epochs):
    taken = as_history(history)
    assert taken.index.tolist() == epochs
    assert taken.index.name == "epoch"
    assert taken.to_dict("list") == TWO


@pytest.mark.parametrize(
    ("epochs", "count", "validated"),
    [
        (range(4), 2, [2, 4]),
        (range(7), 3, [2, 4, 6]),
        (range(10), 5, [2, 4, 6, 8, 10]),
        (range(5, 10), 3, [6, 8, 10]),
    ],
)
def test_validation_values_are_placed_as_validation_freq_does(epochs, count, validated):
    values = np.arange(count) / 8
    history = fitted(epochs, loss=[1.0] * len(epochs), val_loss=list(values))
    placed = as_history(history)["val_loss"]
    assert len(placed) == len(epochs)
    assert placed.dropna().index.tolist() == validated
    assert_array_equal(placed.dropna(), values)


@pytest.mark.parametrize(
    ("name", "count"), [("val_loss", 2), ("val_loss", 12), ("val_a", 0), ("a", 5)]
)
def test_values_of_unknown_epochs_are_refused_by_name_and_lengths(name, count):
    history = {"loss": [1.0] * 11, name: [0.5] * count}
    received = f"`{name}` should hold .* Received: values={count}, epochs=11"
    with pytest.raises(InputError, match=received):
        as_history(history)


def test_validation_of_a_resumed_run_is_refused_if_several_frequencies_fit():
    with pytest.raises(InputError, match="values=1, epochs=3"):
        as_history(fitted([2, 3, 4], loss=[1.0] * 3, val_loss=[0.5]))


@pytest.mark.parametrize(
    "values", [[[0.1, 0.2]] * 2, np.ones((2, 3)), ['"[1, 2]"'] * 2]
)
def test_metric_with_a_value_per_class_is_refused_by_name(values):
    with pytest.raises(
        InputError, match="`f1_score` should hold one .*average='macro'"
    ):
        as_history(TWO | {"f1_score": values})


@pytest.mark.parametrize("epochs", [[1, 1], [0.5, 1.0], ["a", "b"], [0, NAN]])
def test_epochs_that_are_not_one_per_row_are_refused(epochs):
    for history in (table(epochs), pd.DataFrame(TWO | {"epoch": epochs})):
        with pytest.raises(InputError, match="`history` should have one row per epoch"):
            as_history(history)


@pytest.mark.parametrize(
    "history",
    [None, [0.5], {"accuracy": [0.5]}, {"loss": []}, {"loss": 0.5}, fitted([])],
)
def test_what_is_no_history_is_refused(history):
    with pytest.raises(InputError, match=r"what `fit` returned.* with columns \["):
        as_history(history)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A history with validation_freq=2, and the file of its CSVLogger."""
    path = tmp_path_factory.mktemp("logged") / "log.csv"
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.ones((4, 1))
    logger = keras.callbacks.CSVLogger(path)
    settings = {"validation_freq": 2, "callbacks": [logger], "verbose": 0}
    history = model.fit(x, x, epochs=4, validation_data=(x, x), **settings)
    return history, path


@pytest.mark.parametrize("index_col", ["epoch", None])
def test_file_of_csvlogger_is_the_history_that_fit_returned(logged, index_col):
    history, path = logged
    expected = as_history(history)
    taken = as_history(pd.read_csv(path, index_col=index_col))
    assert expected["val_loss"].dropna().index.tolist() == [2, 4]
    pd.testing.assert_frame_equal(taken, expected, check_like=True)


def test_index_that_was_written_without_a_name_is_no_metric(tmp_path):
    pd.DataFrame({"loss": [0.9, 0.5]}).to_csv(tmp_path / "history.csv")
    history = as_history(pd.read_csv(tmp_path / "history.csv"))
    assert history.columns.tolist() == ["loss"]


@pytest.mark.parametrize("index_col", ["epoch", None])
def test_log_counted_from_0_is_compared_at_the_same_epochs(tmp_path, index_col):
    LOG.rename(index=lambda epoch: epoch - 1).to_csv(tmp_path / "log.csv")
    run = pd.read_csv(tmp_path / "log.csv", index_col=index_col)
    assert how_typical(run, SEEDS) == how_typical(LOG, SEEDS)
    comparison = compare_with_article(run, "sequential")
    assert (comparison["difference"] == 0).all()
    assert len(comparison) == LOG.size


@pytest.fixture
def gaps():
    """The article's log as if every other epoch had been validated."""
    gaps = LOG.copy()
    gaps.loc[::2, ["val_loss", "val_accuracy"]] = NAN
    return gaps


def test_epochs_without_validation_are_left_out_of_the_comparison(gaps):
    comparison = compare_with_article(gaps, "sequential")
    complete = compare_with_article(LOG, "sequential")
    unvalidated = complete.query("epoch % 2 == 1 and metric.str.startswith('val_')")
    assert_array_equal(comparison, complete.drop(unvalidated.index))


def test_epochs_without_validation_are_left_out_of_the_distance(gaps):
    measured = gaps.unstack().dropna()
    others = [seed.unstack()[measured.index] for seed in SEEDS]
    typical = how_typical(gaps, SEEDS)
    assert typical.distance == pytest.approx(distance(measured, others))


def test_epochs_without_validation_are_left_out_of_the_interval(gaps):
    interval = prediction_interval([gaps, LOG])
    assert len(interval) == gaps.notna().sum().sum()
    assert not interval.isna().any(axis=None)


@each_model
def test_comparison_lays_run_article_and_interval_beside_each_other(model):
    log = article_log(model).drop(columns="seconds")
    run = log * np.linspace(0.9, 1.1, len(log))[:, None]
    comparison = compare_with_article(run, model).set_index(["epoch", "metric"])
    article = log.stack().sort_index()
    measured = run.stack().sort_index()
    interval = prediction_interval(seed_histories(model)).sort_index()
    assert comparison.index.equals(interval.index)
    assert_array_equal(comparison["article"], article)
    assert_array_equal(comparison["measured"], measured)
    assert_array_equal(comparison["difference"], measured - article)
    assert_array_equal(comparison[["mean", "low", "high"]], interval)
    low, high = interval["low"].array, interval["high"].array
    assert_array_equal(comparison["inside"], measured.between(low, high))
    assert_array_equal(comparison["article_inside"], article.between(low, high))
    assert comparison["inside"].nunique() == 2


def test_epochs_that_one_of_both_lacks_are_left_out_and_diverged_ones_are_outside():
    log = article_log("wide_deep").drop(columns="seconds")
    longer = pd.concat([log, log.tail(1).rename(index={10: 11})])
    longer.loc[3, "loss"] = NAN
    comparison = compare_with_article(longer.tail(9), "wide_deep")
    assert comparison["epoch"].unique().tolist() == list(range(3, 11))
    assert not comparison.query("epoch == 3 and metric == 'loss'")["inside"].item()


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (LOG.drop(columns=["accuracy"]), "the metrics loss, .* without accuracy"),
        (LOG.assign(val_loss=NAN, val_accuracy=NAN), "without val_accuracy, val_loss"),
        (LOG.rename(index=lambda epoch: epoch + 100), "epochs from 1 to 20.* 101 to"),
    ],
)
def test_history_without_the_articles_metrics_or_epochs_is_refused(history, message):
    with pytest.raises(InputError, match=message):
        compare_with_article(history, "sequential")


@pytest.mark.parametrize(("epochs", "count"), [(3, 1), (6, 1), (10, 2)])
def test_validation_values_of_several_possible_epochs_are_refused(epochs, count):
    history = {"loss": [1.0] * epochs, "val_loss": [0.5] * count}
    with pytest.raises(InputError, match="`val_loss` should hold one value per epoch"):
        as_history(history)
