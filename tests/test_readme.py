"""What the README states, against what makes it."""

import re
from pathlib import Path

import keras
import pytest
from tabulate import tabulate

from keras_model_wars import changes, claims, models
from keras_model_wars.figures import results_table, verdict_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def as_markdown(table):
    return tabulate(table, headers="keys", tablefmt="pipe", showindex=False, disable_numparse=True)


@pytest.mark.parametrize("table", [results_table, verdict_table])
def test_results_are_those_of_the_committed_runs(table):
    assert as_markdown(table(ROOT / "figures")) in README


@pytest.mark.parametrize("table", [claims, changes])
def test_claims_are_those_of_the_installed_keras(table):
    stated = re.search(r"here with Keras ([\d.]+)\)", README)[1]
    if keras.version() != stated:
        pytest.skip(f"the README's claims are those of Keras {stated}, and {keras.version()} is installed")
    assert as_markdown(table()) in README


def test_every_picture_is_in_the_repository():
    pictures = set(re.findall(r'(?:src="|\]\()(figures/[^")]+)', README))
    assert len(pictures) >= 10
    assert all((ROOT / picture).exists() for picture in pictures)


def test_every_builder_is_listed_with_its_number_of_parameters():
    for row in re.findall(r"^\| `\w+`.*\| `(build_\w+)` \| ([\d,]+) \|", README, flags=re.MULTILINE):
        builder, parameters = row
        assert f"{getattr(models, builder)().count_params():,}" == parameters
    assert len(re.findall(r"\| `build_\w+` \|", README)) == 6


def test_the_ten_lines_run_and_print_what_is_shown(few_digits_file, monkeypatch, tmp_path, capsys):
    lines = re.search(r"```python\n(import keras_model_wars.*?)```", README, flags=re.DOTALL)[1]
    monkeypatch.setenv("KERAS_MODEL_WARS_MNIST", str(few_digits_file))
    monkeypatch.chdir(tmp_path)
    exec(lines, {})  # noqa: S102
    shown = re.search(r"prints, on the sample:\n\n```\n(.*?)```", README, flags=re.DOTALL)[1]
    printed = capsys.readouterr().out
    # The few digits of the tests give other numbers than the sample; the words and the shape are the same.
    assert re.sub(r"[\d. ]+", "", printed) == re.sub(r"[\d. ]+", "", shown)
