"""The page to draw a digit on: what its server answers, and the page in a browser."""

import http.client
import json
import threading

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

# Strokes from left to right and from top to bottom, in pixels of 280.
SEVEN = [(70, 56), (210, 56), (126, 238)]
LINE = [(28, 140), (252, 140)]


@pytest.fixture(scope="module")
def serve():
    """Serve models at an address, until the module ends."""
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


@pytest.fixture(scope="module")
def address(good_run, small_runs, serve):
    """A good model, one with two outputs, and two that can't be asked."""
    flowers = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    return serve(
        {
            "good": good_run.model,
            "two": small_runs["two_input_two_output"].model,
            "<pairs>": small_runs["shared_layers"].model,
            "flowers": flowers,
        }
    )


def drawn(points):
    image = Image.new("L", (280, 280))
    ImageDraw.Draw(image).line(points, fill=255, width=22)
    return np.asarray(image)


def request(address, method, body=None, **headers):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, "/answer", body, headers)
    response = connection.getresponse()
    return response.status, response.read().decode()


def ask(address, points):
    _, answer = request(address, "POST", drawn(points).tobytes())
    return json.loads(answer)


def test_answer_holds_the_prepared_picture_and_ten_probabilities_per_output(address):
    answer = ask(address, SEVEN)
    seen = np.reshape(answer["seen"], (28, 28))
    np.testing.assert_array_equal(seen, kmw.prepare_image(drawn(SEVEN)))
    assert np.shape(answer["answers"]) == (3, 10)
    assert np.argmax(answer["answers"][0]) == 7


def test_drawing_of_no_digit_gets_the_reason(address):
    reason = ask(address, LINE)["reason"]
    assert reason.startswith("The drawing should show one digit")


def test_page_names_models_that_are_left_out_with_the_reason(address):
    _, page = request(address, "GET")
    assert page.count("<section") == 3
    assert "<b>&lt;pairs&gt;</b>. shared_layers compares two images." in page
    assert "<b>flowers</b>. " in page


def test_only_models_that_cannot_be_asked_are_refused(small_runs):
    with pytest.raises(kmw.InputError, match="compares two images"):
        kmw.draw_digit({"pairs": small_runs["shared_layers"].model})


def test_foreign_hosts_get_no_answer(address):
    assert request(address, "GET", Host="localhost:8988")[0] == 200
    with pytest.raises(http.client.RemoteDisconnected):
        request(address, "GET", Host="localhost.evil.example:8988")


def test_longer_bodies_are_refused(address):
    assert request(address, "POST", bytes(280 * 280 + 1))[0] == 413


def test_next_free_port_is_taken(address, good_run, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing.ThreadingHTTPServer, "serve_forever", interrupt)
    kmw.draw_digit({"good": good_run.model})
    assert opened[0] > f"http://{address}"
    assert capsys.readouterr().out.startswith(opened[0])


def draw_by_mouse(window, points):
    paper = window.find_element(By.ID, "paper")
    scale = paper.size["width"] / 280
    mouse = ActionChains(window, duration=50)
    for place, (x, y) in enumerate(points):
        # Selenium counts from the middle.
        mouse.move_to_element_with_offset(paper, (x - 140) * scale, (y - 140) * scale)
        if place == 0:
            mouse.click_and_hold()
    mouse.release().perform()


@pytest.mark.parametrize(("width", "scheme"), [(1000, "light"), (400, "dark")])
def test_page_in_a_browser(address, tmp_path, width, scheme):
    with browser(tmp_path / "profile", width, scheme) as window:

        def wait_for(selector, text):
            found = window.find_element(By.CSS_SELECTOR, selector)
            WebDriverWait(window, 20).until(lambda _: found.text.startswith(text))

        window.get(f"http://{address}")
        draw_by_mouse(window, SEVEN)
        wait_for(".answer", "7")
        window.find_element(By.ID, "clear").click()
        wait_for("[role=status]", "Draw one digit")
        draw_by_mouse(window, LINE)
        wait_for("[role=status]", "The drawing should")
        assert window.execute_script("return document.body.scrollWidth") <= width
        assert window.get_log("browser") == []
