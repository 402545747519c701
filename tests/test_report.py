"""The page that `keras-model-wars report` writes: what stands in it, and how a browser shows it."""

import io
import re
import shutil
import urllib.request
from html.parser import HTMLParser

import pandas as pd
import pytest
from selenium import webdriver

from keras_model_wars import cli, compare_with_article, plot_article_comparison, train
from keras_model_wars.report import make_report

MODELS = ["sequential", "two_input_two_output", "shared_layers"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
# Kept from before the tests go offline: the driver is told through it, on this machine, to stop.
URLOPEN = urllib.request.urlopen


@pytest.fixture(scope="module")
def runs(few_digits, tmp_path_factory):
    """A run of each kind of model, one of them compared with the article, and the folders that no run finished in."""
    folder = tmp_path_factory.mktemp("runs")
    trained = {}
    for model in MODELS:
        name = "pairs & more" if model == "shared_layers" else model
        keywords = {"epochs": 1, "hidden_units": (16, 8), "data": few_digits, "verbose": False}
        trained[model] = train(model, out=folder / name, **keywords)
    comparison = compare_with_article(trained["sequential"].history, "sequential")
    comparison.to_csv(folder / "sequential" / "article_comparison.csv", index=False)
    plot_article_comparison(comparison, folder / "sequential" / "article_comparison.png")
    (folder / "empty").mkdir()
    (folder / "stopped").mkdir()
    (folder / "stopped" / "run.json").write_text('{"settings": {"model": "sequential"}, "seconds_an_epoch": []}')
    return folder, trained


@pytest.fixture(scope="module")
def page(runs, few_digits_file, tmp_path_factory):
    file = tmp_path_factory.mktemp("page") / "report.html"
    make_report(runs[0], file, few_digits_file)
    return file


class Tags(HTMLParser):
    """The page's tags with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Keep it."""
        self.found.append((tag, dict(attributes)))

    def of(self, wanted):
        return [attributes for tag, attributes in self.found if tag == wanted]


def tables(page):
    return pd.read_html(io.StringIO(page.read_text(encoding="utf-8")))


def test_page_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    tags = Tags(text)

    assert not tags.of("script")
    assert all(image["src"].startswith("data:image/png;base64,") for image in tags.of("img"))
    assert all(link["href"].startswith(("#", "data:")) for link in tags.of("a") + tags.of("link"))
    assert "url(" not in text
    assert "@import" not in text


def test_every_picture_says_what_it_shows(page):
    alts = [image["alt"] for image in Tags(page.read_text(encoding="utf-8")).of("img")]

    for start in ("Diagram of the layers", "Learning curves"):
        assert sum(alt.startswith(start) for alt in alts) == len(MODELS)
    assert sum("the article's as points" in alt for alt in alts) == 1
    assert sum(alt.startswith("Test digit: ") for alt in alts) > 12


def test_runs_stand_in_the_order_of_the_articles_with_their_accuracies(runs, page):
    overview = tables(page)[0]
    _, trained = runs

    assert overview["run"].tolist() == ["sequential", "two_input_two_output", "pairs & more"]
    assert overview["needs the API"].tolist() == ["sequential", "functional", "functional"]
    metrics = trained["two_input_two_output"].test_metrics
    assert overview["test"][1] == f"{metrics['output_a_accuracy']:.4f} / {metrics['output_b_accuracy']:.4f}"


def test_names_are_escaped(page):
    assert "pairs &amp; more" in page.read_text(encoding="utf-8")


def test_confusion_matrices_count_the_test_digits(runs, page):
    matrices = [table.set_index(table.columns[0]) for table in tables(page) if table.columns[0].startswith("Unnamed")]
    _, trained = runs
    accuracies = [
        value for run in trained.values() for name, value in run.test_metrics.items() if name.endswith("accuracy")
    ]

    assert [matrix.shape for matrix in matrices] == [(10, 10), (10, 10), (10, 10), (2, 2)]
    # The model with two inputs takes the 60 test digits in halves.
    assert [matrix.to_numpy().sum() for matrix in matrices] == [60, 30, 30, 60]
    measured = [matrix.to_numpy().trace() / matrix.to_numpy().sum() for matrix in matrices]
    assert measured == pytest.approx(accuracies, abs=1e-6)


def test_most_wrong_digits_are_wrong_and_the_surest_stand_first(page):
    section = page.read_text(encoding="utf-8").split("Most wrong")[1].split("</ul>")[0]
    captions = re.findall(r"<figcaption>(\d), says (\d) \((0\.\d+)\)", section)

    assert len(captions) == 12
    assert all(truth != found for truth, found, _ in captions)


def test_page_tells_the_summary_the_comparison_and_the_claims(page):
    text = page.read_text(encoding="utf-8")

    assert "Total params" in text
    assert "largest deviation in loss" in text
    assert "a Sequential model shares a layer, used twice along its chain" in text
    assert "other digits than those the run was tested on" not in text


def test_digits_that_are_not_the_runs_own_are_named_so(runs, sample, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_model_wars.report.find_mnist", lambda _: (sample, "the sample"))
    monkeypatch.setattr("keras_model_wars.report.claims", lambda: pd.DataFrame({"statement": ["1 < 2"]}))
    make_report(runs[0] / "sequential", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "other digits than those the run was tested on" in text
    assert "500 test digits (from the sample)" in " ".join(text.split())
    assert "1 &lt; 2" in text


def damaged(folder):
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{")


def unknown_model(folder):
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text('{"settings": {"model": "resnet"}, "test": {}}')


def without_model(folder):
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text('{"settings": {"model": "sequential"}, "test": {}}')


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "`runs` should be a folder with a finished run, .*Received: runs"),
        (damaged, "runs.run.run.json should be the record of a run"),
        (unknown_model, "runs.run.run.json should be the record of a run"),
        (without_model, "runs.run.model.keras should be a model saved as a .keras file. Received: no such file"),
    ],
)
def test_command_refuses_in_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, few_digits_file, make, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    make(tmp_path / "runs")
    with pytest.raises(SystemExit) as stop:
        cli.main(["report", "--data", str(few_digits_file)])

    out, err = capsys.readouterr()
    assert (stop.value.code, out) == (2, "")
    assert re.fullmatch(f"error: .*{message}.*\n", err)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_command_writes_the_page(runs, run_process, few_digits_file, tmp_path):
    result = run_process(
        "keras-model-wars", "report", "--runs", runs[0] / "sequential", "--data", few_digits_file, folder=tmp_path
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Written: report.html\n"
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.fixture(scope="module")
def open_page(page, tmp_path_factory):
    """Open the page in headless Chromium at a width, in light or dark."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("needs Chromium and its chromedriver, from the packages chromium and chromium-driver")
    browsers = []

    def open_at(width, scheme):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        flags = "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        for flag in f"{flags} disable-component-update disable-sync".split():
            options.add_argument(f"--{flag}")
        options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
        options.add_experimental_option(
            "mobileEmulation", {"deviceMetrics": {"width": width, "height": 844, "pixelRatio": 2}}
        )
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        browsers.append(browser)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page.as_uri())
        return browser

    yield open_at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib.request.urlopen", URLOPEN)
        for browser in browsers:
            browser.quit()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_browser_shows_it_whole(open_page, width, scheme):
    browser = open_page(width, scheme)

    assert browser.execute_script("return window.innerWidth") == width
    assert browser.get_log("browser") == []
    unloaded = (
        "return [...document.images].filter(image => !image.complete || !image.naturalWidth).map(image => image.alt)"
    )
    assert browser.execute_script(unloaded) == []
    assert browser.execute_script("return document.images.length") > 15
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    # Nothing sticks out, but for what scrolls in its own box.
    outside = """
        return [...document.body.querySelectorAll("*")]
            .filter(e => !e.closest(".scroll") && e.getBoundingClientRect().right > window.innerWidth + 0.5)
            .map(e => e.outerHTML.slice(0, 80))"""
    assert browser.execute_script(outside) == []
    colours = browser.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours)
    assert (ink < paper) == (scheme == "light")
    assert abs(ink - paper) > 3 * 150
