"""The first article's logs, and the comparison of a run with them."""

import numpy as np
import pandas as pd
import pytest

from keras_model_wars.article import article_log, compare_with_article
from keras_model_wars.plotting import plot_article_comparison

MODELS = {"sequential": 20, "wide_deep": 10, "two_input_two_output": 10}


@pytest.fixture
def history():
    """A run that measured what the article printed, in Keras's order of the columns."""

    def make(model, **changes):
        log = article_log(model).drop(columns="seconds")
        for metric, (epoch, difference) in changes.items():
            log.loc[epoch, metric] += difference
        return log[sorted(log)]

    return make


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
        ("wide_deep", 10, "loss", 0.0566),
        ("wide_deep", 6, "seconds", 221),
        ("two_input_two_output", 1, "loss", 1.8279),
        ("two_input_two_output", 1, "output_b_accuracy", 0.7801),
        ("two_input_two_output", 1, "val_output_a_loss", 0.5220),
        ("two_input_two_output", 10, "output_a_loss", 0.1304),
        ("two_input_two_output", 10, "val_output_b_accuracy", 0.9349),
    ],
)
def test_log_holds_what_the_article_printed(model, epoch, metric, printed):
    assert article_log(model).loc[epoch, metric] == printed


@pytest.mark.parametrize(("model", "epochs"), MODELS.items())
def test_log_has_a_row_an_epoch(model, epochs):
    log = article_log(model)

    assert log.index.name == "epoch"
    assert log.index.tolist() == list(range(1, epochs + 1))
    assert not log.isna().any(axis=None)


def test_logs_losses_of_the_outputs_sum_to_the_loss():
    log = article_log("two_input_two_output")

    np.testing.assert_allclose(log["output_a_loss"] + log["output_b_loss"], log["loss"], atol=1e-3)
    np.testing.assert_allclose(log["val_output_a_loss"] + log["val_output_b_loss"], log["val_loss"], atol=1e-3)


@pytest.mark.parametrize("model", ["resnet", "", None])
def test_log_of_an_unknown_model_is_refused(model):
    with pytest.raises(ValueError, match="sequential, wide_deep, two_input_two_output. Received: "):
        article_log(model)


@pytest.mark.parametrize(("model", "epochs"), MODELS.items())
def test_comparison_has_a_row_an_epoch_and_metric(model, epochs, history):
    run = history(model)

    comparison = compare_with_article(run, model)

    expected = [(epoch, metric) for epoch in range(1, epochs + 1) for metric in run]
    assert list(zip(comparison["epoch"], comparison["metric"])) == expected
    assert comparison["within"].all()
    assert (comparison["difference"] == 0).all()


def test_comparison_lays_each_measured_value_beside_the_articles(history):
    run = history("two_input_two_output") * np.linspace(0.9, 1.1, 10)[:, None] + np.arange(10)

    comparison = compare_with_article(run, "two_input_two_output")

    log = article_log("two_input_two_output")
    for row in comparison.itertuples():
        assert row.measured == run.loc[row.epoch, row.metric]
        assert row.article == log.loc[row.epoch, row.metric]
        assert row.difference == row.measured - row.article


@pytest.mark.parametrize(
    ("model", "loss", "accuracy"),
    [
        ("sequential", "val_loss", "accuracy"),
        ("wide_deep", "loss", "val_accuracy"),
        ("two_input_two_output", "output_a_loss", "val_output_b_accuracy"),
    ],
)
@pytest.mark.parametrize(
    ("epoch", "share", "points"), [(1, 0.10, 0.03), (2, 0.08, 0.015), (3, 0.06, 0.010), (10, 0.06, 0.010)]
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_tolerance_ends_where_it_says(history, model, loss, accuracy, epoch, share, points, sign):
    tolerances = {loss: share * article_log(model).loc[epoch, loss], accuracy: points}
    for factor, within in ((0.999, True), (1.001, False)):
        changes = {metric: (epoch, sign * factor * tolerance) for metric, tolerance in tolerances.items()}

        comparison = compare_with_article(history(model, **changes), model).set_index(["epoch", "metric"])

        for metric, tolerance in tolerances.items():
            assert comparison.loc[(epoch, metric), "tolerance"] == pytest.approx(tolerance)
            assert comparison.loc[(epoch, metric), "within"] == within
        assert (~comparison["within"]).sum() == (0 if within else 2)


def test_metric_that_is_no_number_is_not_within(history):
    comparison = compare_with_article(history("sequential", loss=(3, np.nan)), "sequential")

    assert comparison.query("not within")[["epoch", "metric"]].values.tolist() == [[3, "loss"]]


def test_shorter_run_is_compared_as_far_as_it_goes(history):
    assert compare_with_article(history("sequential").head(2), "sequential")["epoch"].unique().tolist() == [1, 2]


def test_epochs_beyond_the_articles_are_left_out(history):
    run = pd.concat([history("wide_deep"), history("wide_deep").tail(1).rename(index={10: 11})])

    assert compare_with_article(run, "wide_deep")["epoch"].max() == 10


def test_history_without_a_metric_is_refused(history):
    with pytest.raises(ValueError, match="without loss, val_accuracy"):
        compare_with_article(history("sequential").drop(columns=["loss", "val_accuracy"]), "sequential")


def test_history_of_another_model_is_refused(history):
    with pytest.raises(ValueError, match="without output_a_loss"):
        compare_with_article(history("sequential"), "two_input_two_output")


def test_history_that_counts_no_epoch_of_the_articles_is_refused(history):
    with pytest.raises(ValueError, match="`history` should have .*epochs.* Received: "):
        compare_with_article(history("sequential").rename(index=lambda epoch: epoch + 100), "sequential")


@pytest.mark.parametrize("history", [None, {"loss": [1.0]}, [0.5]])
def test_what_is_no_history_is_refused(history):
    with pytest.raises(TypeError, match="DataFrame. Received: "):
        compare_with_article(history, "sequential")


def test_comparison_with_an_unknown_model_is_refused(history):
    with pytest.raises(ValueError, match="Received: 'resnet'"):
        compare_with_article(history("sequential"), "resnet")


@pytest.mark.parametrize(
    ("model", "panels"),
    [
        ("sequential", ["loss", "accuracy"]),
        ("wide_deep", ["loss", "accuracy"]),
        ("two_input_two_output", ["output_a_loss", "output_a_accuracy", "output_b_loss", "output_b_accuracy"]),
    ],
)
def test_comparison_is_drawn_in_a_panel_a_metric(model, panels, history):
    run = history(model) * 1.01
    log = article_log(model)

    figure = plot_article_comparison(compare_with_article(run, model), title="A title")

    assert figure.get_suptitle() == "A title"
    assert len(figure.axes) == len(panels)
    for axis, metric in zip(figure.axes, panels):
        drawn = {line.get_label(): line for line in axis.lines}
        assert set(drawn) == {f"{m}, {what}" for m in (metric, f"val_{metric}") for what in ("measured", "article")}
        for name in (metric, f"val_{metric}"):
            measured, article = drawn[f"{name}, measured"], drawn[f"{name}, article"]
            np.testing.assert_array_equal(measured.get_ydata(), run[name])
            np.testing.assert_array_equal(article.get_ydata(), log[name])
            np.testing.assert_array_equal(article.get_xdata(), log.index)
            # The run as lines, the article as points of the same colour.
            assert (measured.get_marker(), article.get_linestyle()) == ("None", "None")
            assert measured.get_color() == article.get_color()


@pytest.mark.parametrize("comparison", [None, [1.0]])
def test_what_is_no_comparison_is_not_drawn(comparison):
    with pytest.raises(TypeError, match="compare_with_article"):
        plot_article_comparison(comparison)


def test_history_is_not_drawn_as_a_comparison(history):
    with pytest.raises(ValueError, match="compare_with_article"):
        plot_article_comparison(history("sequential"))
