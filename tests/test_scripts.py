"""The articles' programs in scripts/: plain Keras, from the digits to predictions."""

import runpy

import keras
import pytest

from conftest import ROOT
from keras_model_wars import EXPERIMENTS, how_typical, seed_histories
from keras_model_wars.article_logs import LOGGED_MODELS

each_script = pytest.mark.parametrize("name", EXPERIMENTS)


def load_main(name):
    return runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))["main"]


@each_script
def test_script_trains_for_an_epoch_draws_and_predicts(
    name, few_digits_file, tmp_path, capsys
):
    main = load_main(name)

    history = main(epochs=1, data=few_digits_file, out=tmp_path)

    assert len(history.history["loss"]) == len(history.history["val_loss"]) == 1
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert pictures == ["diagram.png", "learning_curves.png"]
    printed = capsys.readouterr().out
    assert f"{EXPERIMENTS[name].parameters:,}" in printed
    assert printed.count("predictions:") == printed.count("labels:") > 0


@each_script
def test_script_shows_every_step_in_the_order_of_the_articles(name):
    text = (ROOT / "scripts" / f"{name}.py").read_text(encoding="utf-8")
    steps = [
        "load_mnist(",
        "/ 255",
        f"build_{name}(",
        "summary(",
        "plot_model(",
        "compile(",
        "fit(",
        "plot_learning_curves(",
        "evaluate(",
        "predict(",
    ]

    places = [text.index(step) for step in steps]

    assert places == sorted(places)


@each_script
def test_script_trains_as_many_epochs_as_the_command(name):
    experiment = EXPERIMENTS[name]
    main = load_main(name)

    assert main.__defaults__[0] == experiment.epochs


def test_help_is_quick_and_imports_no_tensorflow(run_process, tmp_path):
    code = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally:\n"
        "    print('tensorflow' in sys.modules or 'keras' in sys.modules)\n"
    )
    script = ROOT / "scripts" / "shared_layers.py"

    result = run_process("python", "-c", code, script, "--help", folder=tmp_path)

    assert result.status == 0
    assert result.out.endswith("False\n")
    for option in ("--epochs", "--data", "--out"):
        assert option in result.out


@pytest.mark.full
@pytest.mark.parametrize("name", LOGGED_MODELS)
def test_article_script_learns_as_our_seeds_did(name, full_mnist, tmp_path):
    keras.utils.set_random_seed(1)  # or one run in twenty is the farthest by chance
    main = load_main(name)

    history = main(data=full_mnist, out=tmp_path)

    assert how_typical(history, seed_histories(name)).farther > 0
