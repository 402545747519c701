"""Lay out what the folders of finished runs hold on one page for a browser."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from keras_model_wars.checks import InputError, file_path, replacing
from keras_model_wars.experiments import EXPERIMENTS, find_experiment

_PICTURES = {
    "diagram.png": "Diagram of the layers, from input to output",
    "learning_curves.png": "Learning curves: loss and accuracy of training and validation by epoch",
    "article_comparison.png": "Loss and accuracy by epoch: this run's, the article's, and the interval of other seeds",
    "mistakes.png": "Confusion matrix, beside the test digits that the model gets most wrong",
}


def make_report(
    runs: str | os.PathLike = "runs", out: str | os.PathLike = "report.html"
) -> None:
    """Write one self-contained HTML page about the finished runs in a folder.

    ``runs`` is a folder of runs as ``train`` leaves them, or a single run's folder. Unfinished runs and missing
    pictures are left out. Raises an InputError for a damaged run, and for a folder without a finished one.

    >>> make_report("runs", "report.html")
    """
    folder, out, sections = file_path("runs", runs), file_path("out", out), []
    for file in filter(
        Path.is_file, (folder / "run.json", *sorted(folder.glob("*/run.json")))
    ):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            experiment = find_experiment(record["settings"]["model"])
            if "test" in record:
                sections.append(_section(file.parent, experiment.title, record))
        except (
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            FileNotFoundError,
        ) as error:
            expected = (
                f"{file} and the files beside it should be as `train` writes them"
            )
            raise InputError(
                f"{expected}; train again with `--overwrite`", repr(error)
            ) from None
    if not sections:
        expected = "`runs` should be a folder with a finished run; `keras-model-wars train sequential` makes one"
        raise InputError(expected, folder)
    sections.sort(
        key=lambda section: list(EXPERIMENTS).index(section["settings"]["model"])
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_model_wars"), autoescape=True
    )
    page = environment.get_template("report.html").render(sections=sections)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _section(folder: Path, title: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a run, ready to lay out."""
    settings, train, test = record["settings"], record["final_epoch"], record["test"]
    values = {name: [train[name], train[f"val_{name}"], test[name]] for name in test}
    results = pd.DataFrame.from_dict(
        values, "index", dtype=float, columns=["training", "validation", "test"]
    )
    accuracies = results[results.index.str.endswith("accuracy")].map("{:.4f}".format)
    tables = {f"Results after epoch {settings['epochs']}": results}
    if (folder / "article_comparison.csv").exists():
        comparison = pd.read_csv(folder / "article_comparison.csv")
        inside, epoch = comparison["inside"].eq(True).sum(), comparison["epoch"].max()
        last = (
            comparison[comparison["epoch"] == epoch]
            .set_index("metric")
            .rename_axis(None)
        )
        last["inside"] = last["inside"].map({True: "yes", False: "no"})
        text = f"{inside} of {len(comparison)} values of this run lie in the 95 % prediction interval of other seeds"
        shown = last[["article", "measured", "difference", "low", "high", "inside"]]
        tables[f"Comparison with the article: {text}. Epoch {epoch}"] = shown
    pictures = {
        f"{alt}: {title}": folder / name
        for name, alt in _PICTURES.items()
        if (folder / name).exists()
    }
    return {
        "name": folder.resolve().name,
        "title": title,
        "parameters": f"{record['parameters']:,}",
        "accuracies": {
            column: " / ".join(accuracies[column]) for column in ("validation", "test")
        },
        "seconds": f"{sum(record['seconds_per_epoch']):,.0f}",
        "tables": tables,
        "pictures": {
            alt: base64.b64encode(file.read_bytes()).decode()
            for alt, file in pictures.items()
        },
        "summary": (folder / "summary.txt").read_text(encoding="utf-8"),
        **{
            name: record[name]
            for name in ("api", "reasons", "settings", "data", "versions", "backend")
        },
    }
