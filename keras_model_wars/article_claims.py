"""What both articles say the two APIs can and can't do, each tried on the installed Keras."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from keras import layers

from keras_model_wars import models
from keras_model_wars.apis import to_functional
from keras_model_wars.trying import (
    Attempt,
    as_list,
    dense,
    describe_restored,
    sequential_sharing,
    tiny_input,
    try_out,
)


def claims() -> pd.DataFrame:
    """Try every statement of both articles about what an API can or can't do.

    Returns one row per statement: ``article`` (first or second), ``section`` (the
    heading under which the article says it), ``statement`` (in our words), ``the
    article`` (possible or impossible), ``Keras`` (builds or refuses), ``evidence``
    (what was measured, or Keras's own error) and ``holds`` (yes or no). Sets Python's,
    NumPy's and Keras's random seeds. Follows both articles.

    >>> claims = kmw.claims()
    >>> claims.groupby("article").size().to_dict()
    {'first': 13, 'second': 5}
    """
    rows = []
    for claim in CLAIMS:
        outcome = try_out(claim.attempt)
        does = "refuses" if outcome.returned is None else "builds"
        expected = "builds" if claim.says == "possible" else "refuses"
        row = {
            "article": claim.section.article,
            "section": claim.section.heading,
            "statement": claim.statement,
            "the article": claim.says,
            "Keras": does,
            "evidence": outcome.evidence,
            "holds": "yes" if does == expected else "no",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def list_claims(claims: pd.DataFrame) -> str:
    """Return the table of claims as a Markdown list, for pages and narrow screens."""
    words = {"yes": "The claim holds.", "no": "**The claim is wrong.**"}
    item = (
        "**{statement}**\\\n"
        '  The {article} article, under "{section}": {the article}. '
        "Keras: {Keras}. {holds}"
    )
    return as_list(claims.replace({"holds": words}), item, "evidence")


def summarize_claims(claims: pd.DataFrame) -> str:
    """Say how many of the claims hold, and how the others are wrong."""
    holds = claims["holds"] == "yes"
    builds = claims["Keras"] == "builds"
    return (
        f"{sum(holds)} of {len(claims)} claims hold on Keras {keras.version()}: "
        "it builds what the articles call possible and refuses what they call "
        f"impossible. Called impossible, but Keras builds it: {sum(~holds & builds)}. "
        f"Called possible, but Keras refuses it: {sum(~holds & ~builds)}."
    )


@dataclass(frozen=True)
class Section:
    """A section of an article, with its heading as it stands there."""

    article: str
    heading: str


@dataclass(frozen=True)
class Claim:
    """A statement of an article, and an attempt that returns None or raises if it fails."""

    section: Section
    says: str
    statement: str
    attempt: Attempt


FIRST_SEQUENTIAL = Section("first", "Creating Sequential API model")
FIRST_FUNCTIONAL = Section("first", "Creating Functional API model")
SECOND_SEQUENTIAL = Section("second", "SEQUENTIAL MODEL")
SECOND_FUNCTIONAL = Section("second", "FUNCTIONAL MODEL")
SECOND_RESULT = Section("second", "RESULT")

CLAIMS: list[Claim] = []


def claim(section: Section, says: str, statement: str) -> Callable[[Attempt], Attempt]:
    """Add a claim to the table: the function below it is the attempt."""

    def add(attempt: Attempt) -> Attempt:
        CLAIMS.append(Claim(section, says, statement, attempt))
        return attempt

    return add


@claim(FIRST_SEQUENTIAL, "possible", "a Sequential model is built layer by layer")
def layer_by_layer():
    return models.build_added_sequential((8, 8))


@claim(
    FIRST_SEQUENTIAL,
    "impossible",
    "a Sequential model shares a layer, used twice along its chain",
)
def sequential_layer_used_twice():
    return describe_restored(sequential_sharing())


@claim(
    FIRST_SEQUENTIAL,
    "impossible",
    "a Sequential model shares a layer between two inputs",
)
def sequential_layer_for_two_inputs():
    shared = dense()
    parts = [tiny_input("left"), shared, tiny_input("right"), shared]
    return keras.Sequential(parts, name="sequential")


@claim(FIRST_SEQUENTIAL, "impossible", "a Sequential model has branches")
def sequential_branches():
    return keras.Sequential([tiny_input(), [dense("short"), dense("deep")]])


@claim(FIRST_SEQUENTIAL, "impossible", "a Sequential model joins branches")
def sequential_join():
    return keras.Sequential([tiny_input(), layers.Concatenate()])


@claim(FIRST_SEQUENTIAL, "impossible", "a Sequential model has several inputs")
def sequential_inputs():
    parts = [tiny_input("input_a"), tiny_input("input_b"), dense()]
    return keras.Sequential(parts, name="sequential")


@claim(FIRST_SEQUENTIAL, "impossible", "a Sequential model has several outputs")
def sequential_outputs():
    lstm = layers.LSTM(2, return_state=True)
    model = keras.Sequential([keras.Input((5, 4)), lstm])
    return f"builds: the last layer returns {len(model.outputs)} tensors"


@claim(
    FIRST_SEQUENTIAL,
    "impossible",
    "a Sequential model passes several tensors from one layer to the next",
)
def sequential_tensors():
    lstm = layers.LSTM(2, return_state=True)
    return keras.Sequential([keras.Input((5, 4)), lstm, dense()])


@claim(
    FIRST_SEQUENTIAL,
    "possible",
    "a Functional model passes several tensors from one layer to the next",
)
def functional_tensors():
    inputs = keras.Input((5, 4), name="input")
    lstm = layers.LSTM(2, return_state=True, name="lstm")
    output, hidden_state, cell_state = lstm(inputs)
    states = layers.Concatenate(name="concatenate")([hidden_state, cell_state])
    return keras.Model(inputs, states)


@claim(FIRST_SEQUENTIAL, "possible", "a Functional model shares a layer, used twice")
def functional_layer_used_twice():
    return describe_restored(to_functional(sequential_sharing()))


@claim(FIRST_FUNCTIONAL, "possible", "a Functional model has branches that join")
def functional_branches():
    return models.build_wide_deep((8, 8))


@claim(
    FIRST_FUNCTIONAL,
    "possible",
    "a Functional model passes its input around the deep path",
)
def bypass():
    model = models.build_wide_deep((8, 8))
    for weights in model.weights[:-2]:  # all but the output layer's
        weights.assign(keras.ops.zeros_like(weights))
    black = model(np.zeros((1, 28, 28)))
    white = model(np.ones((1, 28, 28)))
    change = np.abs(black - white).max()
    if change == 0:
        raise ValueError("with the deep path at zero, the image makes no difference")
    return (
        "builds; with the deep path's weights at zero, "
        f"black and white images differ by {change:.2f}"
    )


@claim(
    FIRST_FUNCTIONAL, "possible", "a Functional model has several inputs and outputs"
)
def functional_inputs_and_outputs():
    return models.build_two_input_two_output((8, 8), 8)


@claim(
    SECOND_SEQUENTIAL,
    "possible",
    "a Sequential model's first layer takes `input_dim`",
)
def input_dim():
    return keras.Sequential([layers.Dense(4, input_dim=4)])


@claim(
    SECOND_SEQUENTIAL,
    "impossible",
    "a Sequential model has an input that is not its first layer",
)
def late_input():
    parts = [tiny_input(), dense(), tiny_input("late_input")]
    return keras.Sequential(parts, name="sequential")


@claim(
    SECOND_SEQUENTIAL,
    "impossible",
    "a Sequential model uses a layer of another model",
)
def layer_of_another_model():
    shared = dense("shared")
    model = keras.Sequential([tiny_input(), shared])
    other = keras.Sequential([tiny_input(), dense(), shared])
    kernel = other.layers[-1].kernel
    before = model.get_weights()[0]
    kernel.assign(kernel + 1)
    change = np.mean(model.get_weights()[0] - before)
    return (
        "builds; adding 1 to the layer's weights in one model "
        f"adds {change:.2g} to them in the other"
    )


@claim(
    SECOND_RESULT,
    "possible",
    "a Functional model can express whatever a Sequential one can",
)
def functional_twin():
    model = models.build_sequential((8, 8))
    twin = models.build_functional_twin((8, 8))
    twin.set_weights(model.get_weights())
    images = np.random.default_rng(0).random((4, 28, 28))
    change = np.abs(model(images) - twin(images)).max()
    return f"builds; with equal weights, predictions differ by {change:.2g}"


@claim(
    SECOND_FUNCTIONAL,
    "possible",
    "a Functional model's inputs share the same layers",
)
def shared_layers():
    return models.build_shared_layers((8, 8))
