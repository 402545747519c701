"""The articles' claims, the scoreboard and the pitfalls, on the installed Keras."""

import re

import keras
import pytest
import tensorflow as tf

from keras_model_wars import article_claims, keras_pitfalls, trying


@pytest.fixture(scope="module")
def claims():
    return article_claims.claims().set_index("statement")


@pytest.fixture(scope="module")
def pitfalls():
    return keras_pitfalls.pitfalls().set_index("pitfall")


def try_claim(monkeypatch, word):
    rows = [row for row in article_claims.CLAIMS if word in row.statement]
    monkeypatch.setattr(article_claims, "CLAIMS", rows)
    return article_claims.claims().iloc[0]


def try_need(monkeypatch, word):
    rows = [row for row in keras_pitfalls.NEEDS if word in row.what]
    monkeypatch.setattr(keras_pitfalls, "NEEDS", rows)
    return keras_pitfalls.scoreboard().iloc[0]


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
        (
            "a Sequential model shares a layer, used",
            r"2 weights .* differ by [\d.]*[1-9]",
        ),
        ("a Functional model shares a layer, used", "2 weights .* differ by 0$"),
        ("a Sequential model has several outputs", "returns 3 tensors"),
        ("a Sequential model uses a layer of", "adds 1 to them in the other"),
        ("a Functional model has branches", "functional: 'image' feeds 'flatten'"),
        ("around the deep path", r"images differ by 0\.(0[1-9]|[1-9])"),
        ("whatever a Sequential one can", "predictions differ by 0$"),
    ],
)
def test_evidence_is_what_was_measured(claims, statement, evidence):
    (row,) = claims.index[claims.index.str.contains(statement, regex=False)]
    assert re.search(evidence, claims["evidence"][row])


def test_every_claim_names_its_section(claims):
    sections = claims[["article", "section"]].drop_duplicates()
    assert sections.values.tolist() == [
        ["first", "Creating Sequential API model"],
        ["first", "Creating Functional API model"],
        ["second", "SEQUENTIAL MODEL"],
        ["second", "RESULT"],
        ["second", "FUNCTIONAL MODEL"],
    ]
    item = "* **a Functional model can express whatever a Sequential one can**\\\n"
    assert (
        item + '  The second article, under "RESULT": possible. '
        in article_claims.list_claims(claims.reset_index())
    )


def test_claims_are_counted(claims):
    assert article_claims.summarize_claims(claims) == (
        f"15 of 18 claims hold on Keras {keras.version()}: it builds what the articles "
        "call possible and refuses what they call impossible. Called impossible, but "
        "Keras builds it: 3. Called possible, but Keras refuses it: 0."
    )


def test_a_claim_is_wrong_if_keras_refuses_what_the_article_calls_possible(monkeypatch):
    monkeypatch.delattr(keras.Sequential, "add")
    row = try_claim(monkeypatch, "layer by layer")
    assert row["Keras"] == "refuses"
    assert row["evidence"].startswith("AttributeError")
    assert row["holds"] == "no"


def test_a_claim_is_wrong_if_keras_builds_what_the_article_calls_impossible(
    monkeypatch,
):
    monkeypatch.setattr(keras, "Sequential", lambda layers: "a newer Keras builds it")
    row = try_claim(monkeypatch, "a Sequential model has branches")
    assert row["Keras"] == "builds"
    assert row["evidence"] == "a newer Keras builds it"
    assert row["holds"] == "no"


@pytest.mark.parametrize(
    ("need", "answers"),
    [
        ("a plain stack of layers", "yes yes yes"),
        ("branches that join", "no yes yes"),
        ("several inputs", "no yes yes"),
        ("several outputs, each with its own layer", "no yes yes"),
        ("a layer used twice, and restored from a file", "no yes yes"),
        ("parameters counted and diagram drawn", "yes yes no"),
        ("input of a wrong width refused", "yes yes no"),
        ("the output of a hidden layer", "yes yes no"),
        ("loaded from a .keras file where its class", "yes yes no"),
        ("depth that depends on the data", "no no yes"),
    ],
)
def test_scoreboard_says_which_api_meets_a_need(monkeypatch, need, answers):
    row = try_need(monkeypatch, need)
    assert " ".join(row[["Sequential", "Functional", "subclassed"]]) == answers


def test_scoreboard_has_ten_needs():
    assert len(keras_pitfalls.NEEDS) == 10


def test_scoreboard_follows_a_keras_without_diagrams(monkeypatch):
    monkeypatch.setattr(keras.utils, "model_to_dot", lambda model: None)
    assert try_need(monkeypatch, "diagram")["Functional"] == "no"


def test_scoreboard_follows_a_keras_that_counts_before_any_data(monkeypatch):
    monkeypatch.setattr(keras.Model, "count_params", lambda model: 3)
    monkeypatch.setattr(keras.utils, "model_to_dot", lambda model: "a diagram")
    assert try_need(monkeypatch, "diagram")["subclassed"] == "yes"


@pytest.mark.parametrize(
    ("pitfall", "today", "fixed"),
    [
        ("in the wrong order", "gives -3$", "gives 3$"),
        ("a list for a model", "ValueError: ", "gives 3$"),
        ("sorted by label", "1.00, val_accuracy 0.00", "1.00, val_accuracy 1.00"),
        ("no softmax", r"accuracy 0\.", "1.00, val_accuracy 1.00"),
        ("integer labels", "ValueError: ", "1.00, val_accuracy 1.00"),
        ("set_random_seed", "uses the same order", "uses another order"),
        ("uses a layer twice", r"differ by [\d.]*[1-9]", "differ by 0$"),
        ("for two outputs", "ValueError: ", "output_a_accuracy, .*val_output_b_acc"),
        ("outputs without a name", "records other names", "records the same names"),
        ("a TensorFlow function", "ValueError: A KerasTensor", r"shape \(None,\)"),
        (".output` of a layer", "AttributeError: ", r"shape \(None, 4\)"),
        ("input_dim", "UserWarning: Do not pass", "builds: sequential$"),
        ("input_shape", "UserWarning: Do not pass", "builds: sequential$"),
    ],
)
def test_every_pitfall_trips_and_its_fix_works(pitfalls, pitfall, today, fixed):
    (name,) = pitfalls.index[pitfalls.index.str.contains(pitfall, regex=False)]
    row = pitfalls.loc[name]
    assert re.search(today, row["today"])
    assert re.search(fixed, row["fixed"])
    assert row["still true"] == "yes"


def test_there_are_thirteen_pitfalls(pitfalls):
    assert len(pitfalls) == 13


def test_a_pitfall_that_a_newer_keras_fixes_is_no_longer_true(monkeypatch):
    monkeypatch.setattr(tf, "reduce_sum", keras.ops.sum)
    rows = [row for row in keras_pitfalls.PITFALLS if "KerasTensor" in row.pitfall]
    monkeypatch.setattr(keras_pitfalls, "PITFALLS", rows)
    table = keras_pitfalls.pitfalls()
    assert table["still true"].tolist() == ["no"]
    assert "Still true: no." in keras_pitfalls.list_pitfalls(table)


def test_a_bug_in_an_attempt_is_no_refusal():
    with pytest.raises(ZeroDivisionError):
        trying.try_out(lambda: 1 / 0)
