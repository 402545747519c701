"""The field to draw a digit on: without a browser, and in one."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import numpy as np
import pytest
from browser import browser
from matplotlib import pyplot as plt
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_webagg import WebAggApplication
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from keras_model_wars.drawing import draw_digit, serve_drawing

# The strokes of three digits on a field from 0 to 1, from left to right and from bottom to top.
STROKES = {
    1: [[(0.5, 0.85), (0.5, 0.15)]],
    4: [[(0.35, 0.85), (0.25, 0.5), (0.75, 0.5)], [(0.68, 0.8), (0.62, 0.15)]],
    7: [[(0.25, 0.8), (0.75, 0.8), (0.45, 0.15)]],
}


@pytest.fixture(autouse=True)
def no_window():
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend("agg")


@pytest.fixture
def figure(good_run):
    return draw_digit({"sequential": good_run.model})


def send(figure, name, point, button=None):
    """What the mouse does at a point of the field."""
    x, y = figure.axes[0].transAxes.transform(point)
    figure.canvas.callbacks.process(name, MouseEvent(name, figure.canvas, x, y, button))


def draw(figure, *points, button=1):
    send(figure, "button_press_event", points[0], button)
    for point in points[1:]:
        send(figure, "motion_notify_event", point)
    send(figure, "button_release_event", points[-1], button)


def paper(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def bars(figure):
    """The lengths of the bars, one row per panel."""
    return np.array(
        [[bar.get_width() for bar in panel.patches] for panel in figure.axes[1:]]
    )


@pytest.mark.parametrize("digit", STROKES)
def test_longest_bar_is_the_digit_drawn_and_clearing_empties_the_field(figure, digit):
    send(figure, "motion_notify_event", (0.5, 0.5))
    assert (bars(figure).any(), paper(figure).min()) == (False, 255)
    for stroke in STROKES[digit]:
        draw(figure, *stroke)
    assert bars(figure).argmax() == digit
    assert bars(figure).sum() == pytest.approx(1, abs=1e-5)
    draw(figure, (0.5, 0.5), button=3)
    assert (bars(figure).any(), paper(figure).min()) == (False, 255)


def test_strokes_are_separate_and_bars_move_while_one_is_drawn_along_the_edge(figure):
    draw(figure, (0.3, 0.5))
    draw(figure, (0.7, 0.5))
    assert paper(figure)[140, [84, 140, 196]].tolist() == [0, 255, 0]
    draw(figure, (0.5, 0.5), button=3)
    send(figure, "button_press_event", (0.001, 0.999), 1)
    send(figure, "motion_notify_event", (0.001, 0.5))
    time.sleep(0.35)  # it answers a few times per second
    send(figure, "motion_notify_event", (0.001, 0.001))
    assert bars(figure).argmax() == 1


def test_two_inputs_show_both_outputs_and_pairs_are_left_out(small_runs):
    figure = draw_digit(
        {name: run.model for name, run in small_runs.items() if name != "wide_deep"}
    )
    draw(figure, *STROKES[7][0])
    titles = [panel.get_title() for panel in figure.axes[1:]]
    assert titles == [
        "sequential\noutput",
        "two_input_two_output\noutput_a",
        "two_input_two_output\noutput_b",
    ]
    assert bars(figure).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert (
        figure.get_supxlabel()
        == "Left out, because they compare two images: shared_layers"
    )


def test_page_answers_in_a_browser_at_the_next_free_port_until_interrupted(
    good_run, tmp_path, monkeypatch, capsys
):
    opened = Queue()
    monkeypatch.setattr("webbrowser.open", lambda url: opened.put(url) or True)

    def visit():
        try:
            url = opened.get(timeout=30)
            with browser(tmp_path / "profile") as window:
                window.get(url)
                for digit in STROKES:
                    draw_in_browser(window, digit)
                assert (
                    window.find_element(By.CLASS_NAME, "ui-dialog-title").text
                    == "Keras Model Wars"
                )
                return url, window.get_log("browser")
        finally:
            time.sleep(1)  # until the server handles the signal
            if WebAggApplication.started:
                os.kill(os.getpid(), signal.SIGINT)

    with socket.create_server(("127.0.0.1", 0)) as taken, ThreadPoolExecutor() as pool:
        monkeypatch.setitem(plt.rcParams, "webagg.port", taken.getsockname()[1])
        visited = pool.submit(visit)
        serve_drawing({"sequential": good_run.model})
    url, log = visited.result()
    assert log == []
    assert url.startswith("http://127.0.0.1:")
    assert not url.endswith(f":{plt.rcParams['webagg.port']}")
    assert capsys.readouterr().out.startswith(f"{url}\n")


def draw_in_browser(window, digit):
    """Draw a digit with the mouse, wait for the answer and clear the field."""
    wait, figure = WebDriverWait(window, 60).until, plt.figure(plt.get_fignums()[0])
    canvas = wait(lambda _: window.find_element(By.CLASS_NAME, "mpl-canvas"))
    wait(lambda _: canvas.size["height"] == figure.bbox.height)
    for points in STROKES[digit]:
        # The browser counts from the middle, and downward.
        first, *others = (
            figure.axes[0].transAxes.transform(points) - figure.bbox.size / 2
        ) * (1, -1)
        mouse = (
            ActionChains(window, duration=50)
            .move_to_element_with_offset(canvas, *first)
            .click_and_hold()
        )
        for point in others:
            mouse.move_to_element_with_offset(canvas, *point)
        mouse.release().perform()
    wait(lambda _: bars(figure).any() and bars(figure).argmax() == digit)
    mouse.context_click().perform()
    wait(lambda _: not bars(figure).any())
