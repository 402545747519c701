"""A user's mistakes: each is refused in Keras's manner, with what was expected and received, and leaves no file."""

import inspect

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.figure import Figure

import keras_model_wars as kmw
from keras_model_wars.checks import positive_number, whole_number
from keras_model_wars.report import make_report

NAN, BIG = float("nan"), 10**400
MODEL = keras.Sequential(
    [keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]
)
PAIRS = kmw.build_shared_layers((2, 2))
UNBUILT = keras.Sequential([keras.layers.Dense(2)])
CHAIN = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])
X, Y = np.zeros((24, 28, 28), int), np.arange(24) % 10
TWO = {"data": ((np.zeros((2, 28, 28), int), np.arange(2)),) * 2}
ONE, TWICE = (
    {"loss": [1.0]},
    pd.DataFrame({"loss": [1.0, 2.0]}, pd.Index([1, 1], name="epoch")),
)
ELSEWHERE = pd.DataFrame(ONE, pd.Index([101], name="epoch"))
LOG = kmw.article_log("sequential")
THREE = [{"loss": [float(n)]} for n in range(3)]
UNITS, LAYERS, LOGGED = (
    "hidden_units` should be ",
    "`model` should be a Keras model",
    "sequential, wide_deep, two_input_",
)
LENGTH, HISTORY, SHOWN = (
    "of one length, two or more. ",
    "`history` should be what `fit` returned",
    "1 to 400 images ",
)

# The function, its wrong arguments, and part of what it says.
MISTAKES = [
    *(
        (build, [units], UNITS)
        for units in (
            (8,),
            (8, 4, 2),
            8,
            "8,4",
            (8, 0),
            (-8, 4),
            (8, 4.0),
            (True, 4),
            (8, None),
        )
        for build in (kmw.build_sequential, kmw.build_shared_layers)
    ),
    *(
        (getattr(kmw, name), [(8, 0)], UNITS)
        for name in kmw.__all__
        if name.startswith("build_")
    ),
    (
        kmw.build_two_input_two_output,
        [(8, 4), 1.5],
        "`branch_units` should be .*: branch_units=1.5",
    ),
    *(
        (kmw.scale_pixels, [np.array(x)], "`x` should .* from 0 to 255")
        for x in ([0.0, 1.0], [-1, 3], [0, 256], [True])
    ),
    *(
        (kmw.split_validation, [X, Y, n], "`validation_size` should be .*from 1 to 23")
        for n in (0, 24, 1.0, True, "5")
    ),
    *(
        (
            split,
            [np.zeros((x, 2)), np.zeros(y, int)],
            rf"{LENGTH}Received: shapes \({x}, 2\) and \({y},\)",
        )
        for split in (kmw.split_validation, kmw.split_two_inputs, kmw.make_pairs)
        for x, y in ((24, 23), (1, 1), (0, 0))
    ),
    *(
        (kmw.make_pairs, [X[:3], np.array(y)], "`y` should ")
        for y in ([1, 1, 1], [0.5, 1, 2], [[1], [2], [3]])
    ),
    *(
        (
            whole_number,
            ["epochs", n, 1, 10],
            "`epochs` should be a whole number from 1 to 10. Received: epochs=",
        )
        for n in (0, 11, 1.5, True, "3", None, NAN, 10**30)
    ),
    *(
        (
            positive_number,
            ["rate", n],
            "`rate` should be a finite number above zero. Received: rate=",
        )
        for n in (0, -1.0, NAN, float("inf"), True, "0.1", None, BIG)
    ),
    *(
        (kmw.plot_samples, [np.zeros(x), np.zeros(y)], SHOWN + ".*: shapes")
        for x, y in (
            ((3, 28, 28), 2),
            ((3, 784), 3),
            ((28, 28), 28),
            ((0, 28, 28), 0),
            ((401, 28, 28), 401),
        )
    ),
    *(
        (
            kmw.plot_model,
            [model],
            r"should be a Keras model that starts with a keras\.Input",
        )
        for model in (None, UNBUILT)
    ),
    (kmw.plot_neurons, [(3, 33)], "`units` should be a whole number from 1 to 32"),
    *(
        (kmw.plot_article_comparison, [table], "compare_with_article")
        for table in (None, [1.0], TWICE)
    ),
    *(
        (
            kmw.plot_mistakes,
            [MODEL, X[:3], y],
            "`y` should hold the labels of 1 outputs",
        )
        for y in (
            Y[:2],
            Y[:3] + 8,
            Y[:3] - 1,
            Y[:3] / 2,
            ["1", "2", "3"],
            np.eye(10)[:3],
            None,
            [],
        )
    ),
    (kmw.plot_mistakes, [MODEL, X[:0], Y[:0]], "`y` should hold .*Received: 0 of "),
    *(
        (function, [model], LOGGED)
        for function in (kmw.article_log, kmw.seed_histories)
        for model in ("res", "", None)
    ),
    *(
        (kmw.plot_learning_curves, [history], HISTORY)
        for history in (
            None,
            [0.5],
            {"accuracy": [0.5]},
            {"loss": []},
            {"loss": ["x"]},
            {"loss": [1.0], "a": [1, 2]},
            TWICE,
        )
    ),
    (
        kmw.compare_with_article,
        [LOG.drop(columns=["accuracy", "val_loss"]), "sequential"],
        "without accuracy, val_loss",
    ),
    (
        kmw.compare_with_article,
        [LOG.rename(index=lambda epoch: epoch + 100), "sequential"],
        "epochs from 1 to 20",
    ),
    (
        kmw.how_typical,
        [ONE, [ONE] * 3],
        "`loss` should be finite and differ .* in epoch 1",
    ),
    *(
        (kmw.how_typical, [{"loss": [n]}, THREE], "`loss` should be finite .*nan")
        for n in (NAN, float("inf"))
    ),
    (kmw.how_typical, [ONE, THREE[:2]], "list of 3 or more. Received: 2 of them"),
    (kmw.how_typical, [ONE, 3], "`histories` should be"),
    (kmw.how_typical, [ONE, [ELSEWHERE] * 3], "in common"),
    (kmw.prediction_interval, [[ONE]], "2 or more"),
    (kmw.prediction_interval, [THREE, 95], "between 0 and 1. Received: confidence=95"),
    *(
        (function, [3], LAYERS)
        for function in (kmw.which_api, kmw.to_sequential, kmw.to_functional)
    ),
    (kmw.to_functional, [UNBUILT], r"keras\.Input"),
    *(
        (kmw.draw_digit, [models], "should ")
        for models in ({}, MODEL, {"a": 5}, {"a": CHAIN}, {"a": PAIRS})
    ),
    (
        kmw.predict_digits,
        ["sequential", X[0]],
        "`model` should take pictures of 28 x 28 .*Received: 'sequential'",
    ),
    (kmw.predict_digits, [CHAIN, X[0]], r"pictures of 28 x 28 .* outputs \[\(784,\)\]"),
    (
        kmw.predict_digits,
        [MODEL, []],
        "`images` should be 1 per prediction.* Received: 0",
    ),
    (
        kmw.predict_digits,
        [PAIRS, [X[0]] * 3],
        r"2 per prediction, one for each input \(left, right\). Received: 3",
    ),
    (make_report, ["missing"], "a finished run.*Received: missing"),
    (make_report, [5], "a path"),
]
# What is wrong among right settings of `train`.
OF_TRAIN = [
    ({"model": "resnet"}, f"{LOGGED}.* Received: 'resnet'"),
    ({"epochs": 0}, "`epochs` should be a whole number .*Received: epochs=0"),
    ({"epochs": "3"}, "epochs='3'"),
    (
        {"batch_size": 32.0},
        "`batch_size` should be a whole number .*Received: batch_size=32.0",
    ),
    ({"learning_rate": NAN}, "`learning_rate` should be a finite number above zero"),
    ({"seed": -1}, "`seed` should be a whole number from 0 to .*Received: seed=-1"),
    (
        {"steps_per_execution": 2**70},
        "`steps_per_execution` should be a whole number .*Received: ",
    ),
    ({"hidden_units": (8, 0)}, UNITS),
    ({"hiden_units": (8, 4)}, "hiden_units"),
    ({"data": 5}, "`data` should be"),
    ({"data": "missing.npz"}, "missing.npz should be .* No such file"),
    (
        {"data": "missing.npz", "hidden_units": (8,)},
        UNITS,
    ),  # found before any digits are looked for
    ({"data": ((X.reshape(24, 784), Y),) * 2}, "`data`: x_train should have the shape"),
    (TWO | {"model": "two_input_two_output"}, "should .* Received: "),
    (TWO | {"model": "shared_layers"}, "should "),
    (
        {"out": None, "resume": True},
        "`resume` or `overwrite` should come with `out`.* Received: ",
    ),
    (
        {"out": None, "overwrite": True},
        "`resume` or `overwrite` should come with `out`.* Received: ",
    ),
    (
        {"resume": True, "overwrite": True},
        "not with each other. Received: resume=True, overwrite=True",
    ),
]
RIGHT = {
    "model": "sequential",
    "epochs": 1,
    "hidden_units": (8, 4),
    "data": ((X, Y),) * 2,
    "out": "run",
    "verbose": False,
}


@pytest.fixture(autouse=True)
def no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("function", "arguments", "message"), MISTAKES)
def test_mistake_is_refused_with_what_was_expected_and_received(
    function, arguments, message
):
    with pytest.raises(kmw.InputError, match=message) as refused:
        function(*arguments)
    assert "should" in str(refused.value)
    assert "Received: " in str(refused.value)


@pytest.mark.parametrize(("wrong", "message"), OF_TRAIN)
def test_what_cannot_be_trained_is_refused(wrong, message):
    with pytest.raises((ValueError, TypeError), match=message):
        kmw.train(**(RIGHT | wrong))


ANY_ARRAY = arrays.arrays(
    dtype=st.sampled_from(["u1", "i8", "f4", "f8", "?", "c8", "U3", "O", "M8[s]"]),
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
    | st.sampled_from([(3, 28, 28), (12,)]),
)
ANY_NUMBER = (
    st.integers()
    | st.floats()
    | st.sampled_from([0, -1, 1, 2, 10**30, -(10**30), 2**63, 1e308, True])
)
ANY_TABLE = st.floats().flatmap(
    lambda n: st.sampled_from(
        [
            pd.DataFrame({"loss": [n], 3: ["x"]}),
            pd.DataFrame({"loss": [n, n], "accuracy": [n, "x"]}),
            pd.DataFrame(
                {"epoch": [1], "metric": ["accuracy"], "article": [n], "measured": [n]}
            ),
        ]
    )
)
ANYTHING = st.one_of(
    st.sampled_from([None, object()]),
    ANY_NUMBER,
    ANY_ARRAY,
    ANY_TABLE,
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(
        ANY_NUMBER | st.text(max_size=2) | st.lists(ANY_NUMBER, max_size=2), max_size=4
    ),
    st.tuples(ANY_NUMBER, ANY_NUMBER),
    st.dictionaries(st.text(max_size=3), ANY_NUMBER, max_size=2),
)
# The arguments of each public function.
TAKES = {
    **{name: "hidden_units" for name in kmw.__all__ if name.startswith("build_")},
    "build_two_input_two_output": "hidden_units branch_units",
    "load_mnist": "path",
    "scale_pixels": "x",
    "split_validation": "x y validation_size",
    "split_two_inputs": "x y",
    "make_pairs": "x y seed",
    "plot_samples": "x y columns",
    "plot_model": "model to_file dpi",
    "plot_neurons": "units",
    "plot_learning_curves": "history",
    "plot_article_comparison": "comparison",
    "which_api": "model",
    "to_sequential": "model",
    "to_functional": "model",
    "load_model": "path",
    "article_log": "model",
    "seed_histories": "model",
    "prediction_interval": "histories confidence",
    "how_typical": "history histories",
    "compare_with_article": "history model",
    "prepare_image": "image",
    "predict_digits": "model images",
    "draw_digit": "models",
}
SPECIAL = {
    # Small enough to build in no time; what is wide enough to take a gigabyte has its own test.
    "hidden_units": ANYTHING | st.tuples(st.integers(-2, 40), st.integers(-2, 40)),
    "branch_units": ANYTHING | st.integers(-2, 40),
    "model": ANYTHING | st.just("sequential"),
    "path": ANYTHING.filter(lambda path: path is not None),
}


def test_every_public_function_that_takes_something_is_thrown_at():
    functions = {
        name: getattr(kmw, name)
        for name in kmw.__all__
        if inspect.isfunction(getattr(kmw, name))
    }
    take_something = {
        name
        for name, function in functions.items()
        if inspect.signature(function).parameters
    }
    # What takes a model or a prediction of ours first has its wrong calls in the table above.
    assert take_something - {"train", "plot_mistakes", "plot_predictions"} == set(TAKES)


@pytest.mark.parametrize("name", TAKES)
def test_a_function_returns_or_says_what_it_expected(name):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.fixed_dictionaries(
            {
                argument: SPECIAL.get(argument, ANYTHING)
                for argument in TAKES[name].split()
            }
        )
    )
    def throw(keywords):
        try:
            returned = getattr(kmw, name)(**keywords)
        except (ValueError, TypeError) as error:
            said = str(error)
            assert (
                "should" in said and "Received" in said
            ) or "unexpected keyword" in said, f"{name}: {error}"
        else:
            assert not isinstance(returned, Figure) or returned.axes

    throw()


def outside(lowest, highest=2**31 - 1):
    return ANYTHING.filter(
        lambda n: n is not None and not (isinstance(n, int) and lowest <= n <= highest)
    )


# What decides before anything is trained or read; each is thrown alone, at settings that are right.
TRAIN = {
    "model": ANYTHING,
    "epochs": outside(1),
    "batch_size": outside(1),
    "steps_per_execution": outside(1),
    "learning_rate": ANYTHING.filter(
        lambda n: n is not None and not (isinstance(n, (int, float)) and 0 < n < np.inf)
    ),
    "seed": st.none() | outside(0, 2**32 - 1),
    "data": ANYTHING.filter(lambda data: data is not None),
    "hidden_units": ANYTHING.filter(
        lambda units: not isinstance(units, (tuple, list)) or len(units) != 2
    ),
}


@pytest.mark.parametrize("name", TRAIN)
def test_train_says_what_it_expected(name):
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TRAIN[name])
    def throw(value):
        with pytest.raises((ValueError, TypeError), match=r"(?s)should.*Received"):
            kmw.train(**(RIGHT | {name: value}))

    throw()
