"""The first article's logs, our runs with other seeds, and how a run compares."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# The quantile of Student's t. scipy.stats.t.ppf takes a second more to import.
from scipy.special import stdtrit

from keras_model_wars.checks import InputError

History = Any  # a keras.callbacks.History, its dict, or a DataFrame: see as_history

# The models whose logs the article prints, in its order.
LOGGED_MODELS = ("sequential", "wide_deep", "two_input_two_output")
_LISTS = (list, tuple, np.ndarray, pd.Series)


@dataclass(frozen=True)
class Typicality:
    """How far a run lies from others of its model.

    ``distance`` is about 1 for a run like them. ``others`` are their own distances,
    measured in the same way with the run among the rest, and ``farther`` is how many of
    them are greater.
    """

    distance: float
    others: tuple[float, ...]
    farther: int


def article_log(model: str) -> pd.DataFrame:
    """Return the log that the first article printed for a model, one row per epoch.

    The index is the epoch, counted from 1. There is one column per metric, with today's
    Keras names, and ``seconds``, the author's time per epoch. Raises an InputError for
    a model that the first article did not train. The numbers are those of "Sequential
    API vs Functional API model in Keras".

    >>> float(kmw.article_log("sequential").loc[20, "val_accuracy"])
    0.9782
    """
    return _read_log(model, "")


def seed_histories(model: str, *, sample: bool = False) -> list[pd.DataFrame]:
    """Return the histories of our runs of a model with the seeds 1, 2, and so on.

    Each is a DataFrame with one row per epoch and one column per metric. They come from
    ``keras-model-wars train MODEL --seed S`` on the full MNIST, or with ``sample`` on
    the bundled sample. Raises an InputError for a model that the first article did not
    train.

    >>> len(kmw.seed_histories("sequential"))
    20
    """
    table = _read_log(model, "_sample_seeds" if sample else "_seeds")
    return [history.drop(columns="seed") for _, history in table.groupby("seed")]


def prediction_interval(
    histories: Sequence[History], confidence: float = 0.95
) -> pd.DataFrame:
    """Return the interval that should hold one more run's value, per epoch and metric.

    Takes histories as ``as_history`` reads them, and returns a DataFrame indexed by
    ``epoch`` and ``metric`` with ``mean``, ``low`` and ``high``: mean ± t((1 +
    confidence) / 2, n - 1) s √(1 + 1/n), where s is the sample standard deviation of
    the n runs. It covers what all of them have: an epoch without validation in one
    history is left out for all. Raises an InputError for fewer than two histories,
    values that are not finite, or a confidence outside (0, 1). Follows Hahn and Meeker,
    "Statistical Intervals" (1991), section 4.7.

    >>> interval = kmw.prediction_interval(kmw.seed_histories("sequential"))
    >>> interval.loc[(20, "val_accuracy")].round(4).to_dict()
    {'mean': 0.9772, 'low': 0.9744, 'high': 0.9799}
    """
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
        raise InputError(
            "`confidence` should be a number between 0 and 1, such as 0.95. "
            f"Received: confidence={confidence!r}."
        )
    _check_count(histories, fewest=2)
    values = _side_by_side(histories)
    count = values.shape[1]
    mean = values.mean(axis="columns")
    t = stdtrit(count - 1, (1 + confidence) / 2)
    reach = t * values.std(axis="columns") * np.sqrt(1 + 1 / count)
    return pd.DataFrame({"mean": mean, "low": mean - reach, "high": mean + reach})


def how_typical(history: History, histories: Sequence[History]) -> Typicality:
    """Measure how far a run lies from other runs, and how many of these lie farther.

    Takes histories as ``as_history`` reads them. A run's distance is the root mean
    square of z = (value - mean) / (s √(1 + 1/m)) over all epochs and metrics that the
    histories have in common, with the mean and sample standard deviation s of the m
    other runs. An epoch without validation in one history is left out for all. If
    nothing but their seeds differs, any of the n + 1 runs is the farthest with
    probability 1 / (n + 1): with 19 or more ``histories``, ``farther == 0`` is a false
    alarm at most once in twenty.

    Raises an InputError for fewer than three histories, values that are not finite, and
    a metric that is the same in all other runs. A permutation test, exact however the
    epochs are correlated: Phipson and Smyth, "Permutation P-values Should Never Be
    Zero" (2010).

    >>> log = kmw.article_log("sequential")
    >>> typical = kmw.how_typical(log, kmw.seed_histories("sequential"))
    >>> round(typical.distance, 2), typical.farther
    (0.85, 15)
    """
    _check_count(histories, fewest=3)
    table = _side_by_side([history, *histories])
    distances = []
    for run in table:
        others = table.drop(columns=run)
        spread = others.std(axis="columns")
        if spread.min() < 1e-12:
            epoch, metric = spread.idxmin()
            raise InputError(
                f"`{metric}` should differ between the runs, so that a distance has a "
                f"unit. Received: the same value in epoch {epoch}. Leave it out."
            )
        unit = spread * np.sqrt(1 + 1 / others.shape[1])
        z = (table[run] - others.mean(axis="columns")) / unit
        distances.append(float(np.sqrt(np.mean(z**2))))
    distance, *rest = distances
    farther = [other for other in rest if other > distance]
    return Typicality(distance, tuple(rest), len(farther))


def compare_with_article(history: History, model: str) -> pd.DataFrame:
    """Compare a run's history with the article's log and with our runs.

    Takes a history as ``as_history`` reads it, and returns one row per ``epoch`` and
    ``metric``: ``article``, ``measured``, ``difference`` (measured less article);
    ``mean``, ``low`` and ``high`` of the 95% ``prediction_interval`` of our seeds;
    ``inside`` and ``article_inside``, whether the measured and the printed value lie in
    it. Epochs that the article did not train are left out, and the validation metrics
    of epochs without validation. Raises an InputError for a history without the
    article's metrics or epochs.

    >>> comparison = kmw.compare_with_article(run.history, "sequential")
    >>> comparison.query("epoch == 1")["metric"].tolist()
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    """
    log = article_log(model).drop(columns="seconds")
    measured = _by_epoch_and_metric(as_history(history))
    missing = log.columns.difference(measured.index.unique("metric"))
    if len(missing):
        raise InputError(
            f"`history` should have the metrics {', '.join(log)}. "
            f"Received: one without {', '.join(missing)}."
        )
    columns = {"article": _by_epoch_and_metric(log), "measured": measured}
    table = pd.concat(columns, axis="columns", join="inner")
    if table.empty:
        epochs = measured.index.unique("epoch")
        raise InputError(
            f"`history` should have epochs from 1 to {len(log)}. "
            f"Received: epochs from {epochs.min()} to {epochs.max()}."
        )
    table["difference"] = table["measured"] - table["article"]
    table = table.join(prediction_interval(seed_histories(model)))
    table["inside"] = table["measured"].between(table["low"], table["high"])
    table["article_inside"] = table["article"].between(table["low"], table["high"])
    return table.sort_index().reset_index()


def as_history(history: History) -> pd.DataFrame:
    """Return a history as a DataFrame with one row per epoch, counted from 1.

    Takes what ``fit`` returned, its ``history`` dict, or a DataFrame. A DataFrame
    counts its epochs in a column or an index named ``epoch``, from 0 if it holds an
    epoch 0, as the file of a ``CSVLogger`` does, and from 1 otherwise; one without
    counts its rows. Missing values stay NaN. A list of a ``val_`` metric that is
    shorter than the others is read as ``validation_freq=k`` makes it: the values of the
    epochs k, 2k, 3k and so on, if only one k fits.

    Raises an InputError for anything else, for epochs that occur twice, for values whose
    epochs can't be known, and for a column that does not hold one number per epoch.

    >>> history = {"loss": [0.9, 0.6, 0.5, 0.4], "val_loss": [0.7, 0.5]}
    >>> kmw.article_logs.as_history(history)
           loss  val_loss
    epoch
    1       0.9       NaN
    2       0.6       0.7
    3       0.5       NaN
    4       0.4       0.5
    """
    is_table = isinstance(history, pd.DataFrame)
    table = history if is_table else _table_of_lists(history)
    # pandas calls an index that was written without a name so.
    named = [column for column in table if not str(column).startswith("Unnamed: ")]
    table = table[named].rename(columns=str)
    if "loss" not in table or table.empty:
        raise InputError(
            "`history` should be what `fit` returned, its dict of lists or a "
            "DataFrame, with one row per epoch and a column `loss`. "
            f"Received: {type(history).__name__} with columns {list(table)}."
        )
    metrics = table.drop(columns="epoch", errors="ignore")
    return metrics.set_axis(_epochs(table)).apply(_as_numbers)


def _table_of_lists(history: Any) -> pd.DataFrame:
    lists = getattr(history, "history", history)
    if not isinstance(lists, dict):
        return pd.DataFrame()
    kinds = [isinstance(values, _LISTS) for values in lists.values()]
    if "loss" not in lists or not all(kinds):
        return pd.DataFrame(columns=list(lists))
    # Keras counts the epochs of a History from 0.
    counted = getattr(history, "epoch", range(len(lists["loss"])))
    epochs = pd.Index([epoch + 1 for epoch in counted], name="epoch")
    columns = {}
    for name, values in lists.items():
        epochs_with_values = _epochs_with_values(str(name), len(values), epochs)
        columns[name] = pd.Series(list(values), epochs_with_values)
    return pd.DataFrame(columns, epochs)


def _epochs_with_values(name: str, count: int, epochs: pd.Index) -> pd.Index:
    if count == len(epochs):
        return epochs
    last = max(epochs, default=0)
    fitting = [k for k in range(2, last + 1) if sum(epochs % k == 0) == count]
    if len(fitting) != 1 or not name.startswith("val_"):
        raise InputError(
            f"`{name}` should hold one value per epoch, or validation values as "
            "`validation_freq` gives them. "
            f"Received: values={count}, epochs={len(epochs)}. "
            "Pass a DataFrame indexed by `epoch`, with NaN for missing values."
        )
    return epochs[epochs % fitting[0] == 0]


def _epochs(table: pd.DataFrame) -> pd.Index:
    """Return the epoch of each row, counted from 1."""
    if "epoch" in table:
        epochs = pd.Index(table["epoch"])
    elif table.index.name == "epoch":
        epochs = table.index
    else:
        epochs = pd.RangeIndex(1, len(table) + 1, name="epoch")
    is_integer = pd.api.types.is_numeric_dtype(epochs) and not any(epochs % 1)
    if not is_integer or not epochs.is_unique:
        raise InputError(
            "`history` should have one row per epoch, counted by integers. "
            f"Received: the epochs {epochs.tolist()}. Pass a single run, and drop the "
            "rows that it repeated after it was resumed."
        )
    epochs = epochs.astype(int)
    # CSVLogger counts from 0.
    return epochs + 1 if 0 in epochs else epochs


def _as_numbers(column: pd.Series) -> pd.Series:
    try:
        return column.astype(float)
    except (TypeError, ValueError):
        received = textwrap.shorten(str(column.tolist()), 60, placeholder=" ...")
        raise InputError(
            f"`{column.name}` should hold one number per epoch. Received: {received}. "
            "Leave the column out; of a metric per class, keep the average, as "
            "F1Score(average='macro') does."
        ) from None


def _read_log(model: str, kind: str) -> pd.DataFrame:
    if not isinstance(model, str) or model not in LOGGED_MODELS:
        raise InputError(
            "`model` should be one that the first article trained: "
            f"{', '.join(LOGGED_MODELS)}. Received: model={model!r}."
        )
    file = Path(__file__).parent / "logs" / f"{model}{kind}.csv"
    return pd.read_csv(file, index_col="epoch")


def _by_epoch_and_metric(history: pd.DataFrame) -> pd.Series:
    """Return a history as a series, without the gaps of epochs without validation."""
    values = history.rename_axis(columns="metric").unstack().swaplevel()
    validation = history.filter(regex="^val_")
    without = history.index[validation.isna().all(axis="columns")]
    gaps = pd.MultiIndex.from_product([without, validation.columns])
    return values[~values.index.isin(gaps)]


def _check_count(histories: Any, fewest: int) -> None:
    is_list = isinstance(histories, (list, tuple))
    if not is_list or len(histories) < fewest:
        received = f"{len(histories)} of them" if is_list else type(histories).__name__
        raise InputError(
            f"`histories` should be a list of {fewest} or more. Received: {received}."
        )


def _side_by_side(histories: Sequence[History]) -> pd.DataFrame:
    """Return one column per run, and one row per epoch and metric that all have."""
    columns = [_by_epoch_and_metric(as_history(history)) for history in histories]
    table = pd.concat(columns, axis="columns", join="inner", ignore_index=True)
    if table.empty:
        raise InputError(
            "`histories` should have epochs and metrics in common. Received: none."
        )
    finite = np.isfinite(table).all(axis="columns")
    if not finite.all():
        epoch, metric = finite.idxmin()
        raise InputError(
            f"`{metric}` should be finite in every run. Received: nan or inf in epoch "
            f"{epoch}. Leave out runs that diverged."
        )
    return table
