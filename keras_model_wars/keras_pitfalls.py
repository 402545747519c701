"""The three ways to write a Keras model in one table, and what trips readers of the articles up.

Everything is tried on the installed Keras.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras import layers

from keras_model_wars.apis import to_functional
from keras_model_wars.shuffling import ReshuffledDataset
from keras_model_wars.trying import (
    as_list,
    dense,
    describe_restored,
    save_and_load,
    sequential_sharing,
    tiny_input,
    try_out,
)


def scoreboard() -> pd.DataFrame:
    """Try what a Sequential, a Functional and a subclassed model can do.

    Returns one row per need: ``what you need``, and ``Sequential``, ``Functional`` and
    ``subclassed``, each yes or no. Choose the leftmost column that says yes to
    everything you need. Sets Python's, NumPy's and Keras's random seeds. Follows both
    articles, which compare the first two.

    >>> scoreboard = kmw.scoreboard().set_index("what you need")
    >>> scoreboard.loc["branches that join"].to_dict()
    {'Sequential': 'no', 'Functional': 'yes', 'subclassed': 'yes'}
    """
    rows = []
    for need in NEEDS:
        row = {
            "what you need": need.what,
            "Sequential": need.answer(need.sequential),
            "Functional": need.answer(need.functional),
            "subclassed": need.answer(need.subclassed),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def pitfalls() -> pd.DataFrame:
    """Try what trips readers of the articles up today, and the fix.

    Returns one row per pitfall: ``pitfall``, ``today`` (what the installed Keras did),
    ``fix``, ``fixed`` (what it did with the fix) and ``still true``: yes, or no if
    Keras did the same without the fix. Sets Python's, NumPy's and Keras's random seeds.
    Follows the articles' code, and the issues that the rows name.

    >>> pitfalls = kmw.pitfalls().set_index("pitfall")
    >>> pitfalls.loc["a list for a model made from a dict of inputs", "fix"]
    'pass a dict'
    """
    rows = []
    for pitfall in PITFALLS:
        today = pitfall.outcome(fixed=False)
        fixed = pitfall.outcome(fixed=True)
        row = {
            "pitfall": pitfall.pitfall,
            "today": today,
            "fix": pitfall.fix,
            "fixed": fixed,
            "still true": "no" if today == fixed else "yes",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def list_pitfalls(pitfalls: pd.DataFrame) -> str:
    """Return the table of pitfalls as a Markdown list, for pages and narrow screens."""
    item = "**{pitfall}**\\\n  Fix: {fix} → {fixed}. Still true: {still true}."
    return as_list(pitfalls, item, "today")


# The scoreboard: three models per need, and what shows that a model meets it.

FEATURES = np.ones((2, 4), dtype="float32")
Builder = Callable[[], keras.Model]


def answers(model: keras.Model) -> bool:
    return model(FEATURES) is not None


@dataclass(frozen=True)
class Need:
    """What a reader may need, three attempts at it, and what shows that one meets it."""

    what: str
    sequential: Builder
    functional: Builder
    subclassed: Builder
    is_met: Callable[[keras.Model], bool] = answers

    def answer(self, build: Builder) -> str:
        outcome = try_out(lambda: self.is_met(build()))
        return "yes" if outcome.returned else "no"


def sequential():
    return keras.Sequential([tiny_input(), dense("hidden"), dense("last")])


def functional():
    inputs = tiny_input()
    x = dense("hidden")(inputs)
    return keras.Model(inputs, dense("last")(x))


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.hidden = dense("hidden")
        self.last = dense("last")

    def call(self, inputs):
        x = self.hidden(inputs)
        return self.last(x)


def sequential_branches():
    branches = [dense("short"), dense("deep")]
    return keras.Sequential([tiny_input(), branches, layers.Add()])


def functional_branches():
    inputs = tiny_input()
    branches = [dense("short")(inputs), dense("deep")(inputs)]
    return keras.Model(inputs, layers.add(branches))


class SubclassedBranches(Subclassed):
    def call(self, inputs):
        return layers.add([self.hidden(inputs), self.last(inputs)])


def sequential_inputs():
    return keras.Sequential([tiny_input("a"), tiny_input("b"), layers.Add()])


def functional_inputs():
    inputs = [tiny_input("a"), tiny_input("b")]
    return keras.Model(inputs, layers.add(inputs))


class SubclassedInputs(Subclassed):
    def call(self, inputs):
        return layers.add(inputs)


def answers_two_inputs(model: keras.Model) -> bool:
    return model([FEATURES, FEATURES]) is not None


def sequential_outputs():
    return keras.Sequential([tiny_input(), [dense("a"), dense("b")]])


def functional_outputs():
    inputs = tiny_input()
    return keras.Model(inputs, [dense("a")(inputs), dense("b")(inputs)])


class SubclassedOutputs(Subclassed):
    def call(self, inputs):
        return [self.hidden(inputs), self.last(inputs)]


def functional_sharing():
    inputs = tiny_input()
    shared = dense()
    return keras.Model(inputs, shared(shared(inputs)))


class SubclassedSharing(Subclassed):
    def call(self, inputs):
        return self.hidden(self.hidden(inputs))


def is_restored(model: keras.Model) -> bool:
    predictions = model(FEATURES)
    classes = {type(model).__name__: type(model)}
    restored = save_and_load(model, custom_objects=classes)
    return np.array_equal(predictions, restored(FEATURES))


def is_known_before_any_data(model: keras.Model) -> bool:
    diagram = keras.utils.model_to_dot(model)
    return model.count_params() > 0 and diagram is not None


def refuses_wrong_width(model: keras.Model) -> bool:
    try:
        model(FEATURES[:, :3])
    except ValueError:
        return True
    return False


def shows_hidden_output(model: keras.Model) -> bool:
    model(FEATURES)
    hidden = keras.Model(model.inputs, model.get_layer("hidden").output)
    return answers(hidden)


def subclassed_elsewhere():
    class Elsewhere(Subclassed):
        """A class within a function, where loading does not find it by its name."""

    return Elsewhere()


def loads_without_its_class(model: keras.Model) -> bool:
    predictions = model(FEATURES)
    restored = save_and_load(model)
    return np.array_equal(predictions, restored(FEATURES))


def sequential_depth():
    depth = int(keras.ops.max(tiny_input()))
    return keras.Sequential([dense()] * depth)


def functional_depth():
    inputs = tiny_input()
    x = inputs
    for _ in range(int(keras.ops.max(inputs))):
        x = dense()(x)
    return keras.Model(inputs, x)


class SubclassedDepth(Subclassed):
    def call(self, inputs):
        x = inputs
        for _ in range(int(keras.ops.max(inputs))):
            x = self.hidden(x)
        return x


PLAIN = (sequential, functional, Subclassed)

NEEDS = [
    Need("a plain stack of layers", *PLAIN),
    Need(
        "branches that join",
        sequential_branches,
        functional_branches,
        SubclassedBranches,
    ),
    Need(
        "several inputs",
        sequential_inputs,
        functional_inputs,
        SubclassedInputs,
        answers_two_inputs,
    ),
    Need(
        "several outputs, each with its own layer",
        sequential_outputs,
        functional_outputs,
        SubclassedOutputs,
    ),
    Need(
        "a layer used twice, and restored from a file",
        sequential_sharing,
        functional_sharing,
        SubclassedSharing,
        is_restored,
    ),
    Need(
        "parameters counted and diagram drawn before any data",
        *PLAIN,
        is_known_before_any_data,
    ),
    Need(
        "input of a wrong width refused on the first call", *PLAIN, refuses_wrong_width
    ),
    Need("the output of a hidden layer", *PLAIN, shows_hidden_output),
    Need(
        "loaded from a .keras file where its class is not defined",
        sequential,
        functional,
        subclassed_elsewhere,
        loads_without_its_class,
    ),
    Need(
        "depth that depends on the data",
        sequential_depth,
        functional_depth,
        SubclassedDepth,
    ),
]


# The pitfalls: each function falls into one, or takes the fix.


@dataclass(frozen=True)
class Pitfall:
    """A pitfall, its fix, and an attempt, which is told whether to take the fix."""

    pitfall: str
    fix: str
    attempt: Callable[[bool], object]

    def outcome(self, fixed: bool) -> str:
        evidence = try_out(lambda: self.attempt(fixed)).evidence
        return evidence.split(". ")[0]


PITFALLS: list[Pitfall] = []


def pitfall(text: str, fix: str) -> Callable:
    """Add a pitfall to the table: the function below it is the attempt."""

    def add(attempt: Callable[[bool], object]) -> Callable[[bool], object]:
        PITFALLS.append(Pitfall(text, fix, attempt))
        return attempt

    return add


TOTAL = np.array([[5.0]])
PART = np.array([[2.0]])


@pitfall(
    "two inputs of one shape in a list, in the wrong order (keras issues 20070, 23258)",
    fix="name the inputs, pass a dict in any order",
)
def list_in_wrong_order(fixed):
    total = keras.Input((1,), name="total")
    part = keras.Input((1,), name="part")
    model = keras.Model([total, part], layers.subtract([total, part]))
    inputs = {"part": PART, "total": TOTAL} if fixed else [PART, TOTAL]
    return f"total - part = 5 - 2 gives {np.ravel(model(inputs))[0]:.0f}"


@pitfall("a list for a model made from a dict of inputs", fix="pass a dict")
def list_for_a_dict(fixed):
    total = keras.Input((1,), name="total")
    part = keras.Input((1,), name="part")
    structure = {"total": total, "part": part}
    model = keras.Model(structure, layers.subtract([total, part]))
    inputs = {"total": TOTAL, "part": PART} if fixed else [TOTAL, PART]
    return f"total - part = 5 - 2 gives {np.ravel(model(inputs))[0]:.0f}"


SORTED_LABELS = np.repeat(np.arange(4), 16)
MIXED_LABELS = np.tile(np.arange(4), 16)
CROSSENTROPY = "sparse_categorical_crossentropy"


def fit(y_train, activation="softmax", loss=CROSSENTROPY):
    """Train a tiny model to tell which of four features is set."""
    x_train = np.eye(4)[y_train]
    model = keras.Sequential([tiny_input(), layers.Dense(4, activation=activation)])
    optimizer = keras.optimizers.SGD(learning_rate=9.0)
    # Eagerly: tracing would take longer than the training.
    model.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
    history = model.fit(
        x_train, y_train, batch_size=64, epochs=3, validation_split=0.25, verbose=0
    )
    last = pd.DataFrame(history.history).iloc[-1]
    return f"accuracy {last['accuracy']:.2f}, val_accuracy {last['val_accuracy']:.2f}"


@pitfall(
    "`validation_split` on images sorted by label: it takes the last rows, before "
    "shuffling",
    fix="shuffle first, or split by hand",
)
def sorted_labels(fixed):
    return fit(MIXED_LABELS if fixed else SORTED_LABELS)


@pitfall(
    "no softmax before `sparse_categorical_crossentropy`",
    fix="a softmax, or the loss with `from_logits=True`",
)
def no_softmax(fixed):
    return fit(MIXED_LABELS, activation="softmax" if fixed else None)


@pitfall(
    "integer labels with `categorical_crossentropy`",
    fix="`sparse_categorical_crossentropy`",
)
def integer_labels(fixed):
    return fit(MIXED_LABELS, loss=CROSSENTROPY if fixed else "categorical_crossentropy")


@pitfall(
    "`set_random_seed` and `fit` on arrays (tensorflow issue 35682)",
    fix="the order of `keras_model_wars.train`",
)
def same_order_every_epoch(fixed):
    x = np.arange(8.0).reshape(8, 1)
    seen = []

    def loss(y_true, y_pred):
        seen.extend(np.ravel(y_true))
        return keras.ops.mean(y_pred)

    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile("sgd", loss, run_eagerly=True)
    if fixed:
        order = ReshuffledDataset(x, x, batch_size=4, seed=0)
        model.fit(order.dataset, callbacks=[order], shuffle=False, epochs=2, verbose=0)
    else:
        model.fit(x, x, batch_size=4, epochs=2, verbose=0)
    orders = "the same" if seen[:8] == seen[8:] else "another"
    return f"the second epoch uses {orders} order"


@pitfall(
    "a Sequential model that uses a layer twice, in a file",
    fix="`keras_model_wars.to_functional`",
)
def layer_used_twice(fixed):
    model = sequential_sharing()
    return describe_restored(to_functional(model) if fixed else model)


def metrics_recorded(metrics, names):
    """Fit a tiny model with two outputs as the article does, and return its metrics."""
    inputs = [tiny_input("input_a"), tiny_input("input_b")]
    outputs = [dense(name)(x) for name, x in zip(names, inputs)]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", metrics=metrics, run_eagerly=True)
    zeros = np.zeros((10, 4))
    history = model.fit([zeros, zeros], [zeros, zeros], validation_split=0.2, verbose=0)
    return [name for name in history.history if name.endswith("accuracy")]


OUTPUTS = ["output_a", "output_b"]
METRICS = [["accuracy"], ["accuracy"]]


@pitfall(
    "`metrics=['accuracy']` for two outputs",
    fix="`metrics=[['accuracy'], ['accuracy']]`",
)
def one_metric(fixed):
    found = metrics_recorded(METRICS if fixed else ["accuracy"], OUTPUTS)
    return f"records {', '.join(found)}"


@pitfall(
    "outputs without a name, and metrics such as `dense_14_accuracy`",
    fix="a name for each output: `Dense(10, name='output_a')`",
)
def unnamed_outputs(fixed):
    names = OUTPUTS if fixed else [None, None]
    first = metrics_recorded(METRICS, names)
    second = metrics_recorded(METRICS, names)
    found = "the same" if first == second else "other"
    return f"the same model built again records {found} names"


@pitfall("a TensorFlow function on a KerasTensor", fix="`keras.ops`, or a layer")
def tensorflow_function(fixed):
    sum_over = keras.ops.sum if fixed else tf.reduce_sum
    return f"gives shape {sum_over(tiny_input(), axis=1).shape}"


@pitfall(
    "`.output` of a layer in a Sequential model without an input",
    fix="a `keras.Input` first",
)
def output_without_input(fixed):
    layer = dense()
    keras.Sequential([tiny_input(), layer] if fixed else [layer])
    return f"gives shape {layer.output.shape}"


@pitfall("`Dense(32, input_dim=784)`", fix="`keras.Input((784,))` first")
def input_dim(fixed):
    if fixed:
        return keras.Sequential([keras.Input((784,)), layers.Dense(32)])
    return keras.Sequential([layers.Dense(32, input_dim=784)])


@pitfall("`Flatten(input_shape=[28, 28])`", fix="`keras.Input((28, 28))` first")
def input_shape(fixed):
    if fixed:
        return keras.Sequential([keras.Input((28, 28)), layers.Flatten()])
    return keras.Sequential([layers.Flatten(input_shape=[28, 28])])
