"""The page that `make_report` writes: what it shows of the files of runs, and how a browser shows it."""

import json
import re
import subprocess
import sys

import pytest
from browser import browser
from PIL import Image

from keras_model_wars.checks import InputError
from keras_model_wars.report import make_report

COMPARISON = """epoch,metric,article,measured,difference,mean,low,high,inside,article_inside
1,loss,0.6153,0.6124,-0.0029,0.6,0.59,0.63,True,True
2,accuracy,0.9858,1.0,0.0142,0.985,0.983,0.987,False,True
2,loss,0.0541,0.0546,0.0005,0.055,0.053,0.057,True,True
"""
NO_NUMBERS = re.sub(r"(?<=,)([\d.-]+|True|False)", "", COMPARISON)
RECORD = {
    "settings": {"model": "sequential", "epochs": 2, "hidden_units": [16, 8], "digits": "0a1b2c"},
    "data": "the sample, <b>5,000</b> digits",
    "versions": {"python": "3.11.2", "keras": "3.15.1", "tensorflow": "2.21.0"},
    "backend": "tensorflow",
    "parameters": 235146,
    "seconds_per_epoch": [0.9, 0.4],
}


def write_run(folder, model="sequential", reasons=(), comparison=None, **test):
    """The files of a finished run as `train` leaves them; every metric has one value everywhere."""
    folder.mkdir(parents=True)
    record = RECORD | {"settings": RECORD["settings"] | {"model": model}, "reasons": reasons, "test": test}
    record["api"] = "functional" if reasons else "sequential"
    record["final_epoch"] = test | {f"val_{name}": value for name, value in test.items()}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "summary.txt").write_text(f"{'━' * 100}\nTotal params: 235,146 & <none>\n", encoding="utf-8")
    if comparison:
        (folder / "article_comparison.csv").write_text(comparison)
    for name in ("diagram", "learning_curves", "mistakes", *["article_comparison"] * bool(comparison)):
        Image.new("RGB", (1100, 400), "orange").save(folder / f"{name}.png")


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The page of three runs, one without its diagram, beside folders in which no run finished."""
    runs = tmp_path_factory.mktemp("report") / "runs"
    write_run(runs / "pairs & more", "shared_layers", ["'<x>' is used 2 times"], accuracy=0.9)
    write_run(runs / "two", "two_input_two_output", ["2 inputs", "2 outputs"], a_accuracy=0.9123, b_accuracy=0.0)
    write_run(runs / "z", comparison=COMPARISON, loss=0.0541, accuracy=0.9782)
    (runs / "two" / "diagram.png").unlink()
    (runs / "empty").mkdir()
    write_run(runs / "stopped")
    (runs / "stopped" / "run.json").write_text(json.dumps(RECORD))
    make_report(runs, runs.parent / "new" / "report.html")
    return runs.parent / "new" / "report.html"


def rows(page):
    """The cells of every table's rows, without tags."""
    found = re.findall(r"<tr.*?</tr>", page.read_text(encoding="utf-8"), re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[dh].*?>.*?</t[dh]>", row)] for row in found]


def test_runs_of_today_get_a_page(small_runs, tmp_path):
    make_report(small_runs["sequential"].folder.parent, tmp_path / "report.html")
    assert [row[:2] for row in rows(tmp_path / "report.html")[1:5]] == [
        ["sequential", "sequential"],
        ["wide_deep", "functional"],
        ["two_input_two_output", "functional"],
        ["shared_layers", "functional"],
    ]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("<img") == 4 * 3
    accuracy = small_runs["wide_deep"].test_metrics["accuracy"]
    assert f"{accuracy:.4f}" in rows(tmp_path / "report.html")[2]


def test_overview_has_the_finished_runs_in_the_order_of_the_experiments_and_links_to_each(page):
    assert rows(page)[1:4] == [
        ["z", "sequential", "235,146", "2", "0.9782", "0.9782", "1"],
        ["two", "functional", "235,146", "2", "0.9123 / 0.0000", "0.9123 / 0.0000", "1"],
        ["pairs &amp; more", "functional", "235,146", "2", "0.9000", "0.9000", "1"],
    ]
    text = page.read_text(encoding="utf-8")
    assert text.count("<a ") == 3
    for target, name in re.findall('<a href="#(.*?)">(.*?)</a>', text):
        assert f"({name})" in text.split(f'<section id="{target}">')[1].split("</h2>")[0]


def test_sections_show_what_the_files_hold_escaped(page):
    text = page.read_text(encoding="utf-8")
    for shown in (
        "functional; &#39;&lt;x&gt;&#39; is used 2 times",
        "model sequential, epochs 2, hidden_units [16, 8]",
        "the sample, &lt;b&gt;5,000&lt;/b&gt; digits",
        "python 3.11.2, keras 3.15.1, tensorflow 2.21.0, backend tensorflow",
        "Total params: 235,146 &amp; &lt;none&gt;",
        "<code>keras-model-wars claims</code>",
        "2 of 3 values of this run lie in the 95 % prediction interval of other seeds. Epoch 2",
    ):
        assert shown in text
    assert ["accuracy", "0.9858", "1.0000", "0.0142", "0.9830", "0.9870", "no"] in rows(page)
    assert ["loss", "0.0541", "0.0546", "0.0005", "0.0530", "0.0570", "yes"] in rows(page)
    assert "0.6124" not in text  # only the last epoch is shown


def test_pictures_are_embedded_and_say_what_they_show(page):
    text = page.read_text(encoding="utf-8")
    alts = re.findall('<img src="data:image/png;base64,[^"]{100,}" alt="([^"]+)">', text)
    starts = {"Diagram": 2, "Learning curves": 3, "Loss and accuracy": 1, "Confusion matrix": 3}
    assert {start: sum(alt.startswith(start) for alt in alts) for start in starts} == starts
    assert not re.search(r'<script|url\(|@import|(src|href)="(?!#|data:)', text)


@pytest.mark.parametrize("comparison", [None, NO_NUMBERS])
def test_run_that_diverged_gets_a_page(tmp_path, comparison):
    write_run(tmp_path / "run", comparison=comparison, loss=None, accuracy=0.098)
    make_report(tmp_path / "run", tmp_path / "report.html")
    for row in (["loss", *["diverged"] * 3], ["accuracy", *["0.0980"] * 3]):
        assert row in rows(tmp_path / "report.html")


BAD_RECORDS = ["", "{", "[]", '"text"', "{}", '{"settings": {"model": "resnet"}}', json.dumps(RECORD | {"test": None})]


@pytest.mark.parametrize(
    ("name", "text"),
    [*(("run.json", text) for text in BAD_RECORDS), ("article_comparison.csv", "a,b"), ("summary.txt", None)],
)
def test_damaged_run_is_named_and_nothing_written(tmp_path, name, text):
    write_run(tmp_path / "runs" / "whole", accuracy=0.9)
    write_run(tmp_path / "runs" / "broken", accuracy=0.9)
    file = tmp_path / "runs" / "broken" / name
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(InputError, match=r"^\S+broken.run\.json and the files beside it [^\n]*Received: [^\n]*$"):
        make_report(tmp_path / "runs", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("runs", "message"), [("missing", "a finished run.*Received: missing"), (5, "a path")])
def test_no_finished_run_is_refused(runs, message):
    with pytest.raises(InputError, match=f"`runs` should be .*{message}"):
        make_report(runs)


def test_report_needs_neither_keras_nor_matplotlib():
    code = "import keras_model_wars.report, sys; print({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_browser_shows_it_whole(page, tmp_path, width, scheme):
    # Nothing sticks out but what scrolls in its own box.
    outside = """return [...document.querySelectorAll("body *")].filter(e => !e.parentElement.closest(".scroll"))
        .filter(e => e.getBoundingClientRect().right > window.innerWidth).map(e => e.outerHTML.slice(0, 80))"""
    with browser(tmp_path / "profile", width, scheme) as window:
        window.get(page.as_uri())
        assert window.get_log("browser") == []
        assert window.execute_script("return [...document.images].every(image => image.naturalWidth === 1100)")
        assert window.execute_script("return [innerWidth, document.body.scrollWidth <= innerWidth]") == [width, True]
        assert window.execute_script(outside) == []
        style = window.execute_script("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    ink, paper = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in style)
    assert (paper - ink if scheme == "light" else ink - paper) > 3 * 150
