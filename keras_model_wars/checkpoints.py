"""What a training leaves on disk as it goes: its record, its history, and the state to go on from."""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from keras_model_wars.files import replacing

# What a run leaves in its folder.
FILES = (
    "model.keras",
    "history.csv",
    "summary.txt",
    "diagram.png",
    "learning_curves.png",
    "article_comparison.csv",
    "article_comparison.png",
    "run.json",
)


class RunRecord(keras.callbacks.Callback):
    """The ``run.json`` and ``history.csv`` of a run, written anew after every epoch.

    ``settings`` are those that decide the result. A folder that holds another run raises a ValueError, unless ``resume``
    (which refuses other settings than the run's own) or ``overwrite`` says what to do with it.
    """

    def __init__(self, folder: Path, record: dict[str, Any], *, resume: bool, overwrite: bool):
        super().__init__()
        self.folder = folder
        # Through JSON, as the record to resume will have come; NumPy's whole numbers become Python's.
        self.record = json.loads(json.dumps(record, default=int)) | {"seconds_an_epoch": []}
        self._history: list[dict[str, float]] = []
        if overwrite:
            # The other files stay whole until the new run replaces them.
            shutil.rmtree(folder / "backup", ignore_errors=True)
        elif (folder / "run.json").exists():
            try:
                found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
                found["settings"], found["seconds_an_epoch"]
            except (ValueError, TypeError, KeyError):
                raise ValueError(
                    f"{folder / 'run.json'} should be the record of a run. Received: a file that is none. Train anew in its "
                    "place with overwrite=True or --overwrite."
                ) from None
            self._go_on_from(found, resume)

    def _go_on_from(self, found: dict[str, Any], resume: bool) -> None:
        if "test" in found:
            raise ValueError(
                f"`out` should be a folder without a finished run. Received: {self.folder}. Name another one with `out` or "
                "--out, or train anew in its place with overwrite=True or --overwrite."
            )
        if not resume:
            raise ValueError(
                f"`out` should be a folder without a run. Received: {self.folder}, whose run is unfinished. Go on with it by "
                "resume=True or --resume, or train anew in its place with overwrite=True or --overwrite."
            )
        for name in found["settings"] | self.record["settings"]:
            ours, theirs = self.record["settings"].get(name), found["settings"].get(name)
            if ours != theirs:
                raise ValueError(
                    f"`{name}` should be {theirs!r}, as in the run to resume in {self.folder}. Received: {name}={ours!r}."
                )
        self.record["seconds_an_epoch"] = found["seconds_an_epoch"]
        if (self.folder / "history.csv").exists():
            # Read as text: pandas rounds in its own way, Python's floats come back to the bit.
            history = pd.read_csv(self.folder / "history.csv", index_col="epoch", dtype=str).astype(float)
            self._history = history.to_dict("records")

    @property
    def history(self) -> pd.DataFrame:
        """The finished epochs, a row each, counted from 1."""
        return pd.DataFrame(self._history, index=pd.RangeIndex(1, len(self._history) + 1, name="epoch"))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Forget what was written of this epoch before the run was stopped in it."""
        self._history = self._history[:epoch]
        self.record["seconds_an_epoch"] = self.record["seconds_an_epoch"][:epoch]
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the history and the record."""
        self._history.append(dict(logs or {}))
        self.record["seconds_an_epoch"].append(round(time.perf_counter() - self._start, 2))
        with replacing(self.folder / "history.csv") as temporary:
            self.history.to_csv(temporary)
        self.write()

    def write(self, **more: Any) -> None:
        """Write ``run.json``, with more entries where given."""
        self.record.update(more)
        text = json.dumps(_finite(self.record), indent=2, allow_nan=False)
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    """Put None for the losses of a diverged training, which JSON has no words for."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class WholeBackup(keras.callbacks.BackupAndRestore):
    """Keras's ``BackupAndRestore``, whose files are never half written.

    Keras writes an epoch's weights over the last one's, and the epoch's number after them: a program killed in between
    would go on from the wrong place. Here it writes to a folder of its own, which is renamed when it is whole.
    """

    def __init__(self, folder: Path):
        self._latest, self._before = folder / "latest", folder / "before"
        self._writing = folder / "writing"
        if self._before.exists() and not self._latest.exists():
            self._before.rename(self._latest)
        shutil.rmtree(self._writing, ignore_errors=True)
        if self._latest.exists():
            shutil.copytree(self._latest, self._writing)
        super().__init__(str(self._writing), delete_checkpoint=False)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Back the epoch up, and only then let go of the one before."""
        super().on_epoch_end(epoch, logs)
        shutil.rmtree(self._before, ignore_errors=True)
        if self._latest.exists():
            self._latest.rename(self._before)
        self._writing.rename(self._latest)
        shutil.rmtree(self._before, ignore_errors=True)
