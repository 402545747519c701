"""The metadata of the installed package promises what is tested, and leaves an environment as it is."""

import re
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from conftest import ROOT

DEPENDENCIES = {}
for line in requires("keras-model-wars"):
    requirement = Requirement(line)
    if requirement.marker is None:  # an extra's has one
        DEPENDENCIES[requirement.name] = requirement.specifier


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_every_dependency_has_a_lowest_version_and_no_highest(name):
    assert [bound.operator for bound in DEPENDENCIES[name]] == [">="]


WORDS = {
    "pillow": "PIL",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "pydot": "model_to_dot",  # Keras's own, which needs it
}


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_every_dependency_is_used_and_explained(name):
    word = WORDS.get(name, name)
    code = [
        path.read_text("utf-8") for path in (ROOT / "keras_model_wars").glob("*.py")
    ]
    assert re.search(rf"\b{word}\b", "\n".join(code))
    assert f"`{name}`" in (ROOT / "CONTRIBUTING.md").read_text("utf-8")


# What Google Colab had preinstalled for long.
@pytest.mark.parametrize(
    ("name", "installed"),
    [("keras", "3.10.0"), ("tensorflow", "2.19.0"), ("numpy", "1.26.0")],
)
def test_installing_leaves_the_lowest_supported_versions_as_they_are(name, installed):
    assert DEPENDENCIES[name].contains(installed)


def test_a_keras_that_is_wrong_on_two_devices_is_not_promised():
    # The loss that it reports is that of one device (Keras 3.9), or steps are twice the size (3.7).
    assert not DEPENDENCIES["keras"].contains("3.9.2")
