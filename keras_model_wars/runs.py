"""A run's folder: the record, the history and the model in it, and how they are continued."""

import json
import platform
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from keras_model_wars.apis import which_api
from keras_model_wars.checks import InputError, replacing
from keras_model_wars.predicting import load_model

END_FILES = (
    "learning_curves.png",
    "article_comparison.csv",
    "article_comparison.png",
    "mistakes.png",
)
# In the order in which they are removed: without run.json, nothing else in the folder counts.
RUN_FILES = (
    "model.keras",
    "history.csv",
    "summary.txt",
    "diagram.png",
    *END_FILES,
    "run.json",
)


class RunRecord(keras.callbacks.Callback):
    """The record and history of a run, which its folder gets after every epoch, and after them the model.

    The model is the one checkpoint: its optimizer's iterations tell how many epochs a killed run has ``saved``.
    """

    def __init__(
        self,
        folder: Path | None,
        network: keras.Model,
        settings: dict[str, Any],
        source: str,
    ):
        super().__init__()
        self.folder, self.saved, self._rows, verdict = folder, 0, [], which_api(network)
        self._record = {
            # Through JSON, to compare with those of a file; NumPy's integers become Python's.
            "settings": json.loads(json.dumps(settings, default=int)),
            "data": source,
            "parameters": network.count_params(),
            "api": verdict.api,
            "reasons": [str(reason) for reason in verdict.reasons],
            "versions": {
                "python": platform.python_version(),
                "keras": keras.version(),
                "tensorflow": tf.__version__,
            },
            "backend": keras.config.backend(),
            "seconds_per_epoch": [],
        }

    @property
    def history(self) -> pd.DataFrame:
        """The finished epochs, one row each, counted from 1."""
        return pd.DataFrame(
            self._rows, index=pd.RangeIndex(1, len(self._rows) + 1, name="epoch")
        )

    def start(self, epochs: int) -> None:
        """Start a run, of ``epochs`` unless another number was asked for, in a folder without another's files."""
        self.epochs = self._record["settings"]["epochs"] = (
            self._record["settings"]["epochs"] or epochs
        )
        if self.folder:
            self._remove(RUN_FILES)
            self.write()

    def resume(self, network: keras.Model, batches: int) -> keras.Model:
        """Continue the run in the folder; return its model, or ``network`` if no epoch was finished."""
        try:
            found = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
            ours, theirs, seconds = (
                self._record["settings"],
                found["settings"],
                found["seconds_per_epoch"],
            )
            differing = [
                name
                for name in theirs | ours
                if name != "epochs" and ours.get(name) != theirs.get(name)
            ]
            self.epochs = ours["epochs"] = ours["epochs"] or theirs["epochs"]
            if saved := (self.folder / "model.keras").exists():
                # As text: pandas rounds in its own way, and Python's floats come back to the bit.
                history = pd.read_csv(
                    self.folder / "history.csv", index_col="epoch", dtype=str
                ).astype(float)
        except (ValueError, TypeError, KeyError):
            expected = f"{self.folder / 'run.json'} should be the record of a run, and history.csv its history"
            raise InputError(
                expected, "something else. Start over with --overwrite"
            ) from None
        for name in differing:
            wanted = repr(theirs[name]) if name in theirs else "left out"
            expected = (
                f"`{name}` should be {wanted}, as in the run to resume in {self.folder}"
            )
            raise InputError(expected, f"{name}={ours.get(name)!r}")
        if saved:
            network = load_model(self.folder, compile=True)
            self.saved = int(network.optimizer.iterations) // batches
            if self.epochs < self.saved:
                expected = f"`epochs` should be at least {self.saved}, which the run in {self.folder} has finished"
                raise InputError(expected, f"epochs={self.epochs}")
            self._rows = history.head(self.saved).to_dict("records")
        self._record["seconds_per_epoch"] = seconds[: self.saved]
        self.write()  # without the test result
        self._remove(END_FILES)
        return network

    def _remove(self, names: tuple[str, ...]) -> None:
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        for left in self.folder.glob(
            f".*-{'[0-9a-f]' * 32}.*"
        ):  # by a kill in the middle of writing
            left.unlink()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep the epoch, and save it in the order that makes the folder resumable at any moment."""
        self._rows.append(dict(logs or {}))
        self._record["seconds_per_epoch"].append(
            round(time.perf_counter() - self._start, 2)
        )
        if self.folder:
            self.write()
            with replacing(self.folder / "history.csv") as temporary:
                self.history.to_csv(temporary)
            with replacing(self.folder / "model.keras") as temporary:
                self.model.save(temporary)
            self.saved = epoch + 1

    def write(self, **results: Any) -> None:
        """Write ``run.json``, with the results of a finished run."""
        # A diverged run's losses, for which JSON has no numbers, become null.
        record = json.loads(
            json.dumps(self._record | results), parse_constant=lambda _: None
        )
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
