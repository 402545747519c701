"""The page that `make_report` writes, and how a browser shows it."""

import json
import re
import shutil

import pytest
from browser import browser

from keras_model_wars import InputError, make_report

COMPARISON = """epoch,metric,article,measured,difference,mean,low,high,inside,article_inside
1,loss,0.6153,0.6124,-0.0029,0.6,0.59,0.63,True,True
2,accuracy,0.9858,1.0,0.0142,0.985,0.983,0.987,False,True
2,loss,0.0541,0.0546,0.0005,0.055,0.053,0.057,True,True
"""
NO_NUMBERS = re.sub(r"(?<=,)([\d.-]+|True|False)", "", COMPARISON)


def change(run, **entries):
    """Change what a run's record says; an entry of None is removed."""
    record = json.loads((run / "run.json").read_text()) | entries
    kept = {name: entry for name, entry in record.items() if entry is not None}
    (run / "run.json").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def page(small_runs, tmp_path_factory):
    """The page of four small runs, beside folders without a finished run."""
    runs = tmp_path_factory.mktemp("report") / "runs"
    shutil.copytree(small_runs["sequential"].folder.parent, runs)
    shutil.copytree(runs / "sequential", runs / "stopped")
    change(runs / "stopped", test=None)
    shutil.copytree(runs / "sequential", runs / "damaged")
    (runs / "damaged" / "run.json").write_text("{")
    change(runs / "sequential", data="<b>5,000</b>", seconds_per_epoch=[900, 3])
    (runs / "sequential" / "article_comparison.csv").write_text(COMPARISON)
    (runs / "wide_deep" / "diagram.png").unlink()
    (runs / "shared_layers").rename(runs / "pairs & more")
    (runs / "empty").mkdir()
    make_report(runs, runs.parent / "new" / "report.html")
    return runs.parent / "new" / "report.html"


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def rows(text):
    """Return the cells of every table's rows, without tags."""
    found = []
    for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL):
        cells = re.findall(r"<t[dh].*?>.*?</t[dh]>", row)
        found.append([re.sub("<.*?>", "", cell) for cell in cells])
    return found


@pytest.fixture
def run(small_runs, tmp_path):
    folder = tmp_path / "runs" / "sequential"
    return shutil.copytree(small_runs["sequential"].folder, folder)


def test_the_table_has_the_finished_runs_in_the_articles_order(text):
    names = [row[0] for row in rows(text)[1:5]]
    expected = ["sequential", "wide_deep", "two_input_two_output", "pairs &amp; more"]
    assert names == expected


def test_the_table_shows_each_runs_numbers(text, small_runs):
    run = small_runs["sequential"]
    validation = run.history["val_accuracy"].iloc[-1]
    assert rows(text)[1] == [
        "sequential",
        "sequential",
        f"{run.model.count_params():,}",
        "2",
        "451.5",
        f"{validation:.4f}",
        f"{run.test_metrics['accuracy']:.4f}",
    ]


def test_a_model_with_two_outputs_has_two_accuracies(text, small_runs):
    metrics = small_runs["two_input_two_output"].test_metrics
    two = f"{metrics['output_a_accuracy']:.4f} / {metrics['output_b_accuracy']:.4f}"
    assert rows(text)[3][6] == two


def test_the_best_accuracy_is_bold(text):
    bold = re.findall(r"<td><b>(.*?)</b></td>", text)
    column = [max(map(float, row[6].split(" / "))) for row in rows(text)[1:5]]
    assert len(bold) == 2
    assert float(bold[1].split(" / ")[0]) == max(column)


def test_every_run_is_linked_to_its_section(text):
    assert text.count("<a ") == text.count("<section ") == 4
    for target, name in re.findall('<a href="#(.*?)">(.*?)</a>', text):
        section = text.split(f'<section id="{target}">')[1]
        assert f"({name.replace('<wbr>', '')})" in section.split("</h2>")[0]


def test_a_picture_of_all_runs_comes_before_the_sections(text):
    before = text.split("<section")[0]
    assert 'alt="Validation accuracy of all runs by epoch"' in before


def test_a_damaged_run_is_named_and_refuses_no_other(text):
    assert "<b>damaged</b> is damaged and left out." in text


def test_what_the_files_hold_is_escaped(text):
    assert "<dd>&lt;b&gt;5,000&lt;/b&gt;</dd>" in text


def test_settings_results_and_summary_are_shown(text, small_runs):
    run = small_runs["wide_deep"]
    losses = [run.history["loss"].iloc[-1], run.history["val_loss"].iloc[-1]]
    values = [*losses, run.test_metrics["loss"]]
    summary = (run.folder / "summary.txt").read_text(encoding="utf-8")
    assert "model wide_deep, epochs 2, batch_size 32" in text
    assert ["loss", *(f"{value:.4f}" for value in values)] in rows(text)
    assert summary.splitlines()[-2] in text


def test_the_last_epoch_is_compared_with_the_article(text):
    assert "2 of 3 values of this run lie in the 95% prediction interval" in text
    last = ["accuracy", "0.9858", "1.0000", "0.0142", "0.9830", "0.9870", "no"]
    assert last in rows(text)
    assert "0.6124" not in text


def test_pictures_are_embedded_and_nothing_is_loaded(text):
    alts = re.findall('<img src="data:image/png;base64,[^"]{100,}" alt="(.+?)"', text)
    starts = [alt.split()[0] for alt in alts]
    assert starts.count("Diagram") == 3
    assert starts.count("Learning") == 4
    assert starts.count("Confusion") == 4
    assert not re.search(r'<script|url\(|@import|(src|href)="(?!#|data:)', text)


def test_a_run_of_ones_own_has_its_own_title(run, tmp_path):
    settings = json.loads((run / "run.json").read_text())["settings"]
    change(run, title="My model", settings=settings | {"model": "mine"})
    make_report(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "My model <span>(sequential)" in page


@pytest.mark.parametrize("comparison", [None, NO_NUMBERS])
def test_a_run_that_diverged_gets_a_page(run, tmp_path, comparison):
    metrics = {"loss": None, "accuracy": 0.098}
    last = metrics | {f"val_{name}": value for name, value in metrics.items()}
    change(run, test=metrics, final_epoch=last)
    if comparison:
        (run / "article_comparison.csv").write_text(comparison)
    make_report(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ["loss", "diverged", "diverged", "diverged"] in rows(page)


DAMAGED = {
    "run.json": ["", "{", "[]", '"text"', "{}", '{"settings": {"model": "x"}}'],
    "article_comparison.csv": ["a,b"],
    "history.csv": ["a,b"],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_runs_alone_are_refused_with_the_reason(run, tmp_path, name):
    for text in DAMAGED[name]:
        (run / name).write_text(text)
        with pytest.raises(InputError, match="with a finished run. Received: .+"):
            make_report(tmp_path / "runs", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_without_runs_is_refused_with_how_to_train(tmp_path):
    with pytest.raises(InputError, match="keras-model-wars train sequential"):
        make_report(tmp_path, tmp_path / "report.html")


# Nothing may stick out but what scrolls in its own box.
OUTSIDE = """
return [...document.querySelectorAll("body *")]
    .filter(e => !e.parentElement.closest(".scroll"))
    .filter(e => e.getBoundingClientRect().right > window.innerWidth)
    .map(e => e.outerHTML.slice(0, 80))
"""
COLORS = """
const style = getComputedStyle(document.body);
return [style.color, style.backgroundColor]
"""


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1280, "dark")])
def test_browser_shows_it_whole(page, tmp_path, width, scheme):
    with browser(tmp_path / "profile", width, scheme) as window:
        window.get(page.as_uri())
        wide = window.execute_script("return document.body.scrollWidth")
        outside = window.execute_script(OUTSIDE)
        colors = window.execute_script(COLORS)
        runs = window.execute_script(
            "const t = document.querySelector('#runs');"
            "return t.scrollWidth <= t.parentElement.clientWidth"
        )
        assert window.get_log("browser") == []
    ink, paper = (sum(map(int, re.findall(r"\d+", c)[:3])) for c in colors)
    assert wide <= width
    assert outside == []
    assert runs, "the table of all runs fits without scrolling"
    assert (paper > ink) == (scheme == "light")
