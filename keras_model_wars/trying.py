"""Try something on the installed Keras and report what it did; the tiny models to try it with."""

import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers

from keras_model_wars.apis import which_api

Attempt = Callable[[], object]
REFUSALS = (AttributeError, ImportError, TypeError, ValueError)


@dataclass(frozen=True)
class Outcome:
    """What an attempt returned, None if Keras refused it, and the evidence in words."""

    returned: object
    evidence: str


def try_out(attempt: Attempt) -> Outcome:
    """Run an attempt, and return what it gave or how Keras refused, with Keras's warnings.

    Sets Python's, NumPy's and Keras's random seeds: what is measured would differ from
    run to run.
    """
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            returned = attempt()
            words = _describe(returned)
        except REFUSALS as error:
            returned = None
            words = f"{type(error).__name__}: {_essence(error)}"
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            words += f"; {warning.category.__name__}: {warning.message}"
    return Outcome(returned, " ".join(words.split()))


def _describe(returned: object) -> str:
    if isinstance(returned, keras.Model):
        return f"builds: {which_api(returned)}"
    return str(returned)


def _essence(error: Exception) -> str:
    # What was received names layers by counters, which differ from run to run.
    message = re.split(r"Received: \[|Inputs received", str(error))[0]
    bold = r"\x1b\[\d+m"
    return re.sub(rf"Exception encountered when calling \S+|{bold}", "", message)


def as_list(table: pd.DataFrame, item: str, evidence: str) -> str:
    """Return a Markdown list: an item per row, filled in, with its evidence as a quotation."""
    lines = []
    for row in table.to_dict("records"):
        lines.append(f"* {item.format_map(row)}\n  > {row[evidence]}")
    return "\n".join(lines)


def tiny_input(name: str = "input") -> keras.KerasTensor:
    """Return the input of a tiny model: four features."""
    return keras.Input((4,), name=name)


def dense(name: str | None = "dense") -> layers.Dense:
    """Return a layer of a tiny model, which keeps the shape of its input."""
    return layers.Dense(4, activation="tanh", name=name)


def sequential_sharing() -> keras.Sequential:
    """Build a tiny Sequential model that uses one layer twice."""
    shared = dense()
    return keras.Sequential([tiny_input(), shared, shared])


def largest_difference(first: object, second: object) -> float:
    """Return the largest absolute difference between two tensors."""
    return float(keras.ops.max(keras.ops.abs(first - second)))


def save_and_load(model: keras.Model, **options: object) -> keras.Model:
    """Save a model to a temporary .keras file, and load it from there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return keras.saving.load_model(path, **options)


def describe_restored(model: keras.Model) -> str:
    """Say how a tiny model that uses one layer twice comes back from a file."""
    x = np.random.default_rng(0).random((4, 4))
    change = largest_difference(model(x), save_and_load(model)(x))
    return (
        f"builds, {len(model.weights)} weights for two uses; "
        f"restored from a file, its predictions differ by {change:.2g}"
    )
