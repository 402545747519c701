"""Lay out what the folders of finished runs hold on one page for a browser."""

from __future__ import annotations

import base64
import io
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from keras_model_wars.checks import InputError, replacing
from keras_model_wars.experiments import EXPERIMENTS
from keras_model_wars.runs import is_finished, read_record

PICTURES = {
    "diagram.png": "Diagram of the layers, from input to output",
    "learning_curves.png": "Learning curves: loss and accuracy of training and "
    "validation by epoch",
    "article_comparison.png": "Loss and accuracy by epoch: this run's, the article's, "
    "and the interval of other seeds",
    "mistakes.png": "Confusion matrix, beside the test images that the model gets most "
    "wrong",
}


@dataclass(frozen=True)
class Section:
    """Hold what the page shows of a run, ready to lay out."""

    name: str
    title: str
    record: dict[str, Any]
    results: pd.DataFrame
    history: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    pictures: dict[str, str]
    summary: str

    @property
    def seconds_per_epoch(self) -> float:
        """The median, because the first epoch is slower."""
        return statistics.median(self.record["seconds_per_epoch"])

    def accuracies(self, part: str) -> list[float]:
        """Return the accuracy of each output on the validation or test set."""
        found = self.results.index.str.endswith("accuracy")
        return self.results.loc[found, part].tolist()


def make_report(
    runs: str | os.PathLike = "runs", out: str | os.PathLike = "report.html"
) -> None:
    """Write one self-contained HTML page about the finished runs in a folder.

    ``runs`` is a folder of runs as ``train`` leaves them, or a single run's folder. The
    page starts with a table and a picture of all runs. Unfinished runs and missing
    pictures are left out; damaged runs are named on the page. Raises an InputError for a
    folder without a finished run.

    >>> kmw.make_report("runs", "report.html")
    """
    sections = []
    damaged = {}
    for folder in _folders(Path(runs)):
        try:
            if is_finished(folder):
                sections.append(_read(folder))
        except InputError as error:
            damaged[folder.name] = str(error)
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            damaged[folder.name] = f"{type(error).__name__}: {error}"
    if not sections:
        reasons = "; ".join(damaged.values()) or "none"
        raise InputError(
            f"{runs} should be a folder with a finished run. Received: {reasons}. "
            "Train one: `keras-model-wars train sequential`"
        )
    sections.sort(key=_place)
    loader = jinja2.PackageLoader("keras_model_wars")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    page = environment.get_template("report.html").render(
        sections=sections,
        damaged=damaged,
        comparison=_draw_comparison(sections),
        two_outputs=any(len(run.accuracies("test")) > 1 for run in sections),
        best={part: _best(sections, part) for part in ("validation", "test")},
    )
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _folders(runs: Path) -> list[Path]:
    files = [runs / "run.json", *sorted(runs.glob("*/run.json"))]
    return [file.parent.resolve() for file in files if file.is_file()]


def _place(section: Section) -> tuple[int, str]:
    """Sort the articles' models in their order, and the reader's own after them."""
    names = list(EXPERIMENTS)
    model = section.record["settings"]["model"]
    place = names.index(model) if model in names else len(names)
    return place, section.name


def _best(sections: list[Section], part: str) -> str:
    """Return the name of the run with the highest accuracy of its outputs' mean."""
    accuracies = {}
    for section in sections:
        found = section.accuracies(part)
        if found:
            accuracies[section.name] = statistics.mean(found)
    return max(accuracies, key=accuracies.__getitem__, default="")


def _read(folder: Path) -> Section:
    record = read_record(folder)
    settings = record["settings"]
    last, test = record["final_epoch"], record["test"]
    values = {name: [last[name], last[f"val_{name}"], test[name]] for name in test}
    parts = ["training", "validation", "test"]
    results = pd.DataFrame.from_dict(values, "index", dtype=float, columns=parts)
    tables = {f"Results after epoch {settings['epochs']}": results}
    comparison = folder / "article_comparison.csv"
    if comparison.exists():
        caption, table = _compare(pd.read_csv(comparison))
        tables[caption] = table
    known = EXPERIMENTS.get(settings["model"])
    title = record.get("title") or (known.title if known else settings["model"])
    pictures = {}
    for name, alt in PICTURES.items():
        if (folder / name).exists():
            pictures[f"{alt}: {title}"] = _encode((folder / name).read_bytes())
    return Section(
        name=folder.name,
        title=title,
        record=record,
        results=results,
        history=pd.read_csv(folder / "history.csv", index_col="epoch"),
        tables=tables,
        pictures=pictures,
        summary=(folder / "summary.txt").read_text(encoding="utf-8"),
    )


def _compare(comparison: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return a caption for the comparison with the article, and its last epoch."""
    inside = comparison["inside"].eq(True).sum()
    epoch = comparison["epoch"].max()
    last = comparison[comparison["epoch"] == epoch].set_index("metric")
    last = last.rename_axis(None)
    last["inside"] = last["inside"].map({True: "yes", False: "no"})
    caption = (
        f"Comparison with the article: {inside} of {len(comparison)} values of this run "
        f"lie in the 95% prediction interval of other seeds. Epoch {epoch}"
    )
    columns = ["article", "measured", "difference", "low", "high", "inside"]
    return caption, last[columns]


def _draw_comparison(sections: list[Section]) -> str:
    from keras_model_wars.plotting import plot_validation

    picture = io.BytesIO()
    figure = plot_validation({section.name: section.history for section in sections})
    figure.savefig(picture, format="png", dpi=120)
    return _encode(picture.getvalue())


def _encode(picture: bytes) -> str:
    return base64.b64encode(picture).decode()
