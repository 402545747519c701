"""The page that `make_report` writes: what it shows of the folders of runs, and how a browser shows it."""

import json
import re
import shutil
import sys

import pytest
from browser import browser

from keras_model_wars.checks import InputError
from keras_model_wars.report import make_report

COMPARISON = """epoch,metric,article,measured,difference,mean,low,high,inside,article_inside
1,loss,0.6153,0.6124,-0.0029,0.6,0.59,0.63,True,True
2,accuracy,0.9858,1.0,0.0142,0.985,0.983,0.987,False,True
2,loss,0.0541,0.0546,0.0005,0.055,0.053,0.057,True,True
"""
NO_NUMBERS = re.sub(r"(?<=,)([\d.-]+|True|False)", "", COMPARISON)


def change(run, **entries):
    """Change what a run's record says; an entry of None is removed."""
    record = json.loads((run / "run.json").read_text()) | entries
    (run / "run.json").write_text(
        json.dumps({name: entry for name, entry in record.items() if entry is not None})
    )


@pytest.fixture(scope="module")
def page(small_runs, tmp_path_factory):
    """The page of the small runs, one without its diagram and one compared, beside folders in which no run finished."""
    runs = tmp_path_factory.mktemp("report") / "runs"
    shutil.copytree(small_runs["sequential"].folder.parent, runs)
    shutil.copytree(runs / "sequential", runs / "stopped")
    change(runs / "stopped", test=None)
    change(
        runs / "sequential",
        data="<b>5,000</b> digits",
        seconds_per_epoch=[900.4, 400.4],
    )
    change(runs / "shared_layers", reasons=["'<x>' is used 2 times"])
    (runs / "sequential" / "article_comparison.csv").write_text(COMPARISON)
    shutil.copy(
        runs / "sequential" / "learning_curves.png",
        runs / "sequential" / "article_comparison.png",
    )
    (runs / "wide_deep" / "diagram.png").unlink()
    (runs / "shared_layers").rename(runs / "pairs & more")
    (runs / "empty").mkdir()
    make_report(runs, runs.parent / "new" / "report.html")
    return runs.parent / "new" / "report.html"


def rows(page):
    """The cells of every table's rows, without tags."""
    found = re.findall(r"<tr.*?</tr>", page.read_text(encoding="utf-8"), re.DOTALL)
    return [
        [
            re.sub("<.*?>", "", cell)
            for cell in re.findall(r"<t[dh].*?>.*?</t[dh]>", row)
        ]
        for row in found
    ]


def test_overview_has_the_finished_runs_in_the_order_of_the_experiments_and_links_to_each(
    page, small_runs
):
    for row, (name, run) in zip(rows(page)[1:5], small_runs.items(), strict=True):
        accuracies = [
            metric for metric in run.test_metrics if metric.endswith("accuracy")
        ]
        assert row[:6] == [
            "pairs &amp; more" if name == "shared_layers" else name,
            "functional" if name != "sequential" else name,
            f"{run.model.count_params():,}",
            "2",
            " / ".join(
                f"{run.history[f'val_{metric}'].iloc[-1]:.4f}" for metric in accuracies
            ),
            " / ".join(f"{run.test_metrics[metric]:.4f}" for metric in accuracies),
        ]
    assert rows(page)[1][6] == "1,301"
    text = page.read_text(encoding="utf-8")
    assert text.count("<a ") == text.count("<section ") == 4
    for target, name in re.findall('<a href="#(.*?)">(.*?)</a>', text):
        assert (
            f"({name})" in text.split(f'<section id="{target}">')[1].split("</h2>")[0]
        )


def test_sections_show_what_the_files_hold_escaped_with_their_pictures_embedded(
    page, small_runs
):
    text, run = page.read_text(encoding="utf-8"), small_runs["wide_deep"]
    for shown in (
        "functional; &#39;&lt;x&gt;&#39; is used 2 times",
        "<dd>&lt;b&gt;5,000&lt;/b&gt; digits</dd>",
        "model sequential, epochs 2, batch_size 32, learning_rate 0.01, seed 3, hidden_units [16, 8]",
        f"python {sys.version.split()[0]}, keras ",
        "<code>keras-model-wars claims</code>",
        "2 of 3 values of this run lie in the 95 % prediction interval of other seeds. Epoch 2",
        (run.folder / "summary.txt").read_text(encoding="utf-8").splitlines()[-1],
    ):
        assert shown in text
    values = (
        run.history["loss"].iloc[-1],
        run.history["val_loss"].iloc[-1],
        run.test_metrics["loss"],
    )
    assert ["loss", *(f"{value:.4f}" for value in values)] in rows(page)
    assert ["accuracy", "0.9858", "1.0000", "0.0142", "0.9830", "0.9870", "no"] in rows(
        page
    )
    assert ["loss", "0.0541", "0.0546", "0.0005", "0.0530", "0.0570", "yes"] in rows(
        page
    )
    assert "0.6124" not in text  # only the last epoch is shown
    alts = re.findall(
        '<img src="data:image/png;base64,[^"]{100,}" alt="([^"]+)">', text
    )
    starts = {
        "Diagram": 3,
        "Learning curves": 4,
        "Loss and accuracy": 1,
        "Confusion matrix": 4,
    }
    assert {
        start: sum(alt.startswith(start) for alt in alts) for start in starts
    } == starts
    assert not re.search(r'<script|url\(|@import|(src|href)="(?!#|data:)', text)


@pytest.fixture
def run(small_runs, tmp_path):
    return shutil.copytree(
        small_runs["sequential"].folder, tmp_path / "runs" / "sequential"
    )


@pytest.mark.parametrize("comparison", [None, NO_NUMBERS])
def test_run_that_diverged_gets_a_page(run, tmp_path, comparison):
    metrics = {"loss": None, "accuracy": 0.098}
    change(
        run,
        test=metrics,
        final_epoch=metrics | {f"val_{name}": value for name, value in metrics.items()},
    )
    if comparison:
        (run / "article_comparison.csv").write_text(comparison)
    make_report(run, tmp_path / "report.html")
    for row in (["loss", *["diverged"] * 3], ["accuracy", *["0.0980"] * 3]):
        assert row in rows(tmp_path / "report.html")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", text)
        for text in ("", "{", "[]", '"text"', "{}", '{"settings": {"model": "resnet"}}')
    ]
    + [
        ("run.json", '{"settings": {"model": "sequential"}, "test": {}}'),
        ("article_comparison.csv", "a,b"),
    ],
)
def test_damaged_run_is_named_and_nothing_written(run, tmp_path, name, text):
    shutil.copytree(run, tmp_path / "runs" / "whole")
    (run / name).write_text(text)
    with pytest.raises(
        InputError,
        match=r"^\S+sequential.run\.json and the files beside it [^\n]*Received: [^\n]*$",
    ):
        make_report(tmp_path / "runs", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_browser_shows_it_whole(page, tmp_path, width, scheme):
    # Nothing sticks out but what scrolls in its own box.
    outside = """return [...document.querySelectorAll("body *")].filter(e => !e.parentElement.closest(".scroll"))
        .filter(e => e.getBoundingClientRect().right > window.innerWidth).map(e => e.outerHTML.slice(0, 80))"""
    with browser(tmp_path / "profile", width, scheme) as window:
        window.get(page.as_uri())
        assert window.get_log("browser") == []
        assert window.execute_script(
            "return [...document.images].every(image => image.naturalWidth > 200)"
        )
        assert window.execute_script(
            "return [innerWidth, document.body.scrollWidth <= innerWidth]"
        ) == [width, True]
        assert window.execute_script(outside) == []
        style = window.execute_script(
            "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        )
    ink, paper = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in style)
    assert (paper - ink if scheme == "light" else ink - paper) > 3 * 150
