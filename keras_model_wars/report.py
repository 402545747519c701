"""One page for a browser from the runs at hand: what each model is, how it learned, and where it is wrong."""

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import keras
import numpy as np
import pandas as pd
from PIL import Image

from keras_model_wars.article import verdict_row
from keras_model_wars.article_claims import claims
from keras_model_wars.data import Mnist, find_mnist, fingerprint
from keras_model_wars.experiments import EXPERIMENTS, find_experiment
from keras_model_wars.files import replacing
from keras_model_wars.loading import load_model
from keras_model_wars.verdict import which_api

# What a run's folder holds and the page shows, in this order, where it is there: only full runs have a comparison.
_PICTURES = {
    "diagram.png": "Diagram of the layers, from input to output",
    "learning_curves.png": "Learning curves: loss and accuracy of training and validation over the epochs",
    "article_comparison.png": "Loss and accuracy over the epochs: measured as lines, the article's as points",
}
_WORST = 12


def make_report(
    runs: str | os.PathLike = "runs", out: str | os.PathLike = "report.html", data: str | os.PathLike | None = None
) -> None:
    """Write one self-contained HTML page about the finished runs in a folder.

    ``runs`` is a folder of runs as ``train`` leaves them, or one run's own folder; ``data`` is a path for ``load_mnist``,
    whose test digits are shown to each model. The page shows each model's diagram, summary, learning curves, its comparison
    with the article where there is one, its confusion matrix and the digits that it gets most wrong; and the claims table.
    Raises a ValueError for a folder without a finished run, a damaged one, or a model that can't be loaded.

    >>> make_report("runs", "report.html")
    """
    records = _finished(Path(runs))
    mnist, source = find_mnist(data)
    sections = [_section(folder, record, mnist) for folder, record in records.items()]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_model_wars"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        sections=sections, source=source, claims=claims(), keras=keras.version(), test_digits=len(mnist[1][0])
    )
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _finished(runs: Path) -> dict[Path, dict[str, Any]]:
    """Return the folder and the record of every finished run, in the order of the experiments."""
    records = {}
    for file in (runs / "run.json", *sorted(runs.glob("*/run.json"))):
        if not file.is_file():
            continue
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            find_experiment(record["settings"]["model"])
        except (ValueError, TypeError, KeyError):
            raise ValueError(f"{file} should be the record of a run. Received: a file that is none.") from None
        if "test" in record:
            records[file.parent] = record
    if not records:
        raise ValueError(
            f"`runs` should be a folder with a finished run, as `keras-model-wars train` leaves it. Received: {runs}."
        )
    names = list(EXPERIMENTS)
    return dict(sorted(records.items(), key=lambda item: names.index(item[1]["settings"]["model"])))


def _section(folder: Path, record: dict[str, Any], mnist: Mnist) -> dict[str, Any]:
    """Return what the page says of one run."""
    experiment = find_experiment(record["settings"]["model"])
    model = load_model(folder / "model.keras")
    return {
        "name": folder.resolve().name,
        "title": experiment.title,
        "verdict": which_api(model),
        "parameters": model.count_params(),
        "record": record,
        "accuracies": [name for name in record["test"] if name.endswith("accuracy")],
        "summary": (folder / "summary.txt").read_text(encoding="utf-8"),
        "pictures": [
            {
                "alt": f"{alt}: {experiment.title}",
                "uri": _data_uri((folder / name).read_bytes()),
                "size": Image.open(folder / name).size,
            }
            for name, alt in _PICTURES.items()
            if (folder / name).exists()
        ],
        "comparison": _comparison(folder / "article_comparison.csv"),
        "own_digits": record["settings"].get("digits") == fingerprint(mnist),
        "outputs": list(_outputs(model, *experiment.prepare(mnist).test)),
    }


def _comparison(file: Path) -> dict[str, Any] | None:
    if not file.exists():
        return None
    table = pd.read_csv(file)
    return {"verdict": verdict_row(table), "last": table[table["epoch"] == table["epoch"].max()]}


def _outputs(model: keras.Model, x: Any, y: Any) -> Iterator[dict[str, Any]]:
    """Yield what each output makes of the test digits: accuracy, confusion matrix, and where it is most wrong."""
    images = [image.reshape(-1, 28, 28) for image in (x.values() if isinstance(x, dict) else [x])]
    truths = y if isinstance(y, dict) else {"output": y}
    predictions = model.predict(x, batch_size=256, verbose=0)
    predictions = predictions if isinstance(predictions, list) else [predictions]
    if len(images) > len(predictions):  # a pair is one question
        images = [np.concatenate(images, axis=2)]
    for (name, truth), shown, probabilities in zip(truths.items(), images, predictions):
        labels = np.arange(10)
        if probabilities.shape[1] == 1:
            probabilities = np.hstack([1 - probabilities, probabilities])
            labels = np.array(["different", "same"])
        found = probabilities.argmax(axis=1)
        sure = probabilities[np.arange(len(truth)), truth]
        worst = [place for place in np.argsort(sure, kind="stable")[:_WORST] if found[place] != truth[place]]
        yield {
            "name": name,
            "accuracy": float(np.mean(found == truth)),
            "confusion": _confusion(truth, found, labels),
            "worst": [
                {
                    "uri": _digit(shown[place]),
                    "truth": labels[truth[place]],
                    "found": labels[found[place]],
                    "probability": float(probabilities[place, found[place]]),
                }
                for place in worst
            ],
        }


def _confusion(truth: np.ndarray, found: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Return how often each label, a row, was taken for each other, a column."""
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, (truth, found), 1)
    return pd.DataFrame(counts, index=labels, columns=labels)


def _digit(image: np.ndarray) -> str:
    """Return an image with pixels from 0 to 1 as ink on paper, small enough to stand in the page."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * (1 - image)).astype(np.uint8)).save(file, "PNG")
    return _data_uri(file.getvalue())


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
