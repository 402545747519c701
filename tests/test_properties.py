"""Anything at all is passed to every public function: it returns, or it says why not.

What may be raised is our InputError, and what Keras, NumPy, pandas and Python document
for wrong arguments: ValueError, TypeError, and OSError for files. An AttributeError,
IndexError, KeyError or the like is a bug.
"""

import inspect

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers

import keras_model_wars as kmw

DOCUMENTED = (ValueError, TypeError, OSError)


class Subclassed(keras.Model):
    """A model whose graph is code."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(10)

    def call(self, inputs):
        return self.dense(inputs)


def built_subclassed():
    model = Subclassed()
    model(np.zeros((1, 4)))
    return model


def called_sequential():
    model = keras.Sequential([layers.Flatten(), layers.Dense(10)])
    model(np.zeros((1, 28, 28)))
    return model


def of_dict():
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    return keras.Model(inputs, {"sum": layers.Add()(list(inputs.values()))})


def masked():
    inputs = keras.Input((5,), dtype="int32")
    return keras.Model(
        inputs, layers.LSTM(2)(layers.Embedding(4, 3, mask_zero=True)(inputs))
    )


MODELS = {
    "sequential": kmw.build_sequential((4, 4)),
    "functional": kmw.build_wide_deep((4, 4)),
    "two inputs and outputs": kmw.build_two_input_two_output((4, 4), 4),
    "pairs": kmw.build_shared_layers((4, 4)),
    "dict": of_dict(),
    "masked": masked(),
    "called sequential": called_sequential(),
    "empty sequential": keras.Sequential(),
    "not built": keras.Sequential([layers.Dense(2)]),
    "subclassed": built_subclassed(),
    "subclassed, not built": Subclassed(),
}
ANY_ARRAY = arrays.arrays(
    dtype=st.sampled_from(["u1", "i8", "f4", "?", "c8", "U3", "M8[s]"]),
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    | st.sampled_from([(3, 28, 28), (12,)]),
)
ANY_NUMBER = (
    st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 10**30, 1e308, True])
)
TABLES = [
    pd.DataFrame(),
    pd.DataFrame({"loss": [np.nan], 3: ["x"]}),
    pd.DataFrame({"loss": [1.0, 2.0]}, pd.Index([1, 1], name="epoch")),
    pd.DataFrame({"epoch": [1], "metric": ["accuracy"], "article": [1.0]}),
]
ANYTHING = st.one_of(
    st.sampled_from([None, object(), np.array([object()]), *TABLES]),
    ANY_NUMBER,
    ANY_ARRAY,
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(ANY_NUMBER | st.text(max_size=2), max_size=4),
    st.dictionaries(st.text(max_size=3), ANY_NUMBER, max_size=2),
    st.sampled_from(list(MODELS.values())),
)
# What would train, download, serve a page or try all claims; each has tests of its own.
NOT_THROWN_AT = {"train", "draw_digit", "claims", "pitfalls", "scoreboard"}
# Wide layers take gigabytes, and None means the download.
NARROW = ANYTHING | st.tuples(st.integers(-2, 40), st.integers(-2, 40))
SPECIAL = {
    "hidden_units": NARROW,
    "branch_units": st.integers(-2, 40) | st.text(max_size=2),
    "path": ANYTHING.filter(lambda path: path is not None),
}


def public_functions():
    found = {name: getattr(kmw, name) for name in kmw.__all__}
    return {
        name: function
        for name, function in found.items()
        if inspect.isfunction(function) and name not in NOT_THROWN_AT
    }


FUNCTIONS = public_functions()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(function, **arguments):
    try:
        function(**arguments)
    except DOCUMENTED as error:
        assert str(error), f"{function.__name__} says nothing"
    finally:
        plt.close("all")


def required(function):
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is inspect.Parameter.empty]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore")
def test_a_function_takes_anything_or_says_why_not(name):
    function = FUNCTIONS[name]
    values = {arg: SPECIAL.get(arg, ANYTHING) for arg in required(function)}

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(values))
    def throw(arguments):
        call(function, **arguments)

    throw()


TAKE_A_MODEL = [
    name for name, function in FUNCTIONS.items() if "model" in required(function)
]


@pytest.mark.parametrize("name", TAKE_A_MODEL)
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_a_function_takes_a_model_of_any_kind_or_says_why_not(name, kind):
    function = FUNCTIONS[name]
    right = {
        "x": np.zeros((3, 28, 28), dtype="float32"),
        "y": np.arange(3),
        "images": np.pad(np.full((3, 20, 4), 255, "uint8"), ((0, 0), (9, 9), (9, 9))),
        "history": kmw.article_log("sequential"),
    }
    names = [argument for argument in required(function) if argument != "model"]
    call(function, model=MODELS[kind], **{name: right[name] for name in names})


WRONG_SETTINGS = ["epochs", "batch_size", "learning_rate"]


@pytest.mark.parametrize("name", WRONG_SETTINGS)
def test_train_refuses_a_setting_that_is_no_number(name):
    for value in ("3", [], {}, object()):
        with pytest.raises(kmw.InputError, match=f"`{name}` should be"):
            kmw.train("sequential", **{name: value})


@pytest.mark.parametrize("model", [5, [], object(), "resnet", np.zeros(3)])
def test_train_refuses_what_is_no_model(model):
    with pytest.raises(kmw.InputError, match="`model` should be"):
        kmw.train(model)


@pytest.mark.parametrize(
    "data", [5, [], "missing.npz", np.zeros((3, 28, 28)), object()]
)
def test_train_refuses_what_is_no_data(data):
    with pytest.raises(kmw.InputError, match="should"):
        kmw.train("sequential", data=data)
