"""Whatever a public function is given, it returns, or says in Keras's manner what it expected; and it leaves no file."""

import inspect

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
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6) | st.sampled_from([(3, 28, 28), (12,)]),
)
ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([0, -1, 1, 2, 10**30, -(10**30), 2**63, 1e308, True])
ANY_TABLE = st.floats().flatmap(lambda n: st.sampled_from([
    pd.DataFrame({"loss": [n], 3: ["x"]}), pd.DataFrame({"loss": [n, n], "accuracy": [n, "x"]}),
    pd.DataFrame({"epoch": [1], "metric": ["accuracy"], "article": [n], "measured": [n]}),
]))  # fmt: skip
ANYTHING = st.one_of(
    st.sampled_from([None, object()]), ANY_NUMBER, ANY_ARRAY, ANY_TABLE, st.text(max_size=5), st.binary(max_size=5),
    st.lists(ANY_NUMBER | st.text(max_size=2) | st.lists(ANY_NUMBER, max_size=2), max_size=4),
    st.tuples(ANY_NUMBER, ANY_NUMBER), st.dictionaries(st.text(max_size=3), ANY_NUMBER, max_size=2),
)  # fmt: skip
# Small enough to build in no time; what is wide enough to take a gigabyte has its own test.
UNITS = ANYTHING | st.tuples(st.integers(-2, 40), st.integers(-2, 40))
# The arguments of each public function.
TAKES = {
    **{name: "hidden_units" for name in kmw.__all__ if name.startswith("build_")},
    "build_two_input_two_output": "hidden_units branch_units", "load_mnist": "path", "scale_pixels": "x",
    "split_validation": "x y validation_size", "split_two_inputs": "x y", "make_pairs": "x y seed",
    "plot_samples": "x y columns", "plot_model": "model to_file dpi", "plot_neurons": "units",
    "plot_learning_curves": "history", "plot_article_comparison": "comparison", "which_api": "model",
    "to_sequential": "model", "to_functional": "model", "load_model": "path", "article_log": "model",
    "seed_histories": "model", "prediction_interval": "histories confidence", "how_typical": "history histories",
    "compare_with_article": "history model", "prepare_image": "image", "predict_digits": "model images",
    "draw_digit": "models",
}  # fmt: skip
SPECIAL = {
    "hidden_units": UNITS, "branch_units": ANYTHING | st.integers(-2, 40), "model": ANYTHING | st.just("sequential"),
    "path": ANYTHING.filter(lambda path: path is not None),
}  # fmt: skip


def outside(lowest, highest=2**31 - 1):
    return ANYTHING.filter(lambda n: n is not None and not (isinstance(n, int) and lowest <= n <= highest))


# What decides before anything is trained or read; each is thrown alone, at settings that are right.
TRAIN = {
    "model": ANYTHING,
    "epochs": outside(1),
    "batch_size": outside(1),
    "learning_rate": ANYTHING.filter(lambda n: n is not None and not (isinstance(n, (int, float)) and 0 < n < np.inf)),
    "seed": st.none() | outside(0, 2**32 - 1),
    "steps_per_execution": outside(1),
    "data": ANYTHING.filter(lambda data: data is not None),
    "hidden_units": ANYTHING.filter(lambda units: not isinstance(units, (tuple, list)) or len(units) != 2),
    "no_such_keyword": st.just(1),
}


def call(name, keywords):
    try:
        return getattr(kmw, name)(**keywords)
    except (ValueError, TypeError) as error:
        said = str(error)
        assert ("should" in said and "Received" in said) or "unexpected keyword" in said, f"{name}: {error}"


def test_every_public_function_that_takes_something_is_thrown_at():
    functions = {name: getattr(kmw, name) for name in kmw.__all__ if inspect.isfunction(getattr(kmw, name))}
    take_something = {name for name, function in functions.items() if inspect.signature(function).parameters}
    # What takes a model or a prediction of ours first has its wrong calls in its own test file.
    assert take_something - {"train", "plot_mistakes", "plot_predictions"} == set(TAKES)


@pytest.mark.parametrize("name", TAKES)
def test_a_function_returns_or_says_what_it_expected(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries({argument: SPECIAL.get(argument, ANYTHING) for argument in TAKES[name].split()}))
    def throw(keywords):
        returned = call(name, keywords)
        assert not isinstance(returned, (BaseException, Figure)) or returned.axes

    throw()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TRAIN)
def test_train_says_what_it_expected_and_leaves_no_file(name, tmp_path, monkeypatch, few_digits):
    monkeypatch.chdir(tmp_path)
    right = {"model": "sequential", "epochs": 1, "hidden_units": (8, 4), "data": few_digits, "out": tmp_path / "run"}

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(TRAIN[name])
    def throw(value):
        assert call("train", right | {"verbose": False, name: value}) is None

    throw()
    assert list(tmp_path.iterdir()) == []
