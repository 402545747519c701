"""A run's folder: its record, history and model, and how a run is continued."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import textwrap
import time
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from keras_model_wars.apis import NOT_RESTORED, which_api
from keras_model_wars.checks import InputError, replacing

END_FILES = (
    "learning_curves.png",
    "article_comparison.csv",
    "article_comparison.png",
    "mistakes.png",
)
# In the order in which they are removed: run.json last, so that a folder that is half
# emptied is still known as a run.
RUN_FILES = (
    "model.keras",
    "history.csv",
    "summary.txt",
    "diagram.png",
    *END_FILES,
    "run.json",
)


def load_model(path: str | os.PathLike, *, compile: bool = False) -> keras.Model:
    """Load a model from a run's folder or a ``.keras`` file, in Keras's safe mode.

    With ``compile``, the model comes with its optimizer's state. Raises an InputError if
    the file is missing or damaged, holds code (a ``Lambda``), uses one layer twice in a
    Sequential model, or needs a class that is not registered.

    >>> kmw.load_model("runs/sequential").output_shape
    (None, 10)
    """
    path = Path(path)
    file = path / "model.keras" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{path} should be a run's folder or a .keras file. "
            f"Received: {_what_is_there(path)}"
        )
    if file.suffix != ".keras":
        raise InputError(
            f"{path} should be a .keras file. Received: another kind of file. "
            'Save the model with model.save("model.keras")'
        )
    if not zipfile.is_zipfile(file):
        raise InputError(f"{path} should be a .keras file. Received: a damaged one")
    try:
        return keras.saving.load_model(file, compile=compile, safe_mode=True)
    except Exception as error:  # h5py, zipfile, json and Keras fail in their own ways
        raise InputError(f"{path} {_why_not_loaded(str(error))}") from error


def _what_is_there(path: Path) -> str:
    if not path.exists():
        advice = "To train a model: `keras-model-wars train sequential`"
        return f"no such file or folder. {advice}"
    if not (path / "run.json").exists():
        return "a folder without a model"
    model = "sequential"
    with contextlib.suppress(InputError):  # the record may be damaged
        model = read_record(path)["settings"]["model"]
    return (
        "a run that was stopped in its first epoch. "
        f"To continue it: `keras-model-wars train {model} --out {path} --resume`"
    )


def _why_not_loaded(message: str) -> str:
    """Return what is wrong with a model's file: the reasons have different advice."""
    unknown = message.find("Could not locate")
    if unknown >= 0:
        return (
            "should hold a model of Keras's own layers, or of classes that are "
            f"registered. Received: {textwrap.shorten(message[unknown:], 160)}. "
            "Decorate the class with keras.saving.register_keras_serializable() and "
            "import its file first; in the command, name the model FILE.py:NAME"
        )
    if "Lambda" in message or "unsafe" in message:
        return (
            "should hold no code. Received: a Lambda layer or another Python function, "
            "which could do anything when it is loaded. Use a layer of Keras instead"
        )
    reason = textwrap.shorten(message, 160)
    if "could not be loaded" in message:
        return (
            "should be a model that Keras can restore. Received: one that uses a layer "
            "twice, which to_functional converts before it is saved, or a damaged file "
            f"({reason})"
        )
    return f"should be a .keras file. Received: a damaged one ({reason})"


def read_record(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` holds, or raise an InputError."""
    file = folder / "run.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        seconds = record["seconds_per_epoch"]
        [float(second) for second in seconds]
        record["settings"]["model"], record["settings"]["epochs"], record["data"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file} should be the record of a run. Received: something else "
            f"({type(error).__name__}: {error}). Start over with --overwrite"
        ) from None
    return record


def is_finished(folder: Path) -> bool:
    """Tell whether a folder holds a finished run; an InputError says it is damaged."""
    return (folder / "run.json").is_file() and "test" in read_record(folder)


def finished_runs(folder: Path) -> list[Path]:
    """Return the folders of the finished runs in a folder, without damaged ones."""
    finished = []
    for file in sorted(folder.glob("*/run.json")):
        with contextlib.suppress(InputError):
            if is_finished(file.parent):
                finished.append(file.parent)
    return finished


def check_folder(out: Path | None, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder in which training would lose files, before anything is done."""
    if resume and overwrite:
        raise InputError(
            "`resume` and `overwrite` should not be used together. Received: both"
        )
    if out is None:
        if resume or overwrite:
            raise InputError(
                "`resume` and `overwrite` should come with `out`, the folder of a run. "
                "Received: out=None"
            )
        return
    found = [name for name in RUN_FILES if (out / name).exists()]
    is_run = "run.json" in found
    if is_run and (resume or overwrite):
        return
    if is_run:
        raise InputError(
            f"`out` should be a folder without a run. Received: {out}, which holds one. "
            "Continue it with resume=True or --resume, "
            "or start over with overwrite=True or --overwrite"
        )
    if found:
        raise InputError(
            f"`out` should be a folder without files of these names: {out} holds "
            f"{', '.join(found)}, which training would replace. Choose another folder"
        )


class RunRecord(keras.callbacks.Callback):
    """Keep the record and history of a run, and save them after every epoch.

    The model is the one checkpoint: its optimizer's iterations tell how many epochs of a
    killed run are ``saved``. Without a ``folder``, nothing is written.
    """

    def __init__(
        self,
        folder: Path | None,
        model: keras.Model,
        *,
        title: str,
        settings: dict[str, Any],
        source: str,
    ):
        super().__init__()
        verdict = which_api(model)
        if folder and any(NOT_RESTORED in str(reason) for reason in verdict.reasons):
            # Its file would come back with other predictions, without a word.
            raise InputError(
                "The model should not use a layer twice in a Sequential model, which "
                f"can't be restored from its file. Received: {verdict}. Convert the "
                "Sequential model with kmw.to_functional in the builder"
            )
        self.folder = folder
        self.epochs = settings["epochs"]
        self.saved = 0
        self._rows: list[dict[str, float]] = []
        self._record: dict[str, Any] = {
            "title": title,
            # Through JSON, to compare with those of a file.
            "settings": json.loads(json.dumps(settings, default=_as_json)),
            "data": source,
            "parameters": model.count_params(),
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

    def exists(self) -> bool:
        """Tell whether there is a run in the folder."""
        return self.folder is not None and (self.folder / "run.json").exists()

    @property
    def history(self) -> pd.DataFrame:
        """The finished epochs, one row per epoch, counted from 1."""
        epochs = pd.RangeIndex(1, len(self._rows) + 1, name="epoch")
        return pd.DataFrame(self._rows, index=epochs)

    def start(self) -> None:
        """Start a run in its folder, without the files of another."""
        if self.folder:
            _remove(self.folder, RUN_FILES)
            self.write()

    def resume(self, model: keras.Model, *, batches: int, epochs: int | None) -> None:
        """Continue the run in the folder: give ``model`` its weights and momentum.

        ``batches`` is the number of batches per epoch; ``epochs`` the number of epochs
        that was asked for, None for that of the run.
        """
        assert self.folder is not None
        found = read_record(self.folder)
        self.epochs = epochs or found["settings"]["epochs"]
        self._record["settings"]["epochs"] = self.epochs
        self._check_settings(found["settings"], found["data"])
        checkpoint = self.folder / "model.keras"
        if checkpoint.exists():
            check_architecture(model, checkpoint)
            model.optimizer.build(model.trainable_variables)
            # A compiled model's file restores the optimizer's state as well.
            _load_weights(model, checkpoint)
            self.saved = int(model.optimizer.iterations) // batches
            self._rows = _read_rows(self.folder, self.saved)
        if self.epochs < self.saved:
            raise InputError(
                f"`epochs` should be at least {self.saved}, which the run in "
                f"{self.folder} has finished. Received: epochs={self.epochs}"
            )
        self._record["seconds_per_epoch"] = found["seconds_per_epoch"][: self.saved]
        self.write()  # without the test result
        _remove(self.folder, END_FILES)

    def _check_settings(self, theirs: dict[str, Any], data: str) -> None:
        ours = self._record["settings"]
        for name in theirs | ours:
            if name == "epochs" or ours.get(name) == theirs.get(name):
                continue
            wanted = repr(theirs[name]) if name in theirs else "left out"
            advice = f". Pass the same data: {data}" if name == "digits" else ""
            raise InputError(
                f"`{name}` should be {wanted}, as in the run to resume in "
                f"{self.folder}. Received: {name}={ours.get(name)!r}{advice}"
            )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save the epoch, in the order that makes the folder resumable at any time."""
        seconds = time.perf_counter() - self._start
        self._rows.append(dict(logs or {}))
        self._record["seconds_per_epoch"].append(round(seconds, 2))
        if self.folder:
            self.write()
            with replacing(self.folder / "history.csv") as temporary:
                self.history.to_csv(temporary)
            with replacing(self.folder / "model.keras") as temporary:
                self.model.save(temporary)

    def finish(self, test_metrics: dict[str, float]) -> None:
        """Complete the record with the results of the finished run."""
        if self.folder:
            self.write(final_epoch=self._rows[-1], test=test_metrics)

    def write(self, **results: Any) -> None:
        """Write ``run.json``, with the results of a finished run."""
        # JSON has no numbers for the losses of a diverged run; they become null.
        assert self.folder is not None
        text = json.dumps(self._record | results)
        record = json.loads(text, parse_constant=lambda _: None)
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def write_summary(model: keras.Model, file: Path) -> None:
    """Write a model's summary, as wide as its longest name needs."""
    lines: list[str] = []
    columns = os.environ.get("COLUMNS")
    for width in (100, 140, 200, 300):
        lines = []
        # Keras cuts its table at the width of the screen, which nothing else sets.
        os.environ["COLUMNS"] = str(width)
        try:
            model.summary(line_length=width, print_fn=lines.append)
        finally:
            os.environ.pop("COLUMNS")
            if columns is not None:
                os.environ["COLUMNS"] = columns
        if not any("…" in line for line in lines):
            break
    with replacing(file) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_architecture(model: keras.Model, checkpoint: Path) -> None:
    """Refuse to continue a run with another model than the one in its checkpoint."""
    try:
        saved = _layers(_saved_config(checkpoint))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{checkpoint} should be a .keras file. Received: a damaged one ({error}). "
            "Start over with --overwrite"
        ) from None
    built = _layers(_without_ids(model.to_json()).get("config", {}))
    if len(saved) != len(built):
        raise InputError(
            f"The model should have {len(saved)} layers, as in the run to resume. "
            f"Received: {len(built)} layers"
        )
    for place, (before, now) in enumerate(zip(saved, built), start=1):
        if before == now:
            continue
        names = [key for key in before | now if before.get(key) != now.get(key)]
        values = [f"{key}={before.get(key)!r}" for key in names]
        received = [f"{key}={now.get(key)!r}" for key in names]
        raise InputError(
            f"Layer {place} should have {', '.join(values)}, as in the run "
            f"to resume in {checkpoint.parent}. Received: {', '.join(received)}"
        )


def _layers(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each layer's class, settings and inputs as one flat dict.

    Keras numbers the layers that have no name of their own through the whole process,
    so the inputs are told by their layer's place and not by its name.
    """
    found = config.get("layers", [])
    places = {layer["config"].get("name"): place for place, layer in enumerate(found)}
    layers = []
    for layer in found:
        settings = dict(layer["config"])
        settings["name"] = ""
        if "layers" in settings:  # a nested model
            settings["layers"] = _layers(settings)
            settings["input_layers"] = settings["output_layers"] = None
        wrapped = settings.get("layer")
        if isinstance(wrapped, dict):
            settings["layer"] = _layers({"layers": [wrapped]})
        settings["class"] = layer["class_name"]
        inputs = json.dumps(layer.get("inbound_nodes", []))
        for name, place in places.items():
            inputs = inputs.replace(f'"{name}"', f"layer {place}")
        settings["inputs"] = inputs
        layers.append(settings)
    return layers


def _saved_config(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        saved = _without_ids(archive.read("config.json"))
    return {"class_name": saved.get("class_name"), **saved.get("config", {})}


def _without_ids(text: str | bytes) -> dict[str, Any]:
    """Parse a model's config without the ids that differ from process to process."""

    def drop(part: dict[str, Any]) -> dict[str, Any]:
        part.pop("shared_object_id", None)
        return part

    return json.loads(text, object_hook=drop)


def _load_weights(model: keras.Model, checkpoint: Path) -> None:
    try:
        model.load_weights(checkpoint)
    except Exception as error:  # h5py, zipfile and Keras fail in their own ways
        reason = textwrap.shorten(str(error), 160)
        raise InputError(
            f"{checkpoint} should hold the weights of this model. "
            f"Received: others, or a damaged file ({reason}). "
            "Start over with --overwrite"
        ) from error


def _read_rows(folder: Path, saved: int) -> list[dict[str, float]]:
    file = folder / "history.csv"
    try:
        # As text: pandas rounds in its own way, and Python's floats come back exactly.
        history = pd.read_csv(file, index_col="epoch", dtype=str).astype(float)
        if history.index[:saved].astype(int).tolist() != [*range(1, saved + 1)]:
            raise ValueError(f"the epochs {history.index.tolist()}")
    except (ValueError, KeyError, OSError) as error:
        raise InputError(
            f"{file} should hold the history of the run's {saved} epochs. "
            f"Received: {error}. Start over with --overwrite"
        ) from None
    return history.head(saved).to_dict("records")


def _as_json(value: Any) -> Any:
    """Return a builder's argument that JSON doesn't know as one that it does."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return getattr(value, "__name__", type(value).__name__)


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
    # What a kill in the middle of writing left; see checks.replacing.
    for leftover in folder.glob(f".*-{'[0-9a-f]' * 32}.*"):
        leftover.unlink()
