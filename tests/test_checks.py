"""Public names, and files that are written atomically."""

import ast

import pytest

import keras_model_wars as kmw
from conftest import ROOT
from keras_model_wars.checks import check_picture_file, first_line, replacing


def test_every_public_name_is_there():
    for name in kmw.__all__:
        assert getattr(kmw, name) is not None
    assert len(kmw.__all__) <= 41


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="build_resnet"):
        _ = kmw.build_resnet


def test_the_version_is_that_of_the_project():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'version = "{kmw.__version__}"' in text


def test_a_file_is_replaced_by_the_whole_new_one(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_stays_whole_if_writing_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        _ = temporary.write_text("half") / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    with replacing("~/model.keras") as temporary:
        temporary.touch()
        assert temporary.suffix == ".keras"
    assert (tmp_path / "model.keras").exists()


def test_a_picture_has_one_of_three_formats():
    check_picture_file("a/b.SVG")
    check_picture_file(None)
    with pytest.raises(kmw.InputError, match="Received: diagram.jpg"):
        check_picture_file("diagram.jpg")


def test_keras_is_quoted_without_its_preface():
    error = ValueError(
        "Exception encountered when calling Dense.call().\n\n"
        "\x1b[1mInput 0 is wrong\x1b[0m\n\nArguments received: ..."
    )
    assert first_line(error) == "Input 0 is wrong"
    error = ValueError("Wrong input [[[0. 0.]\n [0. 0.]]] with shape (1, 2, 2)\nfoot")
    assert first_line(error) == "Wrong input with shape (1, 2, 2)"


def test_imports_run_one_way():
    order = "checks models mnist splits experiments digits apis shuffling article_logs plotting runs article_claims training report drawing __main__"
    order = order.split()
    for place, module in enumerate(order):
        file = ROOT / "keras_model_wars" / f"{module}.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            package, _, imported = (node.module or "").partition(".")
            if package == "keras_model_wars" and imported:
                assert imported in order[:place], f"{module} imports {imported}"
