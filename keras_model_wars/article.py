"""The training logs that the first article printed, and how far a run of ours lies from them."""

import importlib.resources

import pandas as pd

# The models whose logs the article prints, in its order.
LOGGED_MODELS = ("sequential", "wide_deep", "two_input_two_output")

# How far a metric may lie from the article's: a share of a loss, points of an accuracy; by epoch, the last for all later
# ones. A run with another seed moves an early loss by about 2 % and a late accuracy by about 0.002.
_LOSS_TOLERANCES = (0.10, 0.08, 0.06)
_ACCURACY_TOLERANCES = (0.03, 0.015, 0.010)


def article_log(model: str) -> pd.DataFrame:
    """Return the log that the first article printed for a model: a row an epoch, a column a metric.

    The index is the epoch, from 1; ``seconds`` is the author's time an epoch; the other columns are named as Keras names
    them today. Raises a ValueError for a model that the first article did not train.

    >>> article_log("sequential").loc[20, "val_accuracy"]
    0.9782

    The numbers are those of "Sequential API vs Functional API model in Keras".
    """
    if not isinstance(model, str) or model not in LOGGED_MODELS:
        raise ValueError(
            f"`model` should be one that the first article trained: {', '.join(LOGGED_MODELS)}. Received: {model!r}."
        )
    file = importlib.resources.files("keras_model_wars") / "logs" / f"{model}.csv"
    with file.open() as rows:
        return pd.read_csv(rows, index_col="epoch")


def compare_with_article(history: pd.DataFrame, model: str) -> pd.DataFrame:
    """Compare a run's history with the article's log, epoch by epoch and metric by metric.

    Returns a row an epoch and metric: ``epoch``, ``metric``, ``article``, ``measured``, ``difference`` (measured less article),
    ``tolerance`` and ``within``. The tolerance is 10, 8 and 6 % of a loss and 0.03, 0.015 and 0.010 of an accuracy in the
    first, the second and every later epoch. Epochs beyond the article's are left out. Raises a TypeError for what is no
    history, a ValueError for one without the article's metrics.

    >>> compare_with_article(run.history, "sequential").query("not within")
    """
    log = article_log(model).drop(columns="seconds")
    if not isinstance(history, pd.DataFrame):
        raise TypeError(f"`history` should be the history of a run, a DataFrame. Received: {type(history).__name__}.")
    epochs = log.index.intersection(history.index)
    if missing := [name for name in log if name not in history]:
        raise ValueError(
            f"`history` should have the metrics {', '.join(log)}. Received: one without {', '.join(missing)}."
        )
    if not all(pd.api.types.is_numeric_dtype(history[name]) for name in log):
        raise ValueError(f"`history` should hold numbers alone. Received: {history.dtypes.to_dict()}.")
    if epochs.empty or not history.index.is_unique:
        raise ValueError(
            f"`history` should have the epochs, counted from 1, as its index. Received: {list(history.index[:3])}."
        )
    table = log.loc[epochs].melt(ignore_index=False, var_name="metric", value_name="article").reset_index()
    table["measured"] = history.loc[epochs, list(log)].melt()["value"]
    table["difference"] = table["measured"] - table["article"]
    table["tolerance"] = [
        _LOSS_TOLERANCES[min(epoch, 3) - 1] * article
        if metric.endswith("loss")
        else _ACCURACY_TOLERANCES[min(epoch, 3) - 1]
        for epoch, metric, article in zip(table["epoch"], table["metric"], table["article"])
    ]
    table["within"] = table["difference"].abs() <= table["tolerance"]
    return table.sort_values(["epoch", "metric"], ignore_index=True)


def verdict_row(comparison: pd.DataFrame) -> dict[str, str]:
    """Say in one row how far a run lies from the article at its farthest, in loss and in accuracy, and where."""
    is_loss = comparison["metric"].str.endswith("loss")
    losses = comparison[is_loss].assign(share=lambda table: table["difference"] / table["article"])
    accuracies = comparison[~is_loss]
    loss = losses.loc[losses["share"].abs().idxmax()]
    accuracy = accuracies.loc[accuracies["difference"].abs().idxmax()]
    outside = int((~comparison["within"]).sum())
    return {
        "epochs": str(comparison["epoch"].max()),
        "largest deviation in loss": f"{loss['share']:+.1%} ({loss['metric']}, epoch {loss['epoch']})",
        "largest deviation in accuracy": f"{accuracy['difference']:+.4f} ({accuracy['metric']}, epoch {accuracy['epoch']})",
        "verdict": "within the band" if not outside else f"{outside} of {len(comparison)} values outside the band",
    }
