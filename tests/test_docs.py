"""What the pages state and show, against what makes it."""

import functools
import re
import runpy
import sys
from pathlib import Path

import keras
import pytest

import keras_model_wars as kmw
from conftest import ROOT

sys.path.append(str(ROOT / "scripts"))
import make_figures  # noqa: E402

PAGES = {
    file.relative_to(ROOT).as_posix(): file.read_text("utf-8")
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "tests/*.md")
    for file in sorted(ROOT.glob(pattern))
}
TABLES = [
    (name, table)
    for name, page in PAGES.items()
    for table in re.findall(r"<!-- table: (.+) -->", page)
]
OF_KERAS = ("scoreboard", "claims", "keras")  # what the installed Keras does
KERAS = re.search(r"Made with Keras ([\d.]+)\.", PAGES["docs/claims.md"])[1]

each_page = pytest.mark.parametrize("name", PAGES)


def code(page, language="python"):
    blocks = rf"^```{language}\n(.*?)^```$"
    return re.findall(blocks, PAGES[page], re.DOTALL | re.MULTILINE)


@functools.cache
def made(table):
    return make_figures.fill(f"<!-- table: {table} -->\n<!-- end -->")


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def test_readme_shows_a_stack_beside_a_graph():
    for text, api in zip(code("README.md"), ("sequential", "functional")):
        names = {}
        exec(text, names)
        assert kmw.which_api(names["model"]).api == api


def test_readme_trains_in_plain_keras_and_prints_what_it_says(capsys):
    exec(code("README.md")[2], {})
    printed = capsys.readouterr().out.strip()
    assert f"`{printed}`" in PAGES["README.md"]


def test_readmes_own_model_takes_the_commands_below_it(
    monkeypatch, tmp_path, command, few_digits_file
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_MODEL_WARS_MNIST", str(few_digits_file))
    Path("my_model.py").write_text(code("README.md")[3])
    (typed,) = [block for block in code("README.md", "sh") if "my_model" in block]
    verdict, *_ = [command(*line.split()[1:]).out for line in typed.splitlines()]
    assert f"prints `{verdict.strip()}`" in PAGES["README.md"]
    assert "mine" in Path("report.html").read_text("utf-8")


@each_page
def test_every_command_exists(name, command):
    ours = command().out
    for typed in re.findall("[`/\n]keras-model-wars ([a-z-]+)", PAGES[name]):
        assert f" {typed} " in ours


@each_page
def test_every_link_and_picture_is_there(name):
    text = re.sub("```.*?```", "", PAGES[name], flags=re.DOTALL)
    links = re.findall(r'(?:\]\(|src=")(?!http)([^)"\s]+)', text)
    for link in links:
        path, _, heading = link.partition("#")
        page = ROOT / name
        if path:
            page = page.parent / path
        assert page.exists(), link
        if heading:
            headings = re.findall("^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_tables_are_those_that_the_script_makes(name, table):
    if table in OF_KERAS and keras.version() != KERAS:
        pytest.skip(f"the page says what Keras {KERAS} does")
    assert made(table) in PAGES[name]


def test_distances_recomputed_with_pandas_are_those_of_how_typical(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(code("docs/results.md")[0], names)
    log = kmw.article_log("sequential").drop(columns="seconds")
    typical = kmw.how_typical(log, kmw.seed_histories("sequential"))
    assert names["distances"]["article"] == pytest.approx(typical.distance)


def test_checks_for_ci_pass_and_notice_another_learning_rate(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    files = "test_my_model my_model my_training make_histories test_my_training own"
    for name, text in zip(files.split(), code("docs/ci.md"), strict=True):
        few_seeds = text.replace("range(1, 21)", "range(1, 4)")
        Path(f"{name}.py").write_text(few_seeds)
    runpy.run_path("test_my_model.py")["test_my_model_is_accurate"]()
    histories = runpy.run_path("make_histories.py")["histories"]
    assert len(histories) == 3
    runpy.run_path("test_my_training.py")["test_training_is_like_the_other_seeds"]()
    train = sys.modules.pop("my_training").train
    wrong = train(seed=0, learning_rate=0.002)
    assert kmw.how_typical(wrong, histories).farther == 0
    train_own = runpy.run_path("own.py")["train"]
    assert len(train_own(seed=0)["val_loss"]) == 3
