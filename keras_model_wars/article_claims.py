"""What both articles say of the two APIs, tried on the installed Keras; and what has changed since they were written."""

import contextlib
import io
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pandas as pd
from keras import layers
from keras.ops import convert_to_numpy as _numbers

from keras_model_wars import models
from keras_model_wars.plotting import plot_model
from keras_model_wars.verdict import which_api


def claims() -> pd.DataFrame:
    """Try every statement of both articles about what an API can or can't do.

    Returns a row a statement: ``article`` (first or second), ``statement``, ``the article`` (what it says: possible or
    impossible), ``Keras`` (what the installed one does: builds or refuses), ``evidence`` (what was built and measured, or
    Keras's own error) and ``verdict`` (true or wrong). Takes some seconds, because all of it is built, and some trained.

    >>> claims().query("verdict == 'wrong'")

    The statements are those of "Sequential API vs Functional API model in Keras" and "Keras Model Wars: Functional vs
    Sequential".
    """
    rows = []
    for article, statement, possible, attempt in _CLAIMS:
        evidence, works = _tried(attempt)
        rows.append(
            {
                "article": article,
                "statement": statement,
                "the article": "possible" if possible else "impossible",
                "Keras": "builds" if works else "refuses",
                "evidence": evidence,
                "verdict": "true" if works == possible else "wrong",
            }
        )
    return pd.DataFrame(rows)


def changes() -> pd.DataFrame:
    """Try the articles' lines that Keras treats otherwise today, and today's form of each.

    Returns a row a line: ``in the articles``, ``today`` (what the installed Keras makes of it), ``today's form`` and
    ``tried`` (what that form gave).

    >>> changes()["today's form"]
    """
    return pd.DataFrame(
        {
            "in the articles": line,
            "today": _tried(then)[0],
            "today's form": form,
            "tried": _tried(now)[0],
        }
        for line, then, form, now in _CHANGES
    )


def _tried(attempt: Callable[[], str]) -> tuple[str, bool]:
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            evidence, works = attempt(), True
        except (ValueError, TypeError, ImportError) as error:
            # Keras's own words, less the addresses and counters of what it received.
            text = re.split(r"\bReceived: \[|Inputs received:", str(error))[0]
            evidence, works = f"{type(error).__name__}: {text}", False
    warned = [f"{w.category.__name__}: {w.message}" for w in caught if issubclass(w.category, UserWarning)]
    return " ".join(" ".join([evidence, *warned]).split()), works


def _inputs(size: int = 4, name: str = "input") -> keras.KerasTensor:
    return keras.Input((size,), name=name)


def _dense(name: str = "dense") -> layers.Dense:
    return layers.Dense(4, activation="tanh", name=name)


def _built(model: keras.Model) -> str:
    return f"builds: {which_api(model)}"


def _learn(model: keras.Model) -> np.ndarray:
    """Train a small model for an epoch, and return what it was trained on."""
    x = np.random.default_rng(0).random((64, *model.inputs[0].shape[1:]), dtype="float32")
    y = [np.zeros((64, *output.shape[1:]), dtype="float32") for output in model.outputs]
    model.compile("sgd", "mse", run_eagerly=True)  # nothing is traced for two steps
    model.fit(x, y if len(y) > 1 else y[0], verbose=0)
    return x


def _moved(first: keras.Model, second: keras.Model, x: np.ndarray) -> float:
    """Return how far the predictions of two models lie apart."""
    return float(np.abs(_numbers(first(x)) - _numbers(second(x))).max())


def _shared_and_saved(model: keras.Model) -> str:
    x = _learn(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        moved = _moved(model, keras.saving.load_model(path), x)
    return f"builds and trains, {len(model.weights)} weights for two uses; back from a file, its predictions differ by {moved:.2g}"


def _sequential_shares_along_the_chain() -> str:
    shared = _dense()
    return _shared_and_saved(keras.Sequential([_inputs(), shared, shared]))


def _functional_shares() -> str:
    inputs, shared = _inputs(), _dense()
    return _shared_and_saved(keras.Model(inputs, shared(shared(inputs))))


def _sequential_shares_between_inputs() -> str:
    shared = _dense()
    return _built(keras.Sequential([_inputs(name="left"), shared, _inputs(name="right"), shared], name="sequential"))


def _sequential_returns_two_outputs() -> str:
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(2, return_state=True)])
    _learn(model)
    return f"a last layer that returns several tensors builds and trains: an LSTM with its states, {len(model.outputs)} outputs"


def _functional_returns_two_tensors_midway() -> str:
    inputs = keras.Input((5, 4), name="input")
    sequence, state, _ = layers.LSTM(2, return_state=True, name="lstm")(inputs)
    return _built(keras.Model(inputs, _dense()(layers.Concatenate(name="concatenate")([sequence, state]))))


def _bypass_carries() -> str:
    model = models.build_wide_deep(hidden_units=(8, 8))
    for layer in ("hidden_1", "hidden_2", "hidden_3"):
        model.get_layer(layer).set_weights([np.zeros_like(weights) for weights in model.get_layer(layer).get_weights()])
    black, white = _numbers(model(np.stack([np.zeros((28, 28)), np.ones((28, 28))])))
    moved = np.abs(black - white).max()
    if not moved:
        raise ValueError("with the deep path's weights at zero, the image makes no difference")
    return f"builds; with the deep path's weights at zero, a black and a white image differ by {moved:.2f}"


def _layers_added_in_order() -> str:
    model = models.build_added_sequential(hidden_units=(8, 8))
    x = np.random.default_rng(0).random((4, 784), dtype="float32")
    step = x
    for layer in model.layers:
        step = layer(step)
    moved = np.abs(_numbers(step) - _numbers(model(x))).max()
    return f"builds; its layers called one after the other differ from its own output by {moved:.2g}"


def _functional_says_the_same() -> str:
    model, twin = models.build_sequential(hidden_units=(8, 8)), models.build_functional_twin(hidden_units=(8, 8))
    twin.set_weights(model.get_weights())
    x = np.random.default_rng(0).random((4, 28, 28), dtype="float32")
    return f"builds; with equal weights, predictions differ by {_moved(model, twin, x):.2g}"


def _layer_of_another_model() -> str:
    shared = _dense()
    first, second = keras.Sequential([_inputs(), shared]), keras.Sequential([_inputs(), _dense("before"), shared])
    before = shared.get_weights()[0].copy()
    _learn(second)
    return (
        f"builds; training one moves the other's weights by up to {np.abs(first.get_weights()[0] - before).max():.1g}"
    )


def _first_layer(layer: keras.Layer | keras.KerasTensor) -> str:
    return f"builds, input shape {keras.Sequential([layer, layers.Dense(10)]).input_shape}."


# The article, its statement, whether it says that this is possible, and the attempt: it raises where Keras refuses.
_CLAIMS = (
    ("first", "a Sequential model is made layer by layer", True, _layers_added_in_order),
    ("first", "a Sequential model shares a layer, used twice along its chain", False, _sequential_shares_along_the_chain),
    ("first", "a Sequential model shares a layer between two inputs", False, _sequential_shares_between_inputs),
    ("first", "a Sequential model has branches", False,
     lambda: _built(keras.Sequential([_inputs(), [_dense("short"), _dense("deep")]]))),
    ("first", "a Sequential model joins branches", False,
     lambda: _built(keras.Sequential([_inputs(), layers.Concatenate(name="concatenate")]))),
    ("first", "a Sequential model has several inputs", False,
     lambda: _built(keras.Sequential([_inputs(), _inputs(3, "second_input"), _dense()], name="sequential"))),
    ("first", "a Sequential model has several outputs", False, _sequential_returns_two_outputs),
    ("first", "a Sequential model passes two tensors on midway", False,
     lambda: _built(keras.Sequential([keras.Input((5, 4)), layers.LSTM(2, return_state=True), _dense()]))),
    ("first", "a Functional model passes two tensors on midway", True, _functional_returns_two_tensors_midway),
    ("first", "a Functional model shares a layer, used twice", True, _functional_shares),
    ("first", "a Functional model has branches that join", True, lambda: _built(models.build_wide_deep((8, 8)))),
    ("first", "a Functional model leads its input past the deep path", True, _bypass_carries),
    ("first", "a Functional model has several inputs and outputs", True,
     lambda: _built(models.build_two_input_two_output((8, 8), 8))),
    ("second", "a Sequential model's first layer takes `input_dim`", True,
     lambda: _first_layer(layers.Dense(32, input_dim=784))),
    ("second", "a Sequential model has its input elsewhere than first", False,
     lambda: _built(keras.Sequential([_inputs(), _dense(), _inputs(4, "late_input")], name="sequential"))),
    ("second", "a Sequential model uses a layer of another model", False, _layer_of_another_model),
    ("second", "a Functional model says what a Sequential one says", True, _functional_says_the_same),
    ("second", "a Functional model's inputs share the same layers", True,
     lambda: _built(models.build_shared_layers((8, 8)))),
)  # fmt: skip


def _two_outputs(metrics: list, names: tuple[str | None, str | None] = ("output_a", "output_b")) -> str:
    inputs, zeros = _inputs(), np.zeros((4, 2))
    model = keras.Model(inputs, [layers.Dense(2, name=name)(inputs) for name in names])
    model.compile("sgd", "mse", metrics=metrics, run_eagerly=True)
    return "gives " + ", ".join(model.fit(np.zeros((4, 4)), [zeros, zeros], verbose=0).history)


def _unnamed_outputs() -> str:
    # Keras counts on through a session, so the numbers are another program's already.
    return re.sub(r"dense(_\d+)?_", "dense_N_", _two_outputs([["accuracy"], ["accuracy"]], (None, None)))


def _progress() -> str:
    model = keras.Sequential([_inputs(), _dense()])
    model.compile("sgd", "mse", run_eagerly=True)
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        model.fit(np.zeros((64, 4)), np.zeros((64, 4)))
    return f"64 digits in batches of 32 are counted {re.findall('[0-9]+/[0-9]+', screen.getvalue())[-1]}"


def _plot_model_without_graphviz() -> str:
    screen = io.StringIO()
    with mock.patch.dict(os.environ, {"PATH": ""}), tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(screen):
            keras.utils.plot_model(models.build_sequential(), str(Path(folder) / "model.png"))
        if not any(Path(folder).iterdir()):  # in a notebook it only prints what it raises elsewhere
            raise ImportError(screen.getvalue())
    return "draws"


def _own_plot_model() -> str:
    with mock.patch.dict(os.environ, {"PATH": ""}), tempfile.TemporaryDirectory() as folder:
        plot_model(models.build_sequential(), Path(folder) / "model.svg")
        return f"draws {', '.join(path.name for path in Path(folder).iterdir())}"


def _validation_split() -> str:
    inputs, zeros = [_inputs(name="input_a"), _inputs(name="input_b")], np.zeros((10, 4))
    model = keras.Model(inputs, [_dense("output_a")(inputs[0]), _dense("output_b")(inputs[1])])
    model.compile("sgd", "mse", run_eagerly=True)
    history = model.fit([zeros, zeros], [zeros, zeros], validation_split=0.2, verbose=0).history
    return f"gives {', '.join(name for name in history if name.startswith('val_'))}"


# A line of the articles and what Keras makes of it, then today's form and what it makes of that.
_CHANGES = (
    ("`Dense(32, input_dim=784)`", lambda: _first_layer(layers.Dense(32, input_dim=784)),
     "`keras.Input((784,))` first", lambda: _first_layer(keras.Input((784,)))),
    ("`Flatten(input_shape=[28, 28])`", lambda: _first_layer(layers.Flatten(input_shape=[28, 28])),
     "`keras.Input((28, 28))` first", lambda: _first_layer(keras.Input((28, 28)))),
    ("`metrics=['accuracy']` for two outputs", lambda: _two_outputs(["accuracy"]),
     "`metrics=[['accuracy'], ['accuracy']]`", lambda: _two_outputs([["accuracy"], ["accuracy"]])),
    ("metrics named `dense_14_accuracy`", _unnamed_outputs,
     "a name for each output: `Dense(10, name='output_a')`", lambda: _two_outputs([["accuracy"], ["accuracy"]])),
    ("`Train on 55000 samples`, `55000/55000`, `106us/sample`", _progress,
     "the bar counts batches: 55,000 digits are 1,719 of them", _progress),
    ("`plot_model` without Graphviz", _plot_model_without_graphviz, "`keras_model_wars.plot_model`", _own_plot_model),
    ("`fit([X_A, X_B], [y_A, y_B], validation_split=0.2)`", _validation_split, "the same", _validation_split),
)  # fmt: skip
