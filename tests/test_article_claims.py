"""The articles' claims and the scoreboard, on the installed Keras."""

import re

import keras
import pytest

import keras_model_wars as kmw
from keras_model_wars import article_claims
from keras_model_wars.article_claims import CLAIMS, try_out


@pytest.fixture(scope="module")
def claims():
    return kmw.claims().set_index("statement")


def test_keras_builds_three_models_that_the_articles_call_impossible(claims):
    wrong = claims[claims["holds"] == "no"]

    assert len(claims) == 18
    assert set(wrong["the article"]) == {"impossible"}
    assert set(wrong["Keras"]) == {"builds"}
    assert list(wrong.index) == [
        "a Sequential model shares a layer, used twice along its chain",
        "a Sequential model has several outputs",
        "a Sequential model uses a layer of another model",
    ]


@pytest.mark.parametrize(
    ("statement", "evidence"),
    [
        ("a Sequential model shares a layer, used", r"differ by [\d.]*[1-9]"),
        ("a Functional model shares a layer, used", "differ by 0$"),
        ("a Sequential model has several outputs", "returns 3 tensors"),
        ("a Sequential model has branches", "ValueError: Only instances of"),
        ("a Sequential model uses a layer of", "adds 1 to them in the other"),
        ("a Sequential model's first layer", "sequential; UserWarning: Do not pass"),
        ("around the deep path", "'bypass' joins 'image' and 'reshape'"),
        ("whatever a Sequential one can", "differ by 0$"),
    ],
)
def test_evidence_is_what_was_measured(claims, statement, evidence):
    [row] = claims.index[claims.index.str.contains(statement, regex=False)]

    assert re.search(evidence, claims["evidence"][row])


def only(monkeypatch, statement):
    """Leave one statement."""
    one = {
        heading: {statement: attempts[statement]}
        for heading, attempts in CLAIMS.items()
        if statement in attempts
    }
    monkeypatch.setattr(article_claims, "CLAIMS", one)


def test_a_claim_is_wrong_if_keras_refuses_what_the_article_calls_possible(monkeypatch):
    only(monkeypatch, "a Sequential model is built layer by layer")
    monkeypatch.delattr(keras.Sequential, "add")

    [claim] = kmw.claims().to_dict("records")

    assert (claim["Keras"], claim["holds"]) == ("refuses", "no")
    assert claim["evidence"].startswith("AttributeError")


def test_a_claim_is_wrong_if_keras_builds_what_the_article_calls_impossible(
    monkeypatch,
):
    only(monkeypatch, "a Sequential model joins branches")
    monkeypatch.setattr(keras, "Sequential", lambda layers: "a newer Keras builds it")

    [claim] = kmw.claims().to_dict("records")

    assert (claim["Keras"], claim["holds"]) == ("builds", "no")


def test_scoreboard_says_which_api_meets_a_need():
    table = kmw.scoreboard().set_index("what you need")

    answers = {need: " ".join(row) for need, row in table.iterrows()}
    assert answers == {
        "a plain stack of layers": "yes yes yes",
        "branches that join": "no yes yes",
        "several inputs": "no yes yes",
        "several outputs, each with its own layer": "no yes yes",
        "a layer used twice, and restored from a file": "no yes yes",
        "parameters counted and diagram drawn before any data": "yes yes no",
        "input of a wrong width refused on the first call": "yes yes no",
        "the output of a hidden layer, without rewriting the model": "yes yes no",
        "loaded from a .keras file where its class is not defined": "yes yes no",
        "depth that depends on the data": "no no yes",
    }


def test_a_bug_in_an_attempt_is_no_refusal():
    with pytest.raises(ZeroDivisionError):
        try_out(lambda: 1 / 0)
