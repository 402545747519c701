"""The articles' programs in scripts/, and the script that makes figures and tables."""

import re
import runpy
import sys

import keras
import pandas as pd
import pytest

import keras_model_wars as kmw
from conftest import ROOT

SCRIPTS = ROOT / "scripts"
sys.path.append(str(SCRIPTS))
import make_figures  # noqa: E402

each_script = pytest.mark.parametrize("name", kmw.EXPERIMENTS)


def load_main(name):
    return runpy.run_path(str(SCRIPTS / f"{name}.py"))["main"]


@each_script
def test_script_trains_for_an_epoch_draws_and_predicts(
    name, few_digits_file, tmp_path, capsys
):
    main = load_main(name)
    assert main.__defaults__[0] == kmw.EXPERIMENTS[name].epochs
    history = main(epochs=1, data=few_digits_file, out=tmp_path)
    assert len(history.history["val_loss"]) == 1
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert pictures == ["diagram.png", "learning_curves.png"]
    printed = capsys.readouterr().out
    assert printed.count("predictions:") == printed.count("labels:") > 0


@each_script
def test_script_shows_every_step_in_the_order_of_the_articles(name):
    text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    steps = ["/ 255", f"build_{name}(", "summary(", "compile(", "fit(", "evaluate("]
    calls = re.findall(r"/ 255|build_\w+\(|(?<=\.)[a-z]+\(", text)
    assert [call for call in dict.fromkeys(calls) if call in steps] == steps


@pytest.mark.parametrize("mistake", ["--epoch=3", "--data=missing.npz"])
def test_a_mistake_is_one_line_and_status_2(run_process, mistake):
    result = run_process("python", "sequential.py", mistake, folder=SCRIPTS)
    assert result.status == 2
    assert re.fullmatch("error: .*(--epochs|missing.npz).*\n", result.err)


def test_missing_seeds_are_added_to_the_histories(
    monkeypatch, tmp_path, few_digits_file
):
    monkeypatch.setattr(make_figures, "LOGGED_MODELS", ["sequential"])
    monkeypatch.setattr(make_figures, "PACKAGE", tmp_path)
    log = tmp_path / "logs" / "sequential_sample_seeds.csv"
    log.parent.mkdir()
    log.write_text("seed,epoch,accuracy,loss,val_accuracy,val_loss\n1,1,0.5,1,0.5,1\n")
    make_figures.add_seeds(few_digits_file, 2)
    assert pd.read_csv(log)["seed"].tolist() == [1] + [2] * 10


def test_every_public_name_is_in_one_group():
    names = re.findall(r"\* `kmw\.(\w+)", make_figures.api_list())
    assert sorted(names) == sorted(kmw.__all__)


@pytest.mark.full
@pytest.mark.parametrize("name", make_figures.LOGGED_MODELS)
def test_article_script_learns_as_our_seeds_did(name, full_mnist, tmp_path):
    keras.utils.set_random_seed(1)  # or one run in twenty is the farthest by chance
    history = load_main(name)(data=full_mnist, out=tmp_path)
    assert kmw.how_typical(history, kmw.seed_histories(name)).farther > 0
