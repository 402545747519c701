"""The article's logs, our seeds, and the comparison of a run with both."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import keras_model_wars as kmw
from conftest import ROOT
from keras_model_wars.article_logs import LOGGED_MODELS, as_history

NAN = float("nan")
SEEDS = kmw.seed_histories("sequential")


@pytest.mark.parametrize(
    ("model", "epoch", "metric", "printed"),
    [
        ("sequential", 20, "val_loss", 0.0801),
        ("wide_deep", 6, "seconds", 221),
        ("two_input_two_output", 10, "val_output_b_accuracy", 0.9349),
    ],
)
def test_log_holds_what_the_article_printed(model, epoch, metric, printed):
    assert kmw.article_log(model).loc[epoch, metric] == printed


@pytest.mark.parametrize(
    ("model", "epochs", "seeds"),
    [("sequential", 20, 20), ("wide_deep", 10, 9), ("two_input_two_output", 10, 9)],
)
def test_seeds_have_the_articles_epochs_and_metrics(model, epochs, seeds):
    log = kmw.article_log(model)
    histories = kmw.seed_histories(model)

    assert log.index.tolist() == list(range(1, epochs + 1))
    assert len(histories) == seeds
    for history in histories:
        assert history.index.equals(log.index)
        assert sorted(history) == sorted(log.drop(columns="seconds"))


@pytest.mark.parametrize("model", LOGGED_MODELS)
def test_seeds_differ_and_seed_0_is_not_among_them(model):
    histories = kmw.seed_histories(model) + kmw.seed_histories(model, sample=True)
    seed_0 = pd.read_csv(ROOT / "figures" / model / "history.csv", index_col="epoch")

    losses = [history.loc[1, "loss"] for history in histories]
    assert len(set(losses)) == len(losses)
    assert not np.isclose(losses, seed_0.loc[1, "loss"], rtol=1e-4).any()


def test_model_without_a_log_is_refused():
    with pytest.raises(kmw.InputError, match="trained sequential, wide_deep, two_"):
        kmw.article_log("shared_layers")


# 217 of the article's 220 numbers lie in the interval of our seeds.
@pytest.mark.parametrize(
    ("model", "numbers", "inside", "distance", "farther"),
    [
        ("sequential", 80, 79, 0.85, 15),
        ("wide_deep", 40, 39, 1.32, 2),
        ("two_input_two_output", 100, 99, 0.88, 8),
    ],
)
def test_the_articles_log_is_typical_of_our_seeds(
    model, numbers, inside, distance, farther
):
    log = kmw.article_log(model)

    comparison = kmw.compare_with_article(log, model)
    typical = kmw.how_typical(log, kmw.seed_histories(model))

    assert len(comparison) == numbers
    assert comparison["article_inside"].sum() == inside
    assert round(typical.distance, 2) == distance
    assert typical.farther == farther


def test_interval_is_the_one_of_the_textbooks():
    values = [0.2, 0.4, 0.5, 0.7, 1.2]

    interval = kmw.prediction_interval(
        [{"loss": [9.0 + value, value]} for value in values]
    )

    # 2.776 is the 97.5% quantile of Student's t with four degrees of freedom.
    reach = 2.776 * np.std(values, ddof=1) * np.sqrt(1 + 1 / 5)
    expected = [0.6, 0.6 - reach, 0.6 + reach]
    assert interval.loc[(2, "loss")].tolist() == pytest.approx(expected, rel=1e-3)
    assert interval.loc[(1, "loss"), "mean"] == pytest.approx(9.6)


def histories_of(runs):
    first, *others = [{"loss": run} for run in runs]
    return first, others


def test_distance_is_the_root_mean_square_of_standardized_differences():
    runs = [[1.0, 5.0], [0.2, 5.1], [0.4, 5.3], [0.9, 5.6]]

    typical = kmw.how_typical(*histories_of(runs))

    others = runs[1:]
    unit = np.std(others, axis=0, ddof=1) * np.sqrt(1 + 1 / 3)
    z = (runs[0] - np.mean(others, axis=0)) / unit
    assert typical.distance == pytest.approx(np.sqrt(np.mean(z**2)))
    moved = kmw.how_typical(*histories_of([runs[2], *runs[:2], runs[3]]))
    assert typical.others[1] == pytest.approx(moved.distance)
    assert typical.farther == sum(np.greater(typical.others, typical.distance))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([[1.0], [0.1], [0.1], [0.1]], "Leave such a metric out"),
        ([[0.1], [0.1], [0.1], [0.2]], r"\(1, 'loss'\)"),
        ([[1.0], [2.0]], "two other runs"),
        ([[NAN], [0.0], [1.0], [2.0]], "finite"),
        ([[1.0], [0.0], [np.inf], [2.0]], "finite"),
    ],
)
def test_histories_that_give_no_distance_are_refused(runs, message):
    with pytest.raises(kmw.InputError, match=message):
        kmw.how_typical(*histories_of(runs))


def test_histories_without_a_common_epoch_are_refused():
    later = pd.DataFrame({"loss": [1.0]}, pd.Index([101], name="epoch"))

    with pytest.raises(kmw.InputError, match="in common"):
        kmw.prediction_interval([later, *SEEDS])


X = np.random.default_rng(0).random((64, 3))


def fit(seed, learning_rate=0.1, **settings):
    """Fit a reader's own model to its own data; return what ``fit`` returns."""
    tf.keras.utils.set_random_seed(seed)
    model = tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1)])
    optimizer = tf.keras.optimizers.SGD(learning_rate)
    model.compile(optimizer, "mse", run_eagerly=True)
    return model.fit(X, X.sum(axis=1), validation_split=0.25, verbose=0, **settings)


def test_a_run_of_ones_own_is_compared_with_its_other_seeds():
    histories = [fit(seed, epochs=3) for seed in range(1, 6)]

    right = kmw.how_typical(fit(0, epochs=3), histories)
    wrong = kmw.how_typical(fit(0, learning_rate=0.001, epochs=3), histories)

    assert right.farther > 0
    assert repr(wrong) == f"Typicality(distance={wrong.distance:.2f}, farther=0 of 5)"


def test_history_is_counted_by_its_own_epochs():
    history = fit(0, initial_epoch=5, epochs=7)

    assert as_history(history).index.tolist() == [6, 7]


def test_history_of_fit_is_its_dict_and_the_file_of_its_csvlogger(tmp_path):
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    history = fit(0, epochs=3, callbacks=[logger])
    expected = as_history(history)

    assert expected.index.tolist() == [1, 2, 3]
    logged = pd.read_csv(tmp_path / "log.csv")
    for same in (history.history, pd.DataFrame(history.history), logged, expected):
        pd.testing.assert_frame_equal(as_history(same), expected, check_like=True)


def test_comparison_lays_run_article_and_interval_side_by_side():
    log = kmw.article_log("wide_deep").drop(columns="seconds")
    measured = log.mul(np.linspace(0.9, 1.1, len(log)), axis="index").loc[3:]

    table = kmw.compare_with_article(measured, "wide_deep")

    assert table["epoch"].unique().tolist() == list(range(3, 11))
    row = table.set_index(["epoch", "metric"]).loc[(4, "val_loss")]
    interval = kmw.prediction_interval(kmw.seed_histories("wide_deep"))
    mean, low, high = interval.loc[(4, "val_loss")]
    article = log.loc[4, "val_loss"]
    run = measured.loc[4, "val_loss"]
    inside = low < run < high
    assert row.tolist() == [
        article,
        run,
        run - article,
        mean,
        low,
        high,
        inside,
        True,
    ]
    assert table["inside"].nunique() == 2
