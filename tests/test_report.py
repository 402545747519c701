"""The page that ``make_report`` writes, and how a browser shows it."""

import json
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from browser import browser
from PIL import Image

from keras_model_wars import InputError, make_report

COMPARISON = """epoch,metric,article,measured,low,high,inside
1,loss,0.6153,0.6124,0.59,0.63,True
2,accuracy,0.9858,1.0,0.983,0.987,False
2,loss,0.0541,0.0546,0.053,0.057,True
"""


def write_run(folder, test, data="MNIST", classes=10, **settings):
    """Write the files of a finished run; ``test`` are its test metrics."""
    folder.mkdir(parents=True)
    last = test | {f"val_{name}": value for name, value in test.items()}
    record = {
        "title": "A <b>bold</b> model",
        "settings": {"epochs": 2, "seed": 0, "learning_rate": 0.01} | settings,
        "data": data,
        "classes": classes,
        "parameters": 7850,
        "api": "sequential",
        "reasons": [],
        "versions": {"keras": "3.15.1"},
        "seconds_per_epoch": [900, 1, 4],
        "test": test,
    }
    (folder / "run.json").write_text(json.dumps(record))
    history = pd.DataFrame([last, last], pd.RangeIndex(1, 3, name="epoch"))
    history.to_csv(folder / "history.csv")
    (folder / "summary.txt").write_text("Total params: 7,850")
    Image.new("RGB", (1320, 400)).save(folder / "learning_curves.png")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of runs with two data sets and two tasks, and of two damaged ones."""
    runs = tmp_path_factory.mktemp("report") / "runs"
    write_run(runs / "mine", {"loss": 0.3, "accuracy": 0.9})
    write_run(runs / "mine-2", {"loss": 0.2, "accuracy": 0.95}, hidden_units=[16, 8])
    write_run(runs / "of_pairs", {"accuracy": 0.99}, classes=2, momentum=0.9)
    write_run(runs / "on_few", {"a_accuracy": 0.5, "b_accuracy": 0.7}, data="few.npz")
    (runs / "mine" / "article_comparison.csv").write_text(COMPARISON)
    for name, text in {
        "cut": "{",
        "old": '{"test": 1}',
        "stopped": '{"settings": {}}',
    }.items():
        (runs / name).mkdir()
        (runs / name / "run.json").write_text(text)
    make_report(runs, runs.parent / "new" / "report.html")
    return runs.parent / "new" / "report.html"


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def rows(text):
    """Return the cells of every table's rows, without tags."""
    found = []
    for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL):
        cells = re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)
        found.append([re.sub("<.*?>", "", cell) for cell in cells])
    return found


def test_the_table_shows_each_runs_numbers_and_the_settings_that_differ(text):
    heads, two_outputs, _, mine_2, _ = rows(text)[:5]
    assert two_outputs[1] == "0.5000\u00a0/ 0.7000"
    assert dict(zip(heads, mine_2)) == {
        "run": "mine-2",
        "test accuracy": "0.9500",
        "validation accuracy": "0.9500",
        "epochs": "2",
        "hidden units": "[16, 8]",
        "digits": "MNIST",
        "classes": "10",
        "simplest API": "Sequential",
        "parameters": "7,850",
        "seconds per epoch": "4.0",
    }


def test_the_best_is_bold_among_runs_with_the_same_digits_and_classes(text):
    assert re.findall(r"<td><b>(.*?)</b>", text) == ["0.9500"]


def test_runs_with_the_same_digits_and_classes_share_a_chart(text):
    charts = re.findall('alt="Validation accuracy by epoch: (.*?)"', text)
    assert charts == ["MNIST, 10 classes"]
    assert not plt.get_fignums()


def test_damaged_runs_are_named_and_left_out(text):
    damaged = re.findall("<b>(.*?)</b> can't be read", text)
    assert damaged == ["cut", "old"]
    assert "stopped" not in text


def test_every_run_has_a_section_with_its_settings(text):
    sections = re.findall('<section id="(.*?)"', text)
    assert re.findall('<a href="#(.*?)"', text) == sections
    assert len(sections) == 4
    assert "epochs 2, seed 0, learning_rate 0.01, momentum 0.9</dd>" in text
    assert "A &lt;b&gt;bold&lt;/b&gt; model" in text


def test_the_last_epoch_is_compared_with_the_article(text):
    assert "2 of this run's 3 values lie inside the 95% prediction interval" in text
    assert ["accuracy", "0.9858", "1.0000", "0.9830", "0.9870"] in rows(text)
    assert "0.6124" not in text


def test_the_page_loads_nothing(text):
    assert text.count('<img src="data:image/png;base64,') == 5
    assert not re.search(r'url\(|@import|(src|href)="(?!#|data:)', text)


def test_a_single_run_that_diverged_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_run(tmp_path / "mine", {"loss": None})
    make_report("~/mine", "~/report.html")
    written = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ["loss", "diverged", "diverged", "diverged"] in rows(written)


@pytest.mark.parametrize("history", [None, "loss\n0.5\n"])
def test_a_folder_without_a_run_is_refused_with_how_to_train(tmp_path, history):
    if history:
        write_run(tmp_path / "mine", {"accuracy": 0.9})
        (tmp_path / "mine" / "history.csv").write_text(history)
    with pytest.raises(InputError, match="keras-model-wars train sequential"):
        make_report(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


WIDE = "return document.documentElement.scrollWidth"
PAPER = "return getComputedStyle(document.body).backgroundColor"
NARROWEST = "return Math.min(...[...document.images].map(image => image.width))"


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1280, "dark")])
def test_browser_shows_pictures_large_enough_to_read(page, tmp_path, width, scheme):
    with browser(tmp_path / "profile", width, scheme) as window:
        window.get(page.as_uri())
        wide, narrowest, paper = map(window.execute_script, [WIDE, NARROWEST, PAPER])
    assert wide <= width
    assert narrowest > 600
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
