"""Experiments: their settings, and a model of the reader's own by FILE.py:NAME."""

import re
import sys

import numpy as np
import pytest

import keras_model_wars as kmw
from keras_model_wars.experiments import find_experiment

MY_MODEL = """
import keras_model_wars as kmw
from beside import WIDTH

def build_mine():
    return kmw.build_sequential((WIDTH, WIDTH))

def build_sequential():
    return build_mine()

quick = kmw.Experiment("quick", "A quick one", build_mine, epochs=2)
number = 5
model = build_mine()
"""


@pytest.fixture
def my_model(tmp_path, monkeypatch):
    """A file of the reader's in the current folder, and another that it imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("my_model", "beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "my_model.py").write_text(MY_MODEL)
    (tmp_path / "beside.py").write_text("WIDTH = 8\n")
    yield tmp_path / "my_model.py"
    for name in ("my_model", "beside"):
        sys.modules.pop(name, None)


def test_the_articles_settings():
    epochs = {name: experiment.epochs for name, experiment in kmw.EXPERIMENTS.items()}
    assert epochs == {
        "sequential": 20,
        "wide_deep": 10,
        "two_input_two_output": 10,
        "added_sequential": 20,
        "functional_twin": 20,
        "shared_layers": 5,
    }
    for experiment in kmw.EXPERIMENTS.values():
        assert experiment.learning_rate == 0.01
        assert experiment.batch_size == 32


@pytest.mark.parametrize("name", kmw.EXPERIMENTS)
def test_an_experiment_holds_the_public_builder_itself(name):
    assert kmw.EXPERIMENTS[name].builder is getattr(kmw, f"build_{name}")


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "3", None, 2**31, float("nan")])
def test_epochs_that_are_no_positive_integer_are_refused(epochs):
    message = re.escape(f"a positive integer. Received: epochs={epochs!r}")
    with pytest.raises(kmw.InputError, match=message):
        kmw.Experiment("mine", "My model", kmw.build_sequential, epochs=epochs)


@pytest.mark.parametrize("batch_size", [0, 32.0, "32"])
def test_a_batch_size_that_is_no_positive_integer_is_refused(batch_size):
    message = re.escape(f"Received: batch_size={batch_size!r}")
    with pytest.raises(kmw.InputError, match=message):
        kmw.Experiment("mine", "My", kmw.build_sequential, batch_size=batch_size)


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf"), True, "0.1"])
def test_a_learning_rate_that_is_not_positive_and_finite_is_refused(rate):
    message = re.escape(f"Received: learning_rate={rate!r}")
    with pytest.raises(kmw.InputError, match=message):
        kmw.Experiment("mine", "My", kmw.build_sequential, learning_rate=rate)


def test_numpys_numbers_are_numbers():
    experiment = kmw.Experiment(
        "mine",
        "My model",
        kmw.build_sequential,
        epochs=np.int64(3),
        learning_rate=np.float32(0.5),
    )
    assert experiment.epochs == 3


@pytest.mark.parametrize("name", ["", "a/b", "..", 5])
def test_a_name_that_is_no_folders_name_is_refused(name):
    with pytest.raises(kmw.InputError, match="`name` should be a word"):
        kmw.Experiment(name, "My model", kmw.build_sequential)


def test_a_builder_that_cannot_be_called_is_refused():
    with pytest.raises(kmw.InputError, match="`builder` should be a function"):
        kmw.Experiment("mine", "My model", "build_mine")


def test_a_builder_in_a_file_is_trained_as_sequential_is(my_model):
    experiment = find_experiment("my_model.py:build_mine")
    usual = kmw.EXPERIMENTS["sequential"]
    assert experiment.name == "mine"
    assert experiment.epochs == usual.epochs
    assert experiment.prepare is usual.prepare
    assert experiment.loss == usual.loss


def test_an_experiment_in_a_file_is_taken_as_it_is(my_model):
    experiment = find_experiment(f"{my_model}:quick")
    assert experiment.name == "quick"
    assert experiment.epochs == 2


def test_a_module_is_found_by_its_name(my_model):
    assert find_experiment("my_model:build_mine").name == "mine"


def test_a_file_is_imported_once(my_model):
    first = find_experiment("my_model.py:build_mine")
    assert find_experiment("my_model.py:build_mine").builder is first.builder


def test_a_file_that_is_called_as_a_package_hides_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "numpy.py").write_text("def build_mine():\n    pass\n")
    assert find_experiment(f"{tmp_path}/numpy.py:build_mine").name == "mine"
    assert sys.modules["numpy"] is np


WRONG = {
    "resnet": r"one of sequential, wide_deep, .* Received: 'resnet'. .*FILE.py:NAME",
    "sequental": "Did you mean sequential?",
    "missing.py:build_mine": "missing.py should be a Python file. .*no such file",
    "no.such.module:build_mine": "no.such.module should be a module .*No module named",
    "my_model.py:build_yours": "no name 'build_yours'. .*there: build_mine, .*quick",
    "my_model.py:model": "should name a function .*Received: <Sequential",
    ".:build_mine": "should be a module's whole name",
    "my_model.py:number": "should name a function .*Received: 5",
    "my_model.py:build_sequential": "another name than .*Received: 'sequential'",
}


@pytest.mark.parametrize(("model", "message"), WRONG.items())
def test_a_model_that_cannot_be_found_is_refused(my_model, model, message):
    with pytest.raises(kmw.InputError, match=message):
        find_experiment(model)


@pytest.mark.parametrize("model", [5, None, b"sequential"])
def test_what_is_no_name_is_refused(model):
    with pytest.raises(kmw.InputError, match="the name of a model or an Experiment"):
        find_experiment(model)


@pytest.mark.parametrize("bug", ["1 / 0", "import no_such_package", "def ("])
def test_a_bug_in_a_file_keeps_its_own_error(tmp_path, bug):
    (tmp_path / "broken.py").write_text(bug)
    with pytest.raises((ZeroDivisionError, ImportError, SyntaxError)) as caught:
        find_experiment(f"{tmp_path}/broken.py:build_mine")
    assert not isinstance(caught.value, kmw.InputError)
    assert "broken" not in sys.modules
