"""The articles' statements, the changes since, the scoreboard and the pitfalls: each tried on the installed Keras."""

import inspect

import keras
import pytest
import tensorflow as tf

from keras_model_wars import changes, claims, pitfalls, scoreboard


def only(monkeypatch, table, rows, word):
    """Try only the row of a table that contains a word."""
    module = inspect.getmodule(table)
    monkeypatch.setattr(
        module,
        rows,
        [row for row in getattr(module, rows) if word in " ".join(map(str, row))],
    )
    return table().iloc[0]


def test_a_statement_holds_if_keras_does_what_the_article_says_with_what_was_measured_or_keras_own_words():
    tried = claims().set_index("statement")
    agrees = (tried["the article"] == "possible") == (tried["Keras"] == "builds")
    assert list(tried["holds"]) == ["yes" if agree else "no" for agree in agrees]
    assert list(tried.index[tried["holds"] == "no"]) == [
        "a Sequential model shares a layer, used twice along its chain",
        "a Sequential model has several outputs",
        "a Sequential model uses a layer of another model",
    ]
    assert len(tried) == 18
    assert set(tried["article"]) == {"first", "second"}
    refused, evidence = (
        tried[tried["Keras"] == "refuses"]["evidence"],
        tried["evidence"],
    )
    assert refused.str.fullmatch(r"ValueError: \S.{20,}").all()
    for statement in (
        "a Sequential model has several inputs",
        "a Sequential model has its input elsewhere than first",
    ):
        assert "You cannot add a different Input layer" in refused[statement]
    measured = evidence.str.extract("differ by (.*)")[0].dropna().astype(float)
    assert (
        measured["a Sequential model shares a layer, used twice along its chain"] > 0.1
    )
    assert measured["a Functional model shares a layer, used twice"] == 0
    assert measured["a Functional model leads its input past the deep path"] > 0
    assert measured["a Functional model says what a Sequential one says"] == 0
    for statement, words in {
        "a Sequential model has several outputs": "builds: sequential, the last layer returns 3 tensors",
        "a Sequential model uses a layer of another model": "adds 1 to the other's",
        "a Functional model has branches that join": "builds: functional: 'image' feeds 'flatten' and 'bypass'",
    }.items():
        assert words in evidence[statement]


def test_changes_show_the_warning_or_error_and_a_form_without():
    table = changes().set_index("in the articles")
    assert len(table) == 7
    for line, today in {
        "`Dense(32, input_dim=784)`": "UserWarning: Do not pass",
        "`Flatten(input_shape=[28, 28])`": "UserWarning: Do not pass",
        "`metrics=['accuracy']` for two outputs": "ValueError",
        "`plot_model` without Graphviz": "ImportError",
        "metrics named `dense_14_accuracy`": "dense_N_accuracy",
        "`Train on 55000 samples`, `55000/55000`, `106us/sample`": "2/2",
        "`fit([X_A, X_B], [y_A, y_B], validation_split=0.2)`": "val_output_b_loss",
    }.items():
        assert today in table.loc[line, "today"]
    assert not table["tried"].str.contains("Error|Warning").any()


def test_the_first_column_with_every_yes_is_the_api_to_take():
    table = scoreboard().set_index("what you need")
    assert list(table.columns) == ["Sequential", "Functional", "subclassed"]
    first = {
        need: "".join(cell[0] for cell in row) for need, *row in table.itertuples()
    }
    assert first == {
        "a plain stack of layers": "yyy",
        "branches that join": "nyy",
        "several inputs": "nyy",
        "several outputs, each with its own layer": "nyy",
        "a layer used twice, and restored from a file": "nyy",
        "parameters counted and diagram drawn before any data": "yyn",
        "the output of a hidden layer": "yyn",
        "input of a wrong width refused on the first call": "yyn",
        "loaded from a .keras file where its class is not defined": "yyn",
        "depth that depends on the data": "nny",
    }


def test_every_pitfall_is_fallen_into_and_cured():
    table = pitfalls()
    found = [
        ("gives -3", "gives 3"),
        ("ValueError: The structure of `inputs` doesn't match", "gives 3"),
        ("accuracy 1.00, val_accuracy 0.00", "accuracy 1.00, val_accuracy 1.00"),
        ("takes the same order", "takes another order"),
        ("its predictions differ by 0.", "its predictions differ by 0"),
        ("accuracy 0.", "accuracy 1.00, val_accuracy 1.00"),
        (
            "ValueError: Arguments `target` and `output`",
            "accuracy 1.00, val_accuracy 1.00",
        ),
        (
            "ValueError: ",
            "output_a_accuracy, output_a_loss, output_b_accuracy, output_b_loss",
        ),
        ("ValueError: A KerasTensor cannot be used", "gives shape (None,)"),
        (
            "AttributeError: The layer dense has never been called",
            "gives shape (None, 4)",
        ),
    ]
    for row, (today, cured) in zip(table.itertuples(), found, strict=True):
        assert today in row.today
        assert row.cured.endswith(cured)
    assert (table["still true"] == "yes").all()


def test_claims_scoreboard_and_pitfalls_follow_the_installed_keras(monkeypatch):
    monkeypatch.setattr(tf, "reduce_sum", keras.ops.sum)
    assert only(monkeypatch, pitfalls, "_PITFALLS", "KerasTensor")["still true"] == "no"
    monkeypatch.setattr(keras.Model, "count_params", lambda model: 3)
    monkeypatch.setattr(keras.utils, "model_to_dot", lambda model: "a diagram")
    assert only(monkeypatch, scoreboard, "_NEEDS", "counted")["subclassed"] == "yes"
    monkeypatch.setattr(keras.utils, "model_to_dot", lambda model: None)
    assert only(monkeypatch, scoreboard, "_NEEDS", "counted")["Functional"] == "no"
    monkeypatch.delattr(keras.Sequential, "add")
    row = only(monkeypatch, claims, "_CLAIMS", "layer by layer")
    assert (row["Keras"], row["evidence"][:14], row["holds"]) == (
        "refuses",
        "AttributeError",
        "no",
    )


def test_a_bug_in_an_attempt_is_no_refusal(monkeypatch):
    monkeypatch.setattr(keras.ops, "max", lambda x: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        only(monkeypatch, scoreboard, "_NEEDS", "depth")
