"""TensorFlow's names for Keras work beside the package, whichever is imported first."""

from textwrap import dedent

import pytest

import keras_model_wars as kmw

STACK = """
def build_mine():
    return {keras}Sequential([{keras}Input((28, 28)), {keras}layers.Flatten(), {keras}layers.Dense(10, "softmax")])
"""
# Each way to import Keras from TensorFlow, and a builder in its names.
FORMS = {
    "import tensorflow as tf": STACK.format(keras="tf.keras."),
    "from tensorflow import keras": STACK.format(keras="keras."),
    "import tensorflow.keras as tfk": STACK.format(keras="tfk."),
    "from tensorflow.keras.models import Sequential\n"
    "from tensorflow.keras import Input, layers": STACK.format(keras=""),
    "from tensorflow.keras import layers, models": """
def build_mine():
    model = models.Sequential()
    model.add(layers.Flatten(input_shape=(28, 28)))
    model.add(layers.Dense(10, "softmax"))
    return model
""",
}


@pytest.fixture(params=FORMS)
def own_model(request, tmp_path, monkeypatch):
    """FILE.py:NAME of a model that is written in one of these forms."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(request.param + FORMS[request.param])
    return "mine.py:build_mine"


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`")
def test_every_command_takes_a_model_in_each_form(
    own_model, command, few_digits_file, monkeypatch
):
    drawn = []
    monkeypatch.setattr(kmw, "draw_digit", drawn.extend, raising=False)
    train_options = ("--data", few_digits_file, "--epochs", 1, "--quiet")
    for name, *options in (
        ("train", *train_options),
        ("summary",),
        ("plot",),
        ("which-api",),
        ("draw",),
    ):
        assert command(name, own_model, *options).status == 0
    assert drawn == [own_model]


PACKAGE = "from keras_model_wars import EXPERIMENTS, Experiment, load_mnist"


@pytest.mark.parametrize("package_first", [True, False])
def test_a_script_may_import_both_in_any_order(package_first, run_process, tmp_path):
    forms = list(FORMS)
    imports = [PACKAGE, *forms] if package_first else [*forms, PACKAGE]
    check = """
        import keras, sys
        assert tf.keras.Model is keras.Model is tfk.Model
        assert Sequential is models.Sequential is keras.Sequential
        assert tf.keras.__version__ == keras.__version__
    """
    (tmp_path / "script.py").write_text("\n".join(imports) + dedent(check))
    result = run_process("python", "script.py", folder=tmp_path)
    assert result.status == 0, result.err


def test_the_command_takes_such_a_file_in_a_process_of_its_own(run_process, tmp_path):
    form = "import tensorflow as tf"
    (tmp_path / "mine.py").write_text(form + FORMS[form])
    result = run_process(
        "keras-model-wars", "which-api", "mine.py:build_mine", folder=tmp_path
    )
    assert result.status == 0, result.err
    assert result.out == "mine can be Sequential\n"
