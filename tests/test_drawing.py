"""The page to draw a digit on: its server, and the page in a browser."""

import http.client
import json
import os
import signal
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from browser import browser
from PIL import Image, ImageDraw
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import keras_model_wars as kmw
from keras_model_wars import drawing

# Strokes from left to right and from top to bottom, from 0 to 1.
SEVEN = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]
LINE = [(0.1, 0.5), (0.9, 0.5)]


@pytest.fixture
def serve():
    """Serve models at an address, until the test ends."""
    servers = []

    def start(models):
        server = drawing._open_server(models)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def address(good_run, serve):
    return serve({"sequential": good_run.model})


def as_bytes(points):
    image = Image.new("L", (280, 280))
    corners = [(280 * x, 280 * y) for x, y in points]
    ImageDraw.Draw(image).line(corners, fill=255, width=22)
    return image.tobytes()


def request(address, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def ask(address, points):
    status, body = request(address, "POST", "/answer", as_bytes(points))
    assert status == 200
    return json.loads(body)


def diverge(model):
    diverged = keras.models.clone_model(model)
    diverged.set_weights([weight * np.nan for weight in model.get_weights()])
    return diverged


def test_answer_holds_the_prepared_picture_and_ten_probabilities(address):
    answer = ask(address, SEVEN)
    drawn = np.frombuffer(as_bytes(SEVEN), np.uint8).reshape(280, 280)
    seen = np.reshape(answer["seen"], (28, 28))
    np.testing.assert_array_equal(seen, kmw.prepare_image(drawn))
    [probabilities] = answer["answers"]
    assert np.argmax(probabilities) == 7
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_drawing_of_no_digit_gets_the_reason(address):
    answer = ask(address, LINE)
    assert answer.keys() == {"reason"}
    assert answer["reason"].startswith("The drawing should show one digit")


def test_diverged_model_blanks_no_other(good_run, serve):
    models = {"bad": diverge(good_run.model), "good": good_run.model}
    bad, good = ask(serve(models), SEVEN)["answers"]
    assert "diverged" in bad
    assert np.argmax(good) == 7


def test_two_outputs_get_two_panels_and_other_models_are_left_out(small_runs, serve):
    models = {name: run.model for name, run in small_runs.items()}
    del models["wide_deep"]
    models["flowers"] = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    address = serve(models)
    assert len(ask(address, SEVEN)["answers"]) == 3
    page = request(address, "GET", "/")[1].decode()
    assert "<b>shared_layers</b>. It compares two images." in page
    assert "<b>flowers</b>. `model` should take" in page


def test_names_are_escaped(good_run, serve):
    page = request(serve({"<b>&": good_run.model}), "GET", "/")[1].decode()
    assert "<h2>&lt;b&gt;&amp;" in page


def test_no_model_for_single_digits_is_refused(small_runs):
    with pytest.raises(
        kmw.InputError, match="single digits.*pairs: It compares two images"
    ):
        kmw.draw_digit({"pairs": small_runs["shared_layers"].model})


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8988", ""])
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/answer")])
def test_foreign_hosts_are_forbidden(address, method, path, host):
    assert request(address, method, path, as_bytes(SEVEN), Host=host)[0] == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/answer", None, 404),
        ("GET", "/../drawing.py", None, 404),
        ("POST", "/", b"", 404),
        ("POST", "/answer", b"", 400),
        ("POST", "/answer", bytes(100), 400),
        ("POST", "/answer", bytes(280 * 280 + 1), 400),
        ("POST", "/answer", bytes(1_000_001), 413),
    ],
)
def test_other_requests_are_refused(address, method, path, body, status):
    assert request(address, method, path, body)[0] == status


@pytest.mark.parametrize("length", ["many", "-1", ""])
def test_length_that_is_no_number_is_refused(address, length):
    answer = request(address, "POST", "/answer", **{"Content-Length": length})
    assert answer[0] == 400


def test_windows_draw_at_once(address):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [address] * 16, [SEVEN, LINE] * 8))
    assert ["answers" in answer for answer in answers] == [True, False] * 8


def test_window_that_is_closed_while_it_waits_prints_nothing(address, capfd):
    host, port = address.split(":")
    for _ in range(5):
        window = socket.create_connection((host, int(port)))
        # Closed at once, as a browser does that has no use for the answer.
        window.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        window.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n".encode())
        window.close()
    assert len(ask(address, SEVEN)["answers"]) == 1
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def interruptible():
    """Take SIGINT as Ctrl-C: a job that a shell started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_it_and_frees_the_next_port(good_run, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(drawing, "FIRST_PORT", port)
        opened = []

        def visit(url):
            opened.append(url)
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

        monkeypatch.setattr("webbrowser.open", visit)
        kmw.draw_digit({"sequential": good_run.model})
    [url] = opened
    assert url != f"http://127.0.0.1:{port}"
    assert capsys.readouterr().out.startswith(f"{url}\n")
    socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))).close()


def draw_by_mouse(window, points):
    paper = window.find_element(By.ID, "paper")
    side = paper.size["width"]
    mouse = ActionChains(window, duration=50)
    for place, (x, y) in enumerate(points):
        # Selenium counts from the middle.
        mouse.move_to_element_with_offset(paper, (x - 0.5) * side, (y - 0.5) * side)
        if place == 0:
            mouse.click_and_hold()
    mouse.release().perform()


def draw_by_touch(window, points):
    paper = window.find_element(By.ID, "paper")
    box = paper.rect
    for place, (x, y) in enumerate(points):
        point = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["width"]}
        send_touch(window, "touchMove" if place else "touchStart", [point])
    send_touch(window, "touchEnd", [])


def send_touch(window, kind, points):
    event = {"type": kind, "touchPoints": points}
    window.execute_cdp_cmd("Input.dispatchTouchEvent", event)


def texts(window, selector):
    return [found.text for found in window.find_elements(By.CSS_SELECTOR, selector)]


@pytest.mark.parametrize(
    ("draw", "width", "scheme"),
    [
        (draw_by_mouse, 1280, "light"),
        (draw_by_mouse, 400, "dark"),
        (draw_by_touch, 1280, "dark"),
        (draw_by_touch, 400, "light"),
    ],
)
def test_page_in_a_browser(good_run, serve, tmp_path, draw, width, scheme):
    models = {"good": good_run.model, "bad": diverge(good_run.model)}
    address = serve(models)
    with browser(tmp_path / "profile", width, scheme) as window:
        wait = WebDriverWait(window, 20).until
        window.get(f"http://{address}")
        draw(window, SEVEN)
        wait(lambda _: texts(window, "[role=status]") == ["good: 7, bad: no answer"])
        good, bad = texts(window, ".answer")
        assert good.startswith("7")
        assert good.endswith("%")
        assert "diverged" in bad
        window.find_element(By.ID, "clear").click()
        assert texts(window, ".answer") == ["", ""]
        draw(window, LINE)
        wait(lambda _: "The drawing should" in texts(window, "[role=status]")[0])
        ActionChains(window).send_keys("\ue00c").perform()  # Escape
        wait(lambda _: "Draw one digit" in texts(window, "[role=status]")[0])
        assert window.execute_script("return document.body.scrollWidth") <= width
        panels = window.find_elements(By.TAG_NAME, "section")
        one_column = panels[0].rect["x"] == panels[1].rect["x"]
        assert one_column == (width == 400)
        color = "return getComputedStyle(document.body).backgroundColor"
        is_light = window.execute_script(color) == "rgb(255, 255, 255)"
        assert is_light == (scheme == "light")
        assert window.get_log("browser") == []
