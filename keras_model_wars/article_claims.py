"""What both articles say about the two APIs, and what has changed since: all put to the test on the installed Keras."""

import contextlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import numpy as np
import pandas as pd
from keras import layers

from keras_model_wars import models
from keras_model_wars.apis import to_functional, which_api
from keras_model_wars.plotting import plot_model


def claims() -> pd.DataFrame:
    """Put every statement of both articles about what an API can or can't do to the test.

    Returns one row per statement: ``article`` (first or second), ``statement``, ``the article`` (possible or
    impossible), ``Keras`` (builds or refuses), ``evidence`` (what was measured, or Keras's own error) and ``holds``
    (yes or no). Sets Python's, NumPy's and Keras's random seeds for the whole process. Follows both articles.

    >>> claims().query("holds == 'no'")
    """
    rows = []
    for article, statement, possible, attempt in _CLAIMS:
        found, evidence = tried(attempt)
        says, does = (
            "possible" if possible else "impossible",
            "refuses" if found is None else "builds",
        )
        rows.append(
            (
                article,
                statement,
                says,
                does,
                evidence,
                "yes" if possible == (does == "builds") else "no",
            )
        )
    return pd.DataFrame(
        rows,
        columns=["article", "statement", "the article", "Keras", "evidence", "holds"],
    )


def changes() -> pd.DataFrame:
    """Try the articles' lines that today's Keras treats differently, and today's form of each.

    Returns one row per line: ``in the articles``, ``today`` (what the installed Keras does with it), ``today's form``
    and ``tried`` (what that form gave). Sets Python's, NumPy's and Keras's random seeds for the whole process.

    >>> changes()["today's form"]
    """
    rows = [
        (line, tried(then)[1], form, tried(now)[1])
        for line, then, form, now in _CHANGES
    ]
    return pd.DataFrame(
        rows, columns=["in the articles", "today", "today's form", "tried"]
    )


def tried(attempt: Callable[[], Any]) -> tuple[Any, str]:
    """Return what an attempt returned, None if Keras refused, and the evidence: it, and Keras's error or warnings."""
    keras.utils.set_random_seed(
        0
    )  # what is trained or measured would differ from run to run
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = attempt()
            words = [
                f"builds: {which_api(found)}"
                if isinstance(found, keras.Model)
                else str(found)
            ]
        except (AttributeError, ImportError, TypeError, ValueError) as error:
            # Without Keras's preface and without what was received, whose counters differ from run to run.
            noise = r"(?s)Exception encountered when calling \S+|\x1b\[\d+m|(Received: \[|Inputs received).*"
            found, words = (
                None,
                [f"{type(error).__name__}: {re.sub(noise, '', str(error))}"],
            )
    words += [
        f"{w.category.__name__}: {w.message}"
        for w in caught
        if issubclass(w.category, UserWarning)
    ]
    return found, " ".join("; ".join(words).split())


def two_outputs(
    metrics: list | None = None, names: tuple = ("output_a", "output_b"), **fit: Any
) -> str:
    """Train a tiny model with two inputs and two outputs, and tell what its history records."""
    inputs, zeros = [tiny_input(), tiny_input("second_input")], np.zeros((10, 4))
    model = keras.Model(inputs, [dense(name)(x) for name, x in zip(names, inputs)])
    model.compile(
        "sgd", "mse", metrics=metrics, run_eagerly=True
    )  # tracing would take longer than the training
    return f"gives {', '.join(model.fit([zeros, zeros], [zeros, zeros], verbose=0, **fit).history)}"


def sharing() -> keras.Sequential:
    """Build a tiny Sequential model that uses one layer twice."""
    return keras.Sequential([tiny_input(), shared := dense(), shared])


def difference(
    model: keras.Model, other: keras.Model, shape: tuple[int, ...] = (4, 4)
) -> float:
    """Return the largest difference between two models' predictions."""
    x = np.random.default_rng(0).random(shape, dtype="float32")
    return float(keras.ops.max(keras.ops.abs(model(x) - other(x))))


def change_in_file(model: keras.Model, **custom_objects: type) -> float:
    """Return the largest difference between a model's predictions and those of what its file gives back."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        return difference(
            model, keras.saving.load_model(f"{folder}/model.keras", custom_objects)
        )


def after_saving(model: keras.Model) -> str:
    """Tell what a file does to a tiny model that uses one layer twice."""
    change = (
        f"restored from a file, its predictions differ by {change_in_file(model):.2g}"
    )
    return f"builds, {len(model.weights)} weights for two uses; {change}"


def tiny_input(name: str = "input") -> keras.KerasTensor:
    """Return the input of a tiny model."""
    return keras.Input((4,), name=name)


def dense(name: str | None = "dense") -> layers.Dense:
    """Return a layer of a tiny model, which keeps the shape of its input."""
    return layers.Dense(4, activation="tanh", name=name)


def _stack(*parts: Any) -> keras.Sequential:
    return keras.Sequential(list(parts), name="sequential")


def _lstm() -> list[Any]:
    return [
        keras.Input((5, 4), name="input"),
        layers.LSTM(2, return_state=True, name="lstm"),
    ]


def _lstm_states_joined() -> keras.Model:
    inputs, lstm = _lstm()
    return keras.Model(inputs, layers.Concatenate(name="concatenate")(lstm(inputs)[1:]))


def _bypass() -> str:
    model = models.build_wide_deep((8, 8))
    for weights in model.weights[:-2]:  # all but the output layer's
        weights.assign(0 * weights)
    black, white = model.predict(
        np.stack([np.zeros((28, 28)), np.ones((28, 28))]), verbose=0
    )
    if not (change := np.abs(black - white).max()):
        raise ValueError(
            "with the deep path's weights at zero, the image makes no difference"
        )
    return f"builds; with the deep path's weights at zero, black and white images differ by {change:.2f}"


def _twin() -> str:
    model, twin = models.build_sequential((8, 8)), models.build_functional_twin((8, 8))
    twin.set_weights(model.get_weights())
    return f"builds; with equal weights, predictions differ by {difference(model, twin, (4, 28, 28)):.2g}"


def _layer_of_another_model() -> str:
    model = keras.Sequential([tiny_input(), shared := dense("shared")])
    other, before = (
        keras.Sequential([tiny_input(), dense(), shared]),
        model.get_weights()[0],
    )
    other.set_weights([weights + 1 for weights in other.get_weights()])
    return f"builds; adding 1 to one model's weights adds {(model.get_weights()[0] - before).mean():.2g} to the other's"


def _progress() -> str:
    model = keras.Sequential([tiny_input(), dense()])
    model.compile("sgd", "mse", run_eagerly=True)
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        model.fit(np.zeros((64, 4)), np.zeros((64, 4)))
    return f"64 digits in batches of 32 are counted {re.findall('[0-9]+/[0-9]+', screen.getvalue())[-1]}"


def _draw_without_graphviz(draw: Callable[[keras.Model, str], Any]) -> str:
    screen = io.StringIO()
    with mock.patch.dict(os.environ, PATH=""), tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(screen):
            draw(models.build_sequential((8, 8)), f"{folder}/model.svg")
        if not os.listdir(
            folder
        ):  # in a notebook, Keras only prints what it raises elsewhere
            raise ImportError(screen.getvalue())
    return "draws model.svg"


# The article, its statement, whether it says that this is possible, and the attempt, which raises if Keras refuses.
_CLAIMS = (
    (
        "first",
        "a Sequential model is made layer by layer",
        True,
        lambda: models.build_added_sequential((8, 8)),
    ),
    (
        "first",
        "a Sequential model shares a layer, used twice along its chain",
        False,
        lambda: after_saving(sharing()),
    ),
    (
        "first",
        "a Sequential model shares a layer between two inputs",
        False,
        lambda: _stack(
            tiny_input("left"), shared := dense(), tiny_input("right"), shared
        ),
    ),
    (
        "first",
        "a Sequential model has branches",
        False,
        lambda: _stack(tiny_input(), [dense("short"), dense("deep")]),
    ),
    (
        "first",
        "a Sequential model joins branches",
        False,
        lambda: _stack(tiny_input(), layers.Concatenate()),
    ),
    (
        "first",
        "a Sequential model has several inputs",
        False,
        lambda: _stack(tiny_input(), tiny_input("b"), dense()),
    ),
    (
        "first",
        "a Sequential model has several outputs",
        False,
        lambda: (
            f"builds: sequential, the last layer returns {len(_stack(*_lstm()).outputs)} tensors"
        ),
    ),
    (
        "first",
        "a Sequential model passes two tensors on midway",
        False,
        lambda: _stack(*_lstm(), dense()),
    ),
    (
        "first",
        "a Functional model passes two tensors on midway",
        True,
        _lstm_states_joined,
    ),
    (
        "first",
        "a Functional model shares a layer, used twice",
        True,
        lambda: after_saving(to_functional(sharing())),
    ),
    (
        "first",
        "a Functional model has branches that join",
        True,
        lambda: models.build_wide_deep((8, 8)),
    ),
    ("first", "a Functional model leads its input past the deep path", True, _bypass),
    (
        "first",
        "a Functional model has several inputs and outputs",
        True,
        lambda: models.build_two_input_two_output((8, 8), 8),
    ),
    (
        "second",
        "a Sequential model's first layer takes `input_dim`",
        True,
        lambda: _stack(layers.Dense(4, input_dim=4)),
    ),
    (
        "second",
        "a Sequential model has its input elsewhere than first",
        False,
        lambda: _stack(tiny_input(), dense(), tiny_input("late_input")),
    ),
    (
        "second",
        "a Sequential model uses a layer of another model",
        False,
        _layer_of_another_model,
    ),
    ("second", "a Functional model says what a Sequential one says", True, _twin),
    (
        "second",
        "a Functional model's inputs share the same layers",
        True,
        lambda: models.build_shared_layers((8, 8)),
    ),
)

# A line of the articles and what Keras does with it, then today's form and what that gives.
_CHANGES = (
    (
        "`Dense(32, input_dim=784)`",
        lambda: _stack(layers.Dense(32, input_dim=784)),
        "`keras.Input((784,))` first",
        lambda: _stack(keras.Input((784,)), layers.Dense(32)),
    ),
    (
        "`Flatten(input_shape=[28, 28])`",
        lambda: _stack(layers.Flatten(input_shape=[28, 28])),
        "`keras.Input((28, 28))` first",
        lambda: _stack(keras.Input((28, 28)), layers.Flatten()),
    ),
    (
        "`metrics=['accuracy']` for two outputs",
        lambda: two_outputs(["accuracy"]),
        "`metrics=[['accuracy'], ['accuracy']]`",
        lambda: two_outputs([["accuracy"]] * 2),
    ),
    # Keras numbers layers through the whole process: N stands for a number that differs from run to run.
    (
        "metrics named `dense_14_accuracy`",
        lambda: re.sub(
            r"dense(_\d+)?_", "dense_N_", two_outputs([["accuracy"]] * 2, (None, None))
        ),
        "a name for each output: `Dense(10, name='output_a')`",
        lambda: two_outputs([["accuracy"]] * 2),
    ),
    (
        "`Train on 55000 samples`, `55000/55000`, `106us/sample`",
        _progress,
        "the bar counts batches: 55,000 digits are 1,719 of them",
        _progress,
    ),
    (
        "`plot_model` without Graphviz",
        lambda: _draw_without_graphviz(keras.utils.plot_model),
        "`keras_model_wars.plot_model`",
        lambda: _draw_without_graphviz(plot_model),
    ),
    (
        "`fit([X_A, X_B], [y_A, y_B], validation_split=0.2)`",
        lambda: two_outputs(validation_split=0.2),
        "the same",
        lambda: two_outputs(validation_split=0.2),
    ),
)
