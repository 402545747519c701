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
from keras_model_wars.training import ReshuffledDataset
from keras_model_wars.trying import (
    Attempt,
    as_list,
    dense,
    describe_restored,
    largest_difference,
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
        today = _first_sentence(pitfall.attempt)
        fixed = _first_sentence(pitfall.fixed_attempt)
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


def _first_sentence(attempt: Attempt) -> str:
    return try_out(attempt).evidence.split(". ")[0]


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
    is_met: Callable[[keras.Model], object] = answers

    def answer(self, build: Builder) -> str:
        outcome = try_out(lambda: self.is_met(build()))
        return "yes" if outcome.returned else "no"


def sequential() -> keras.Model:
    return keras.Sequential([tiny_input(), dense("hidden"), dense("last")])


def functional() -> keras.Model:
    inputs = tiny_input()
    x = dense("hidden")(inputs)
    outputs = dense("last")(x)
    return keras.Model(inputs, outputs)


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.hidden = dense("hidden")
        self.last = dense("last")

    def call(self, inputs):
        return self.last(self.hidden(inputs))


def sequential_branches() -> keras.Model:
    branches = [dense("short"), dense("deep")]
    return keras.Sequential([tiny_input(), branches, layers.Add()])


def functional_branches() -> keras.Model:
    inputs = tiny_input()
    short = dense("short")(inputs)
    deep = dense("deep")(inputs)
    return keras.Model(inputs, layers.add([short, deep]))


class SubclassedBranches(Subclassed):
    def call(self, inputs):
        return layers.add([self.hidden(inputs), self.last(inputs)])


def sequential_inputs() -> keras.Model:
    return keras.Sequential([tiny_input("a"), tiny_input("b"), layers.Add()])


def functional_inputs() -> keras.Model:
    a = tiny_input("a")
    b = tiny_input("b")
    return keras.Model([a, b], layers.add([dense("hidden")(a), dense("last")(b)]))


class SubclassedInputs(Subclassed):
    def call(self, inputs):
        a, b = inputs
        return layers.add([self.hidden(a), self.last(b)])


def answers_two_inputs(model: keras.Model) -> bool:
    return model([FEATURES, FEATURES]) is not None


def sequential_outputs() -> keras.Model:
    return keras.Sequential([tiny_input(), [dense("a"), dense("b")]])


def functional_outputs() -> keras.Model:
    inputs = tiny_input()
    return keras.Model(inputs, [dense("a")(inputs), dense("b")(inputs)])


class SubclassedOutputs(Subclassed):
    def call(self, inputs):
        return [self.hidden(inputs), self.last(inputs)]


def functional_sharing() -> keras.Model:
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
    return largest_difference(predictions, restored(FEATURES)) == 0


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


def subclassed_elsewhere() -> keras.Model:
    class Elsewhere(Subclassed):  # in a function, where loading finds no class
        pass

    return Elsewhere()


def loads_without_its_class(model: keras.Model) -> bool:
    predictions = model(FEATURES)
    restored = save_and_load(model)
    return largest_difference(predictions, restored(FEATURES)) == 0


def sequential_depth() -> keras.Model:
    depth = int(keras.ops.max(tiny_input()))
    return keras.Sequential([dense()] * depth)


def functional_depth() -> keras.Model:
    inputs = x = tiny_input()
    for _ in range(int(keras.ops.max(inputs))):
        x = dense()(x)
    return keras.Model(inputs, x)


class SubclassedDepth(Subclassed):
    def call(self, inputs):
        x = inputs
        for _ in range(int(keras.ops.max(inputs))):
            x = self.hidden(x)
        return x


NEEDS = [
    Need("a plain stack of layers", sequential, functional, Subclassed),
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
        sequential,
        functional,
        Subclassed,
        is_known_before_any_data,
    ),
    Need(
        "input of a wrong width refused on the first call",
        sequential,
        functional,
        Subclassed,
        refuses_wrong_width,
    ),
    Need(
        "the output of a hidden layer",
        sequential,
        functional,
        Subclassed,
        shows_hidden_output,
    ),
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


# The pitfalls: an attempt that falls into each, and one that takes the fix.

TOTAL = np.array([[5.0]])
PART = np.array([[2.0]])


def subtract(inputs: object, named: bool = False) -> str:
    total = keras.Input((1,), name="total")
    part = keras.Input((1,), name="part")
    structure = {"total": total, "part": part} if named else [total, part]
    model = keras.Model(structure, layers.subtract([total, part]))
    return f"total - part = 5 - 2 gives {np.ravel(model(inputs))[0]:.0f}"


def list_in_wrong_order() -> str:
    return subtract([PART, TOTAL])


def dict_in_any_order() -> str:
    return subtract({"part": PART, "total": TOTAL})


def list_for_a_dict() -> str:
    return subtract([TOTAL, PART], named=True)


def dict_for_a_dict() -> str:
    return subtract({"total": TOTAL, "part": PART}, named=True)


SORTED_LABELS = np.repeat(np.arange(4), 16)
MIXED_LABELS = np.tile(np.arange(4), 16)


def train(
    y_train: np.ndarray,
    activation: str | None = "softmax",
    loss: str = "sparse_categorical_crossentropy",
) -> str:
    x_train = np.eye(4)[y_train]
    model = keras.Sequential([tiny_input(), layers.Dense(4, activation=activation)])
    model.compile(
        optimizer=keras.optimizers.SGD(9.0),
        loss=loss,
        metrics=["accuracy"],
        run_eagerly=True,
    )
    history = model.fit(
        x_train, y_train, batch_size=64, epochs=3, validation_split=0.25, verbose=0
    )
    accuracy = history.history["accuracy"][-1]
    val_accuracy = history.history["val_accuracy"][-1]
    return f"accuracy {accuracy:.2f}, val_accuracy {val_accuracy:.2f}"


def sorted_labels() -> str:
    return train(SORTED_LABELS)


def mixed_labels() -> str:
    return train(MIXED_LABELS)


def no_softmax() -> str:
    return train(MIXED_LABELS, activation=None)


def integers_for_categorical_crossentropy() -> str:
    return train(MIXED_LABELS, loss="categorical_crossentropy")


def compare_orders(**data: object) -> str:
    seen: list[float] = []

    def loss(y_true, y_pred):
        seen.extend(np.ravel(y_true))
        return keras.ops.mean(y_pred)

    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile(optimizer="sgd", loss=loss, run_eagerly=True)
    model.fit(**data, epochs=2, verbose=0)
    order = "the same" if seen[:8] == seen[8:] else "another"
    return f"the second epoch uses {order} order"


def fit_on_arrays() -> str:
    x = np.arange(8.0)
    return compare_orders(x=x, y=x, batch_size=4)


def fit_on_reshuffled_dataset() -> str:
    x = np.arange(8.0)[:, np.newaxis]
    order = ReshuffledDataset(x, x, batch_size=4, seed=0)
    return compare_orders(x=order.dataset, callbacks=[order], shuffle=False)


def restored_sequential() -> str:
    return describe_restored(sequential_sharing())


def restored_functional() -> str:
    return describe_restored(to_functional(sequential_sharing()))


def metrics_recorded(metrics: list, names: tuple[str | None, ...]) -> list[str]:
    inputs = [tiny_input("input_a"), tiny_input("input_b")]
    outputs = [dense(name)(x) for name, x in zip(names, inputs)]
    model = keras.Model(inputs, outputs)
    # Tracing would take longer than the training.
    model.compile(optimizer="sgd", loss="mse", metrics=metrics, run_eagerly=True)
    zeros = np.zeros((10, 4))
    history = model.fit([zeros, zeros], [zeros, zeros], validation_split=0.2, verbose=0)
    return [name for name in history.history if name.endswith("accuracy")]


NAMES = ("output_a", "output_b")
METRIC_PER_OUTPUT = [["accuracy"], ["accuracy"]]


def one_metric() -> str:
    return f"records {', '.join(metrics_recorded(['accuracy'], NAMES))}"


def metric_per_output() -> str:
    return f"records {', '.join(metrics_recorded(METRIC_PER_OUTPUT, NAMES))}"


def build_twice(names: tuple[str | None, ...]) -> str:
    first = metrics_recorded(METRIC_PER_OUTPUT, names)
    second = metrics_recorded(METRIC_PER_OUTPUT, names)
    same = "the same" if first == second else "other"
    return f"the same model built again records {same} names"


def unnamed_outputs() -> str:
    return build_twice((None, None))


def named_outputs() -> str:
    return build_twice(NAMES)


def tensorflow_function() -> str:
    return f"gives shape {tf.reduce_sum(tiny_input(), axis=1).shape}"


def keras_function() -> str:
    return f"gives shape {keras.ops.sum(tiny_input(), axis=1).shape}"


def output_without_input() -> str:
    model = keras.Sequential([dense()])
    return f"gives shape {model.layers[0].output.shape}"


def output_with_input() -> str:
    model = keras.Sequential([tiny_input(), dense()])
    return f"gives shape {model.layers[0].output.shape}"


def input_dim() -> keras.Model:
    return keras.Sequential([layers.Dense(32, input_dim=784)])


def input_of_a_vector() -> keras.Model:
    return keras.Sequential([keras.Input((784,)), layers.Dense(32)])


def input_shape() -> keras.Model:
    return keras.Sequential([layers.Flatten(input_shape=[28, 28])])


def input_of_an_image() -> keras.Model:
    return keras.Sequential([keras.Input((28, 28)), layers.Flatten()])


@dataclass(frozen=True)
class Pitfall:
    """A pitfall, an attempt that falls into it, its fix, and an attempt with the fix."""

    pitfall: str
    attempt: Attempt
    fix: str
    fixed_attempt: Attempt


PITFALLS = [
    Pitfall(
        "two inputs of one shape in a list, in the wrong order "
        "(keras issues 20070, 23258)",
        list_in_wrong_order,
        "name the inputs, pass a dict in any order",
        dict_in_any_order,
    ),
    Pitfall(
        "a list for a model made from a dict of inputs",
        list_for_a_dict,
        "pass a dict",
        dict_for_a_dict,
    ),
    Pitfall(
        "`validation_split` on images sorted by label: it takes the last rows, "
        "before shuffling",
        sorted_labels,
        "shuffle first, or split by hand",
        mixed_labels,
    ),
    Pitfall(
        "`set_random_seed` and `fit` on arrays (tensorflow issue 35682)",
        fit_on_arrays,
        "the order of `keras_model_wars.train`",
        fit_on_reshuffled_dataset,
    ),
    Pitfall(
        "a Sequential model that uses a layer twice, in a file",
        restored_sequential,
        "`keras_model_wars.to_functional`",
        restored_functional,
    ),
    Pitfall(
        "no softmax before `sparse_categorical_crossentropy`",
        no_softmax,
        "a softmax, or the loss with `from_logits=True`",
        mixed_labels,
    ),
    Pitfall(
        "integer labels with `categorical_crossentropy`",
        integers_for_categorical_crossentropy,
        "`sparse_categorical_crossentropy`",
        mixed_labels,
    ),
    Pitfall(
        "`metrics=['accuracy']` for two outputs",
        one_metric,
        "`metrics=[['accuracy'], ['accuracy']]`",
        metric_per_output,
    ),
    Pitfall(
        "outputs without a name, with metrics such as `dense_14_accuracy`",
        unnamed_outputs,
        "a name for each output: `Dense(10, name='output_a')`",
        named_outputs,
    ),
    Pitfall(
        "a TensorFlow function on a KerasTensor",
        tensorflow_function,
        "`keras.ops`, or a layer",
        keras_function,
    ),
    Pitfall(
        "`.output` of a layer in a Sequential model without an input",
        output_without_input,
        "a `keras.Input` first",
        output_with_input,
    ),
    Pitfall(
        "`Dense(32, input_dim=784)`",
        input_dim,
        "`keras.Input((784,))` first",
        input_of_a_vector,
    ),
    Pitfall(
        "`Flatten(input_shape=[28, 28])`",
        input_shape,
        "`keras.Input((28, 28))` first",
        input_of_an_image,
    ),
]
