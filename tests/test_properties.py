"""Whatever a public function is given, it returns, or says in Keras's manner what it expected; and it leaves no file."""

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

ANY_ARRAY = arrays.arrays(
    dtype=st.sampled_from(["u1", "i8", "f4", "f8", "?", "c8", "U3", "O", "M8[s]"]),
    shape=st.one_of(
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6), st.just((3, 28, 28)), st.just((12,))
    ),
)
ANY_NUMBER = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1, 2, 10**30, -(10**30), 2**63, float("nan"), float("inf"), 1e308, True]),
)
ANYTHING = st.one_of(
    st.none(),
    ANY_NUMBER,
    st.text(max_size=5),
    st.binary(max_size=5),
    ANY_ARRAY,
    st.lists(st.one_of(ANY_NUMBER, st.text(max_size=2), st.lists(ANY_NUMBER, max_size=2)), max_size=4),
    st.tuples(ANY_NUMBER, ANY_NUMBER),
    st.dictionaries(st.text(max_size=3), ANY_NUMBER, max_size=2),
    st.just(object()),
    st.builds(lambda n: pd.DataFrame({"loss": [n], 3: ["x"]}), st.floats()),
    st.builds(lambda n: pd.DataFrame({"loss": [n, n], "accuracy": [n, "x"]}), st.floats()),
    st.builds(
        lambda n: pd.DataFrame({"epoch": [1], "metric": ["accuracy"], "article": [n], "measured": [n]}), st.floats()
    ),
)
# Small enough to build in no time; what is wide enough to take a gigabyte has its own test.
UNITS = st.one_of(ANYTHING, st.tuples(st.integers(-2, 40), st.integers(-2, 40)))
NOT_A_NAME = ANYTHING.filter(lambda name: not (isinstance(name, str) and name in kmw.EXPERIMENTS))

CALLS = {
    **{name: {"hidden_units": UNITS} for name in kmw.__all__ if name.startswith("build_")},
    "build_two_input_two_output": {"hidden_units": UNITS, "branch_units": st.one_of(ANYTHING, st.integers(-2, 40))},
    "load_mnist": {"path": ANYTHING.filter(lambda path: path is not None)},
    "scale_pixels": {"x": ANYTHING},
    "split_validation": {"x": ANYTHING, "y": ANYTHING, "validation_size": ANYTHING},
    "split_two_inputs": {"x": ANYTHING, "y": ANYTHING},
    "make_pairs": {"x": ANYTHING, "y": ANYTHING, "seed": ANYTHING},
    "plot_samples": {"x": ANYTHING, "y": ANYTHING, "columns": ANYTHING},
    "plot_model": {"model": ANYTHING, "to_file": ANYTHING, "dpi": ANYTHING},
    "plot_neurons": {"units": ANYTHING},
    "plot_learning_curves": {"history": ANYTHING},
    "plot_article_comparison": {"comparison": ANYTHING},
    "which_api": {"model": ANYTHING},
    "to_sequential": {"model": ANYTHING},
    "to_functional": {"model": ANYTHING},
    "load_model": {"path": ANYTHING},
    "article_log": {"model": ANYTHING},
    "seed_histories": {"model": ANYTHING},
    "prediction_interval": {"histories": ANYTHING, "confidence": ANYTHING},
    "how_typical": {"history": ANYTHING, "histories": ANYTHING},
    "compare_with_article": {"history": ANYTHING, "model": st.one_of(ANYTHING, st.just("sequential"))},
    "prepare_image": {"image": ANYTHING},
    "predict_digits": {"model": ANYTHING, "images": ANYTHING},
    "draw_digit": {"models": ANYTHING},
}
# What decides before anything is trained or read; each is thrown alone, at settings that are right.
TRAIN = {
    "model": NOT_A_NAME,
    "epochs": ANYTHING.filter(lambda n: n is not None and not (isinstance(n, int) and n > 0)),
    "batch_size": ANYTHING.filter(lambda n: not (isinstance(n, int) and 0 < n < 2**31)),
    "learning_rate": ANYTHING.filter(lambda n: not isinstance(n, (int, float)) or not 0 < n < float("inf")),
    "seed": ANYTHING.filter(lambda n: not (isinstance(n, int) and 0 <= n < 2**32)),
    "steps_per_execution": ANYTHING.filter(lambda n: n is not None and not (isinstance(n, int) and 0 < n < 2**31)),
    "data": ANYTHING.filter(lambda d: d is not None),
    "hidden_units": ANYTHING.filter(lambda u: not (isinstance(u, tuple) and all(isinstance(n, int) for n in u))),
    "no_such_keyword": st.just(1),
}


def call(name, keywords):
    try:
        return getattr(kmw, name)(**keywords)
    except (ValueError, TypeError) as error:
        assert "should" in str(error) or "unexpected keyword" in str(error), f"{name}: {error}"
        assert "Received" in str(error) or "unexpected keyword" in str(error), f"{name}: {error}"
        return None


def test_every_public_function_that_takes_something_is_thrown_at():
    functions = {name for name in kmw.__all__ if inspect.isfunction(getattr(kmw, name))}
    without_arguments = {name for name in functions if not inspect.signature(getattr(kmw, name)).parameters}
    # What takes a model or a prediction of ours first has its wrong calls in its own test file.
    assert functions - without_arguments - {"train", "plot_mistakes", "plot_predictions"} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_function_returns_or_says_what_it_expected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(CALLS[name]))
    def throw(keywords):
        returned = call(name, keywords)
        assert not isinstance(returned, (BaseException, Figure)) or returned.axes

    throw()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRAIN)
def test_train_says_what_it_expected_and_leaves_no_file(name, tmp_path, monkeypatch, few_digits):
    monkeypatch.chdir(tmp_path)
    right = {
        "model": "sequential",
        "epochs": 1,
        "hidden_units": (8, 4),
        "data": few_digits,
        "out": tmp_path / "run",
        "verbose": False,
    }

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TRAIN[name])
    def throw(value):
        assert call("train", right | {name: value}) is None

    throw()
    assert list(tmp_path.iterdir()) == []


def test_models_are_returned_where_the_widths_are_right():
    assert isinstance(call("build_sequential", {"hidden_units": (3, 2)}), keras.Model)
    assert np.array_equal(call("scale_pixels", {"x": [0, 255]}), [0, 1])
