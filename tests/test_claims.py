"""The articles' statements, each tried; and the lines that Keras treats otherwise today."""

import pytest

from keras_model_wars import changes, claims


@pytest.fixture(scope="module")
def tried():
    return claims().set_index("statement")


def test_every_statement_is_judged_by_what_keras_did(tried):
    agrees = (tried["the article"] == "possible") == (tried["Keras"] == "builds")
    assert ((tried["verdict"] == "true") == agrees).all()
    assert set(tried["article"]) == {"first", "second"}
    assert tried["evidence"].str.len().gt(10).all()


def test_what_keras_refuses_is_shown_in_its_own_words(tried):
    refused = tried[tried["Keras"] == "refuses"]["evidence"]
    assert refused.str.match("ValueError: ").all()
    assert "You cannot add a different Input layer" in refused["a Sequential model has several inputs"]


def test_the_statements_found_wrong_are_these(tried):
    assert list(tried.index[tried["verdict"] == "wrong"]) == [
        "a Sequential model shares a layer, used twice along its chain",
        "a Sequential model has several outputs",
        "a Sequential model uses a layer of another model",
    ]


def test_a_shared_layer_comes_back_from_a_file_in_the_functional_api_alone(tried):
    def moved(statement):
        return float(tried.loc[statement, "evidence"].split("differ by ")[1])

    assert moved("a Sequential model shares a layer, used twice along its chain") > 0.1
    assert moved("a Functional model shares a layer, used twice") == 0


def test_the_bypass_and_the_twin_are_measured(tried):
    assert not tried.loc["a Functional model leads its input past the deep path", "evidence"].endswith(" 0.00")
    assert tried.loc["a Functional model says what a Sequential one says", "evidence"].endswith("differ by 0")


def test_changes_show_the_warning_or_error_and_a_form_without():
    table = changes().set_index("in the articles")
    assert "UserWarning: Do not pass" in table.loc["`Dense(32, input_dim=784)`", "today"]
    assert "ValueError" in table.loc["`metrics=['accuracy']` for two outputs", "today"]
    assert "ImportError" in table.loc["`plot_model` without Graphviz", "today"]
    assert "dense_N_accuracy" in table.loc["metrics named `dense_14_accuracy`", "today"]
    assert "2/2" in table.loc["`Train on 55000 samples`, `55000/55000`, `106us/sample`", "today"]
    assert not table["tried"].str.contains("Error|Warning").any()
