"""The metadata of the installed package promises what is tested."""

import re
from importlib.metadata import requires

from packaging.requirements import Requirement

from conftest import ROOT

REQUIREMENTS = [Requirement(line) for line in requires("keras-model-wars")]
# An extra's requirement has a marker.
BOUNDS = {each.name: each.specifier for each in REQUIREMENTS if each.marker is None}
IMPORTED_AS = {
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "tensorflow": "tensorflow",
}


def test_every_dependency_has_a_lowest_version_and_no_highest():
    for name, specifier in BOUNDS.items():
        assert [bound.operator for bound in specifier] == [">="], name


def test_every_dependency_is_used_and_explained():
    files = (ROOT / "keras_model_wars").glob("*.py")
    code = "\n".join(file.read_text("utf-8") for file in files)
    explained = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for name in BOUNDS:
        assert re.search(rf"\b{IMPORTED_AS.get(name, name)}\b", code), name
        assert f"`{name}`" in explained


def test_the_lowest_versions_are_those_that_are_right():
    assert BOUNDS["keras"].contains("3.10.0")
    # Keras 3.9 reports the loss of one device of two.
    assert not BOUNDS["keras"].contains("3.9.2")
    assert BOUNDS["tensorflow"].contains("2.19.0")
