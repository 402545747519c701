"""What the pages state and show, against what makes it."""

import dataclasses
import functools
import re
import runpy
import sys
from pathlib import Path

import keras
import pytest

from conftest import ROOT
from keras_model_wars import (
    Splits,
    article_log,
    build_wide_deep,
    how_typical,
    prepare_digits,
    seed_histories,
)

sys.path.append(str(ROOT / "scripts"))
import make_figures  # noqa: E402

FILES = [
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "tests/*.md")
    for path in ROOT.glob(pattern)
]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(FILES)
}
README, RESULTS, CLAIMS, CI = (
    PAGES[name]
    for name in ("README.md", "docs/results.md", "docs/claims.md", "docs/ci.md")
)
TABLES = [
    (name, table)
    for name, text in PAGES.items()
    for table in re.findall(r"<!-- table: (.+) -->", text)
]
OF_KERAS = (
    "scoreboard",
    "claims",
    "pitfalls",
    "keras",
)  # what the installed Keras does


def code(page):
    return re.findall("^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


@functools.cache
def made(table):
    return make_figures.fill(f"<!-- table: {table} -->\n<!-- end -->")


def test_readme_has_the_command_that_ci_reads():
    assert re.search(r"<!-- test command -->\n```sh\n.*pytest\n```\n", README)


def test_readme_builds_the_wide_and_deep_model():
    names = {}
    exec(code(README)[0], names)
    ours = build_wide_deep()
    kinds = [type(layer).__name__ for layer in names["model"].layers]
    assert names["model"].count_params() == ours.count_params()
    assert kinds == [type(layer).__name__ for layer in ours.layers]


def test_readme_trains_in_plain_keras_and_prints_what_it_says(capsys):
    names = {}
    exec(code(README)[1], names)
    printed = capsys.readouterr().out.strip()
    assert f"`{printed}`" in README
    assert len(names["history"].epoch) == 2


def test_readmes_model_of_ones_own_is_trained_by_its_command(
    monkeypatch, tmp_path, command, few_digits_file
):
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(code(README)[2])
    (typed,) = re.findall("^keras-model-wars (train my_model.*)$", README, re.MULTILINE)
    options = ["--epochs", 1, "--data", few_digits_file, "--quiet"]
    assert command(*typed.split(), *options) == (0, "", "")
    assert command("report").status == 0
    assert ">mine</a>" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_and_picture_is_there(name):
    text = re.sub(r"```.*?```", "", PAGES[name], flags=re.DOTALL)
    for link in re.findall(r'(?:\]\(|src=")(?!http)([^)"\s]+)', text):
        path, _, heading = link.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), link
        if heading:
            headings = re.findall(
                r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            assert heading in [
                re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings
            ]


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_tables_are_those_that_the_script_makes(name, table):
    if (
        table in OF_KERAS
        and (stated := re.search(r"Made with Keras ([\d.]+)\.", CLAIMS)[1])
        != keras.version()
    ):
        pytest.skip(
            f"the page states what Keras {stated} does, and {keras.version()} is installed"
        )
    (shown,) = re.findall(
        rf"<!-- table: {table} -->\n.*?<!-- end -->", PAGES[name], flags=re.DOTALL
    )
    assert made(table) == shown


def test_imports_run_one_way_as_drawn():
    drawn = re.search(
        r"Imports run one way.*?```\n(.*?)```",
        PAGES["CONTRIBUTING.md"],
        flags=re.DOTALL,
    )[1]
    level = {
        name: place
        for place, names in enumerate(drawn.split(">"))
        for name in re.findall(r"\w+", names)
    }
    for path in (ROOT / "keras_model_wars").glob("[!_]*.py"):
        text = path.read_text(encoding="utf-8")
        imported = re.findall(r"from keras_model_wars\.(\w+) import", text)
        imported += re.findall(r"from keras_model_wars import (\w+)", text)
        assert not [name for name in imported if level[name] <= level[path.stem]], (
            path.name
        )


def test_every_table_is_on_a_page_that_the_script_fills():
    assert {name for name, _ in TABLES} == set(make_figures.PAGES)
    assert {table for _, table in TABLES} == set(make_figures.TABLES)


@pytest.mark.parametrize("model", ["sequential", "wide_deep", "two_input_two_output"])
def test_distances_recomputed_with_pandas_are_those_of_how_typical(
    model, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    exec(code(RESULTS)[0].replace('"sequential"', repr(model)), names := {})
    typical = how_typical(
        article_log(model).drop(columns="seconds"), seed_histories(model)
    )
    others = {
        f"seed {seed}": distance
        for seed, distance in enumerate(typical.others, start=1)
    }
    assert names["distances"] == pytest.approx(others | {"article": typical.distance})
    assert len(capsys.readouterr().out.splitlines()) == len(typical.others) + 2


@pytest.fixture(scope="module")
def own_check(tmp_path_factory):
    """The files of docs/ci.md, and the histories that they make."""
    folder = tmp_path_factory.mktemp("own")
    names = ("my_model.py", "make_histories.py", "test_my_model.py")
    sys.modules.pop("my_model", None)  # another test's
    for name, text in zip(names, code(CI), strict=True):
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        runpy.run_path(str(folder / "make_histories.py"))
        check = runpy.run_path(str(folder / "test_my_model.py"))
        yield check["test_my_model_learns_as_it_did"]
        sys.modules.pop("my_model")


def test_check_of_ones_own_model_passes_the_right_one(own_check):
    own_check()


def test_check_of_ones_own_model_fails_another_learning_rate(own_check, monkeypatch):
    my_model = sys.modules["my_model"]
    wrong = dataclasses.replace(my_model.mine, learning_rate=0.2)
    monkeypatch.setattr(my_model, "mine", wrong)
    with pytest.raises(AssertionError, match="No seed is as far"):
        own_check()


def test_check_of_ones_own_model_fails_pixels_that_are_not_scaled(
    own_check, monkeypatch
):
    def prepare_unscaled(mnist):
        parts = prepare_digits(mnist)
        return Splits(*((images * 255, labels) for images, labels in parts))

    my_model = sys.modules["my_model"]
    wrong = dataclasses.replace(my_model.mine, prepare=prepare_unscaled)
    monkeypatch.setattr(my_model, "mine", wrong)
    with pytest.raises((AssertionError, ValueError)):
        own_check()
