"""Public names, and files that are written whole or not at all."""

import stat

import jedi
import pytest

import keras_model_wars as kmw
from keras_model_wars.checks import picture_path, replacing


@pytest.mark.parametrize("name", kmw.__all__)
def test_every_public_name_is_there(name):
    assert getattr(kmw, name) is not None
    assert name in dir(kmw)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="build_resnet"):
        _ = kmw.build_resnet


def test_file_is_replaced_by_the_whole_new_one(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_file_stays_whole_if_writing_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        _ = temporary.write_text("half") / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_has_the_extension_while_it_is_written(tmp_path):
    with replacing(tmp_path / "model.keras") as temporary:
        temporary.touch()
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path


def test_file_has_the_permissions_of_any_new_file(tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    with replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("text")
    mode = (tmp_path / "file.txt").stat().st_mode
    assert stat.S_IMODE(mode) == stat.S_IMODE(usual.stat().st_mode)


@pytest.mark.parametrize("path", ["diagram.png", "a/b.SVG", "c.pdf", None])
def test_a_picture_may_be_of_three_formats(path):
    assert picture_path(path) == path


@pytest.mark.parametrize("path", ["diagram.jpg", "diagram", "png", "diagram.png.zip"])
def test_another_format_is_refused_by_name(path):
    with pytest.raises(kmw.InputError, match=f"Received: {path}"):
        picture_path(path)


def test_an_editor_completes_public_names():
    script = jedi.Script("import keras_model_wars as kmw\nkmw.")
    completed = {completion.name for completion in script.complete(2, 4)}
    assert set(kmw.__all__) <= completed


def test_an_editor_shows_a_signature():
    script = jedi.Script("import keras_model_wars as kmw\nkmw.train(")
    (signature,) = script.get_signatures(2, 10)
    names = [parameter.name for parameter in signature.params]
    assert names[:3] == ["model", "epochs", "batch_size"]
