"""Try something on the installed Keras, and say what it did."""

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

# Keras's preface, its bold letters, and what it received: layers whose names are
# counted through the whole process.
NOISE = re.compile(
    r"(?s)Exception encountered when calling \S+|\x1b\[\d+m|"
    r"(Received: \[|Inputs received).*"
)


@dataclass(frozen=True)
class Outcome:
    """What an attempt returned, None if Keras refused it, and the evidence in words."""

    returned: object
    evidence: str


def try_out(attempt: Attempt) -> Outcome:
    """Run an attempt; return what it gave, or how Keras refused, and any warnings.

    Sets Python's, NumPy's and Keras's random seeds: what is measured would differ from
    run to run.
    """
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            returned = attempt()
            words = str(returned)
            if isinstance(returned, keras.Model):
                words = f"builds: {which_api(returned)}"
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            returned = None
            words = f"{type(error).__name__}: {NOISE.sub('', str(error))}"
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            words += f"; {warning.category.__name__}: {warning.message}"
    return Outcome(returned, " ".join(words.split()))


def as_list(table: pd.DataFrame, item: str, evidence: str) -> str:
    """Return a Markdown list: one item per row, with its evidence quoted below."""
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


def save_and_load(model: keras.Model, **options: object) -> keras.Model:
    """Save a model to a temporary .keras file, and load it from there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return keras.saving.load_model(path, **options)


def describe_restored(model: keras.Model) -> str:
    """Say how a tiny model that uses one layer twice comes back from a file."""
    x = np.random.default_rng(0).random((4, 4))
    restored = save_and_load(model)
    change = np.abs(model(x) - restored(x)).max()
    return (
        f"builds, {len(model.weights)} weights for two uses; "
        f"restored from a file, its predictions differ by {change:.2g}"
    )
