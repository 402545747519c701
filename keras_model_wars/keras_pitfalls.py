"""The three ways to write a Keras model in one table, and what trips readers today: tried on the installed Keras."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers

from keras_model_wars.apis import to_functional
from keras_model_wars.article_claims import (
    after_saving,
    change_in_file,
    dense,
    sharing,
    tiny_input,
    tried,
    two_outputs,
)
from keras_model_wars.shuffling import ReshuffledDataset


def scoreboard() -> pd.DataFrame:
    """Try what a Sequential, a Functional and a subclassed model can do.

    Returns one row per need: ``what you need``, and ``Sequential``, ``Functional`` and ``subclassed``, each yes or no.
    Take the first column that says yes to all you need. Sets Python's, NumPy's and Keras's global random seeds. Follows
    both articles, which compare the first two.

    >>> scoreboard().set_index("what you need")
    """
    rows = [(need, *_cells(*attempts)) for need, *attempts in _NEEDS]
    return pd.DataFrame(
        rows, columns=["what you need", "Sequential", "Functional", "subclassed"]
    )


def pitfalls() -> pd.DataFrame:
    """Try what readers of the articles stumble over today, and the cure.

    Returns one row per pitfall: ``pitfall``, ``today`` (what the installed Keras did), ``cure``, ``cured`` (what it did
    with the cure) and ``still true``: yes, or no if Keras did the same without the cure. Sets Python's, NumPy's and
    Keras's random seeds for the whole process. Follows the articles' code, and the issues that the rows name.

    >>> pitfalls()[["pitfall", "cure"]]
    """
    rows = []
    for pitfall, attempt, cure, cured_attempt in _PITFALLS:
        today, cured = (
            tried(each)[1].split(". ")[0] for each in (attempt, cured_attempt)
        )  # an error's first sentence
        rows.append((pitfall, today, cure, cured, "no" if today == cured else "yes"))
    return pd.DataFrame(
        rows, columns=["pitfall", "today", "cure", "cured", "still true"]
    )


def _plain_stack() -> list[layers.Layer]:
    return [dense("hidden"), dense("last")]


def _chain(x: Any, hidden: layers.Layer, last: layers.Layer) -> Any:
    return last(hidden(x))


def _repeat(x: Any, hidden: layers.Layer, last: layers.Layer) -> Any:
    for _ in range(int(keras.ops.max(x))):
        x = hidden(x)
    return x


def _runs(model: keras.Model, x: Any) -> bool:
    return model(x) is not None


_X = np.ones((2, 4), dtype="float32")


def _cells(
    stack: Callable, join: Callable, test: Callable = _runs, x: Any = _X
) -> list[str]:
    class Subclassed(keras.Model):  # in here, loading can't find it by its name
        def __init__(self, **options: Any):
            super().__init__(**options)
            self.hidden, self.last = _plain_stack()

        def call(self, inputs: Any) -> Any:
            return join(inputs, self.hidden, self.last)

    inputs = keras.tree.map_structure(lambda array: keras.Input(array.shape[1:]), x)
    builders = (
        lambda: keras.Sequential([tiny_input(), *stack()]),
        lambda: keras.Model(inputs, join(inputs, *_plain_stack())),
        Subclassed,
    )
    return [
        "yes" if tried(lambda build=build: test(build(), x))[0] else "no"
        for build in builders
    ]


# What one may need, the layers of a Sequential model, how the other two join layers, the test, and the data.
_NEEDS = (
    ("a plain stack of layers", _plain_stack, _chain),
    (
        "branches that join",
        lambda: [_plain_stack(), layers.Add()],
        lambda x, a, b: layers.add([a(x), b(x)]),
    ),
    (
        "several inputs",
        lambda: [tiny_input("second_input"), layers.Add()],
        lambda x, a, b: layers.add([a(x[0]), b(x[1])]),
        _runs,
        [_X, _X],
    ),
    (
        "several outputs, each with its own layer",
        lambda: [_plain_stack()],
        lambda x, a, b: [a(x), b(x)],
    ),
    (
        "a layer used twice, and restored from a file",
        lambda: [shared := dense(), shared],
        lambda x, a, b: a(a(x)),
        lambda model, x: (
            _runs(model, x) and not change_in_file(model, Subclassed=type(model))
        ),
    ),
    (
        "parameters counted and diagram drawn before any data",
        _plain_stack,
        _chain,
        lambda model, x: model.count_params() and keras.utils.model_to_dot(model),
    ),
    (
        "input of a wrong width refused on the first call",
        _plain_stack,
        _chain,
        lambda model, x: tried(lambda: model(x[:, :3]))[0] is None,
    ),
    (
        "the output of a hidden layer",
        _plain_stack,
        _chain,
        lambda model, x: (
            _runs(model, x)
            and keras.Model(model.inputs, model.get_layer("hidden").output)
        ),
    ),
    (
        "loaded from a .keras file where its class is not defined",
        _plain_stack,
        _chain,
        lambda model, x: _runs(model, x) and not change_in_file(model),
    ),
    (
        "depth that depends on the data",
        lambda: [dense()] * int(keras.ops.max(tiny_input())),
        _repeat,
    ),
)


def _subtracted(given: Any, named: bool = False) -> str:
    total, part = keras.Input((1,), name="total"), keras.Input((1,), name="part")
    model = keras.Model(
        {"total": total, "part": part} if named else [total, part],
        layers.Subtract()([total, part]),
    )
    return f"total - part = 5 - 2 gives {float(keras.ops.squeeze(model(given))):.0f}"


def _trained(
    by_label: bool = False,
    activation: str | None = "softmax",
    loss="sparse_categorical_crossentropy",
) -> str:
    labels = np.repeat(np.arange(4), 16) if by_label else np.tile(np.arange(4), 16)
    model = keras.Sequential([tiny_input(), layers.Dense(4, activation=activation)])
    model.compile(
        keras.optimizers.SGD(9.0), loss, metrics=["accuracy"], run_eagerly=True
    )
    history = model.fit(
        np.eye(4)[labels],
        labels,
        validation_split=0.25,
        batch_size=64,
        epochs=3,
        verbose=0,
    ).history
    return f"accuracy {history['accuracy'][-1]:.2f}, val_accuracy {history['val_accuracy'][-1]:.2f}"


def _orders(reshuffled: bool) -> str:
    seen, digits = [], np.arange(8.0).reshape(8, 1)
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile(
        "sgd",
        lambda y, outputs: seen.extend(np.ravel(y)) or keras.ops.mean(outputs),
        run_eagerly=True,
    )
    order = ReshuffledDataset(digits, digits, batch_size=4, seed=0)
    ours, theirs = (
        {"x": order.dataset, "callbacks": [order]},
        {"x": digits, "y": digits, "batch_size": 4},
    )
    model.fit(
        **(ours if reshuffled else theirs), shuffle=not reshuffled, epochs=2, verbose=0
    )
    return f"the second epoch takes {'the same' if seen[:8] == seen[8:] else 'another'} order"


def _shape(*parts: Any) -> str:
    return f"gives shape {keras.Sequential(list(parts)).layers[0].output.shape}"


_TOTAL, _PART = np.array([[5.0]]), np.array([[2.0]])
_NAMED = {"part": _PART, "total": _TOTAL}
# A pitfall and the attempt that falls into it, its cure and the attempt that takes it.
_PITFALLS = (
    (
        "two inputs of one shape in a list, in the wrong order (keras issues 20070, 23258)",
        lambda: _subtracted([_PART, _TOTAL]),
        "name the inputs, pass a dict in any order",
        lambda: _subtracted(_NAMED),
    ),
    (
        "a list for a model made from a dict of inputs",
        lambda: _subtracted([_TOTAL, _PART], named=True),
        "pass a dict",
        lambda: _subtracted(_NAMED, named=True),
    ),
    (
        "`validation_split` on digits sorted by label: it takes the last rows, before shuffling",
        lambda: _trained(by_label=True),
        "shuffle first, or split by hand",
        _trained,
    ),
    (
        "`set_random_seed` and `fit` on arrays (tensorflow issue 35682)",
        lambda: _orders(reshuffled=False),
        "the order of `keras_model_wars.train`",
        lambda: _orders(reshuffled=True),
    ),
    (
        "a Sequential model that uses a layer twice, in a file",
        lambda: after_saving(sharing()),
        "`keras_model_wars.to_functional`",
        lambda: after_saving(to_functional(sharing())),
    ),
    (
        "no softmax before `sparse_categorical_crossentropy`",
        lambda: _trained(activation=None),
        "a softmax, or the loss with `from_logits=True`",
        _trained,
    ),
    (
        "labels as numbers with `categorical_crossentropy`",
        lambda: _trained(loss="categorical_crossentropy"),
        "`sparse_categorical_crossentropy`",
        _trained,
    ),
    (
        "one metric for two outputs",
        lambda: two_outputs(["accuracy"]),
        "a list per output",
        lambda: two_outputs([["accuracy"]] * 2),
    ),
    (
        "a TensorFlow function on a KerasTensor",
        lambda: f"gives shape {tf.reduce_sum(tiny_input(), axis=1).shape}",
        "`keras.ops`, or a layer",
        lambda: f"gives shape {keras.ops.sum(tiny_input(), axis=1).shape}",
    ),
    (
        "`.output` of a layer in a Sequential model without an input",
        lambda: _shape(dense()),
        "a `keras.Input` first",
        lambda: _shape(tiny_input(), dense()),
    ),
)
