"""Experiments: the articles', and a reader's own by FILE.py:NAME."""

import sys

import pytest

from keras_model_wars import (
    EXPERIMENTS,
    Experiment,
    InputError,
    build_sequential,
    build_wide_deep,
)
from keras_model_wars.experiments import find_experiment

OWN = """
import keras
from keras_model_wars import Experiment

def build_mine():
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten()])

def build_sequential():
    return build_mine()

def mine_too():
    return build_mine()

tuned = Experiment("tuned", "Tuned", build_mine, epochs=3)
number = 5
"""


@pytest.fixture
def own_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


@pytest.fixture(autouse=True)
def same_path(monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())


def test_the_articles_models_are_found_by_name():
    for name, experiment in EXPERIMENTS.items():
        assert find_experiment(name) is experiment


def test_an_experiment_is_returned_as_it_is():
    experiment = Experiment("mine", "Mine", build_sequential)
    assert find_experiment(experiment) is experiment


def test_a_builder_itself_becomes_an_experiment():
    assert find_experiment(build_wide_deep).name == "build_wide_deep"


def test_a_function_becomes_an_experiment_with_its_name(own_file):
    mine = find_experiment(f"{own_file}:build_mine")
    assert (mine.name, mine.epochs) == ("mine", 20)
    assert mine.builder().output_shape == (None, 784)
    assert find_experiment(f"{own_file}:mine_too").name == "mine_too"


def test_an_own_model_is_not_taken_for_one_of_the_articles(own_file):
    own = find_experiment(f"{own_file}:build_sequential")
    assert own.name == "build_sequential"


def test_an_experiment_in_a_file_is_found(own_file):
    assert find_experiment(f"{own_file}:tuned").epochs == 3


def test_an_edited_file_is_read_again(own_file):
    find_experiment(f"{own_file}:tuned")
    own_file.write_text(OWN.replace("epochs=3", "epochs=4"))
    assert find_experiment(f"{own_file}:tuned").epochs == 4


def test_a_file_may_lie_in_the_home_and_import_its_neighbors(
    own_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "neighbor.py").write_text("EPOCHS = 7")
    own_file.write_text(
        f"from neighbor import EPOCHS\n{OWN.replace('epochs=3', 'epochs=EPOCHS')}"
    )
    assert find_experiment("~/own.py:tuned").epochs == 7


def test_what_is_no_model_is_refused_by_name(own_file):
    with pytest.raises(InputError, match="one of sequential, .*Received: sequental"):
        find_experiment("sequental")
    with pytest.raises(InputError, match=r"FILE.py:NAME. Received: no.py:build"):
        find_experiment("no.py:build")
    with pytest.raises(InputError, match="an Experiment called number"):
        find_experiment(f"{own_file}:number")
    with pytest.raises(InputError, match="an Experiment called missing"):
        find_experiment(f"{own_file}:missing")


def test_a_bug_in_the_file_keeps_its_own_error(own_file):
    own_file.write_text("import keras\n1 / 0")
    with pytest.raises(ZeroDivisionError):
        find_experiment(f"{own_file}:build_mine")
