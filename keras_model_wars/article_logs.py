"""The training logs that the first article printed, our runs with other seeds, and how a run compares with both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import (
    stdtrit,
)  # scipy.stats.t.ppf, without the second that scipy.stats takes to import

from keras_model_wars.checks import InputError

History = Any  # a keras.callbacks.History, its dict, or a DataFrame: see as_history

# The models whose logs the article prints, in its order.
LOGGED_MODELS = ("sequential", "wide_deep", "two_input_two_output")


@dataclass(frozen=True)
class Typicality:
    """How far a run lies from others, about 1 for one like them: its ``distance``, and how many are ``farther``.

    The distances of the ``others`` are measured in the same way, with the run among the rest.
    """

    distance: float
    others: tuple[float, ...]
    farther: int


def article_log(model: str) -> pd.DataFrame:
    """Return the log that the first article printed for a model: one row per epoch, one column per metric.

    The index is the epoch, counted from 1; ``seconds`` is the author's time per epoch; the metrics have Keras's names
    of today. Raises an InputError for a model that the first article did not train. The numbers are those of
    "Sequential API vs Functional API model in Keras".

    >>> float(article_log("sequential").loc[20, "val_accuracy"])
    0.9782
    """
    return _read(model, "")


def seed_histories(model: str, *, sample: bool = False) -> list[pd.DataFrame]:
    """Return the histories of our runs of a model with the seeds 1, 2, ..., one DataFrame per seed.

    They come from ``keras-model-wars train MODEL --seed S`` on the full MNIST, or with ``sample`` on the bundled
    sample. Raises an InputError for a model that the first article did not train.

    >>> len(seed_histories("sequential"))
    20
    """
    table = _read(model, "_sample_seeds" if sample else "_seeds")
    return [history.drop(columns="seed") for _, history in table.groupby("seed")]


def prediction_interval(
    histories: Sequence[History], confidence: float = 0.95
) -> pd.DataFrame:
    """Return the interval that should hold one more run's value, for every epoch and metric of several runs.

    Takes histories as Keras gives them, and returns a DataFrame indexed by ``epoch`` and ``metric`` with ``mean``,
    ``low`` and ``high``: mean ± t((1 + confidence) / 2, n - 1) s √(1 + 1/n), where s is the n runs' sample standard
    deviation. Raises an InputError for fewer than two histories, or a confidence outside of (0, 1). Follows Hahn and
    Meeker, "Statistical Intervals" (1991), section 4.7.

    >>> prediction_interval(seed_histories("sequential")).loc[(20, "val_accuracy"), "low"]
    """
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
        raise InputError(
            "`confidence` should be a number between 0 and 1",
            f"confidence={confidence!r}",
        )
    values = _stacked(histories, 2)
    count, mean = values.shape[1], values.mean(axis=1)
    reach = (
        stdtrit(count - 1, (1 + confidence) / 2)
        * values.std(axis=1)
        * np.sqrt(1 + 1 / count)
    )
    return pd.DataFrame({"mean": mean, "low": mean - reach, "high": mean + reach})


def how_typical(history: History, histories: Sequence[History]) -> Typicality:
    """Tell how far a run lies from other runs of its model, and how many of these lie farther from the rest.

    A run's distance is the root mean square of z = (value - mean) / (s √(1 + 1/m)) over all epochs and metrics that the
    histories have in common, with the mean and standard deviation s of the m other runs. If nothing but their seeds
    differs, any of the n + 1 is the farthest with probability 1 / (n + 1): with 19 or more ``histories``, ``farther ==
    0`` is a false alarm at most once in twenty. Raises an InputError for fewer than three histories, values that are
    not finite, and a metric without spread. A permutation test, exact however the epochs are correlated: Phipson and
    Smyth, "Permutation P-values Should Never Be Zero" (2010).

    >>> how_typical(article_log("sequential"), seed_histories("sequential")).farther
    15
    """
    table = _stacked(histories, 3, history)
    values, distances = (
        table.replace([np.inf, -np.inf], np.nan).to_numpy(dtype=float),
        [],
    )
    for run in range(values.shape[1]):
        others = np.delete(values, run, axis=1)
        spread = others.std(axis=1, ddof=1)
        for epoch, metric in table.index[~(spread >= 1e-12)]:
            expected = f"`{metric}` should be finite and differ between the runs"
            raise InputError(
                expected,
                f"{values[table.index.get_loc((epoch, metric))]} in epoch {epoch}",
            )
        z = (values[:, run] - others.mean(axis=1)) / (
            spread * np.sqrt(1 + 1 / others.shape[1])
        )
        distances.append(float(np.sqrt(np.mean(z**2))))
    distance, *rest = distances
    return Typicality(distance, tuple(rest), sum(other > distance for other in rest))


def compare_with_article(history: History, model: str) -> pd.DataFrame:
    """Compare a run's history with the article's log and with our runs, for every epoch and metric.

    Takes a history as Keras gives it, and returns one row per ``epoch`` and ``metric``: ``article``, ``measured``,
    ``difference`` (measured less article); ``mean``, ``low`` and ``high`` of the 95 % ``prediction_interval`` of our
    seeds; ``inside`` and ``article_inside``, whether the measured and the printed value lie in it. Epochs that the
    article did not train are left out. Raises an InputError for a history without the article's metrics or epochs.

    >>> compare_with_article(run.history, "sequential").query("not inside")
    """
    log, history = article_log(model).drop(columns="seconds"), as_history(history)
    if missing := [name for name in log if name not in history]:
        raise InputError(
            f"`history` should have the metrics {', '.join(log)}",
            f"one without {', '.join(missing)}",
        )
    table = pd.concat(
        {"article": _series(log), "measured": _series(history[list(log)])},
        axis=1,
        join="inner",
    )
    if table.empty:
        raise InputError(
            f"`history` should have epochs from 1 to {len(log)}",
            history.index[:3].tolist(),
        )
    table["difference"] = table["measured"] - table["article"]
    table = table.join(prediction_interval(seed_histories(model)))
    table["inside"] = table["measured"].between(table["low"], table["high"])
    table["article_inside"] = table["article"].between(table["low"], table["high"])
    return table.sort_index().reset_index()


def as_history(history: History) -> pd.DataFrame:
    """Return a history as a DataFrame with one row per epoch, indexed by ``epoch``, counted from 1.

    Takes a ``keras.callbacks.History``, whose epochs are its own; its ``history`` dict; or a DataFrame, by its index if
    that is named ``epoch`` and by its rows otherwise. Raises an InputError for anything else.
    """
    epochs = getattr(history, "epoch", None)  # a History, known without importing Keras
    table = history.history if isinstance(epochs, list) else history
    try:
        table = pd.DataFrame(table if isinstance(table, (dict, pd.DataFrame)) else {})
    except ValueError:  # ragged
        table = pd.DataFrame()
    if table.index.name != "epoch":
        epochs = (
            [epoch + 1 for epoch in epochs]
            if isinstance(epochs, list)
            else range(1, len(table) + 1)
        )
        table = table.set_axis(pd.Index(epochs, name="epoch")).drop(
            columns="epoch", errors="ignore"
        )
    numeric = all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)
    if "loss" not in table or table.empty or not numeric or not table.index.is_unique:
        expected = "`history` should be what `fit` returned or a run's: numbers, one row per epoch, a column `loss`"
        received = f"{type(history).__name__} with columns {list(table)} and epochs {table.index[:9].tolist()}"
        raise InputError(expected, received)
    return table


def _read(model: str, kind: str) -> pd.DataFrame:
    if not isinstance(model, str) or model not in LOGGED_MODELS:
        expected = f"`model` should be one that the first article trained: {', '.join(LOGGED_MODELS)}"
        raise InputError(expected, repr(model))
    return pd.read_csv(
        Path(__file__).parent / "logs" / f"{model}{kind}.csv", index_col="epoch"
    )


def _series(history: pd.DataFrame) -> pd.Series:
    """Return a history as a series indexed by epoch and metric."""
    return history.rename_axis(columns="metric").unstack().swaplevel()


def _stacked(
    histories: Sequence[History], lowest: int, *first: History
) -> pd.DataFrame:
    """Return runs as a table of one column per run and one row per epoch and metric that all of them have."""
    if not isinstance(histories, (list, tuple)) or len(histories) < lowest:
        received = (
            f"{len(histories)} of them"
            if isinstance(histories, (list, tuple))
            else type(histories).__name__
        )
        raise InputError(f"`histories` should be a list of {lowest} or more", received)
    runs = [*first, *histories]
    table = pd.concat(
        [_series(as_history(run)) for run in runs],
        axis=1,
        join="inner",
        keys=range(len(runs)),
    )
    if table.empty:
        raise InputError(
            "`histories` should have epochs and metrics in common", "none in common"
        )
    return table
