"""The figures that the README shows, and its tables of results, made from one another."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from keras_model_wars.article import LOGGED_MODELS, article_log, compare_with_article, verdict_row
from keras_model_wars.data import FULL_TRAIN_DIGITS, find_mnist
from keras_model_wars.experiments import EXPERIMENTS
from keras_model_wars.plotting import plot_model, plot_samples
from keras_model_wars.training import train


def make_figures(
    folder: str | os.PathLike = "figures", data: str | os.PathLike | None = None, again: bool = False
) -> None:
    """Train the first article's models in full on the full MNIST and leave their figures in a folder a model.

    What is there already is kept unless ``again``. Takes about half an hour on two cores. Raises a ValueError where only the
    sample is at hand: the README's figures are those of the full set.
    """
    folder = Path(folder)
    mnist, source = find_mnist(data)
    (x_train, y_train), _ = mnist
    if len(x_train) != FULL_TRAIN_DIGITS:
        raise ValueError(f"The figures need the full MNIST, {FULL_TRAIN_DIGITS:,} digits to train. Received: {source}.")
    if again or not (folder / "samples.png").exists():
        plot_samples(x_train[:40], y_train[:40], folder / "samples.png")
    for experiment in EXPERIMENTS.values():
        if again or not (folder / experiment.name / "diagram.png").exists():
            plot_model(experiment.build(), folder / experiment.name / "diagram.png")
    for model in LOGGED_MODELS:
        record = folder / model / "run.json"
        if again or not record.exists() or "test" not in json.loads(record.read_text()):
            train(model, data=data, out=folder / model, overwrite=again, resume=not again)


def results_table(folder: str | os.PathLike = "figures") -> pd.DataFrame:
    """Return the last epoch of every run in the folder: article, measured, difference; and the quickest epoch then and now."""
    rows = []
    for model, history, record in _runs(folder):
        log = article_log(model)
        comparison = compare_with_article(history, model)
        last = comparison[comparison["metric"].str.endswith("accuracy") & (comparison["epoch"] == len(log))]
        for _, row in last.iterrows():
            rows.append(
                {
                    "model": model,
                    "epochs": len(history),
                    "metric": row["metric"],
                    "article": f"{row['article']:.4f}",
                    "measured": f"{row['measured']:.4f}",
                    "difference": f"{row['difference']:+.4f}",
                    # The quickest, because other programs on the machine only ever add to it.
                    "seconds an epoch, article": f"{log['seconds'].min():.0f}",
                    "here": f"{min(record['seconds_an_epoch']):.1f}",
                }
            )
    return pd.DataFrame(rows)


def verdict_table(folder: str | os.PathLike = "figures") -> pd.DataFrame:
    """Return a line a run in the folder: how far it lies from the article over all its epochs, and where."""
    return pd.DataFrame(
        {"model": model, **verdict_row(compare_with_article(history, model))} for model, history, _ in _runs(folder)
    )


def _runs(folder: str | os.PathLike) -> Iterator[tuple[str, pd.DataFrame, dict]]:
    for model in LOGGED_MODELS:
        run = Path(folder) / model
        yield model, pd.read_csv(run / "history.csv", index_col="epoch"), json.loads((run / "run.json").read_text())
