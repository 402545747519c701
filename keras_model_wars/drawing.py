"""Draw a digit in the browser and watch trained models answer."""

import json
import webbrowser
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

import jinja2
import keras
import numpy as np

from keras_model_wars.checks import InputError
from keras_model_wars.digits import image_shapes, predict_prepared, prepare_image

FIRST_PORT = 8988
SIDE = 280  # of the drawing that the page sends, in pixels
LARGEST_REQUEST = 1_000_000  # bytes


def draw_digit(models: dict[str, keras.Model]) -> None:
    """Open a page to draw a digit on, where trained models answer while you draw.

    ``models`` maps names to trained models. Serves the page until Ctrl-C; in a
    notebook, interrupt the kernel to go on. The address is printed: port 8988 of this
    computer, or the next free one; no other computer can open it. A model with two
    inputs gets the drawing on both and shows both outputs. Models that don't take
    single digits are left out, and the page says why. Raises an InputError if no model
    takes single digits. Follows "Keras Model Wars: Functional vs Sequential": a trained
    model predicts what it has not seen before. In Python
    ``kmw.draw_digit({"sequential": run.model})``, in a terminal
    ``keras-model-wars draw``.
    """
    with _open_server(models) as server, suppress(KeyboardInterrupt):
        url = f"http://127.0.0.1:{server.server_port}"
        print(f"{url}\nStop with Ctrl-C.", flush=True)
        webbrowser.open(url)
        server.serve_forever()


def _open_server(models: dict[str, keras.Model]) -> ThreadingHTTPServer:
    outputs, left_out = {}, {}
    for name, model in models.items():
        try:
            outputs[name] = _output_names(model)
        except InputError as error:
            left_out[name] = str(error)
    if not outputs:
        reasons = [f"{name}: {reason}" for name, reason in left_out.items()]
        raise InputError(
            "One of the models should take single digits. "
            f"Received: {' '.join(reasons) or 'no models.'}"
        )
    templates = jinja2.PackageLoader("keras_model_wars")
    environment = jinja2.Environment(loader=templates, autoescape=True)
    template = environment.get_template("draw.html")

    class Handler(DrawingHandler):
        page = template.render(outputs=outputs, left_out=left_out, side=SIDE)
        chosen = [(models[name], len(names)) for name, names in outputs.items()]

    for port in range(FIRST_PORT, 65_536):
        with suppress(OSError):
            return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    raise InputError(f"A port from {FIRST_PORT} on should be free. Received: none.")


def _output_names(model: keras.Model) -> list[str]:
    """Return a name for each output, empty for a single one."""
    inputs, width = image_shapes(model)
    if width == 1:
        raise InputError("It compares two images.")
    return model.output_names if len(inputs) > 1 else [""]


class DrawingHandler(BaseHTTPRequestHandler):
    """Answer one request of the page."""

    timeout = 5  # seconds, for a browser that sends less than it announced
    predicting = Lock()
    page: str
    chosen: list[tuple[keras.Model, int]]  # with the number of outputs

    def handle(self) -> None:
        """Answer, unless the window was closed meanwhile."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Send the page."""
        if self._is_welcome("/"):
            self._send(self.page, "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Answer a drawing of SIDE x SIDE bytes: 0 for paper, 255 for ink."""
        length = self.headers.get("Content-Length", "")
        if not self._is_welcome("/answer"):
            return
        if not length.isdecimal():
            self.send_error(400)
            return
        if int(length) > LARGEST_REQUEST:
            self.send_error(413)
            # Until it is sent, the browser looks for no answer.
            self.rfile.read(LARGEST_REQUEST)
            return
        body = self.rfile.read(int(length))
        if len(body) != SIDE * SIDE:
            self.send_error(400)
            return
        drawing = np.frombuffer(body, np.uint8).reshape(SIDE, SIDE)
        self._send(json.dumps(self._answer(drawing)), "application/json")

    def log_message(self, *_: object) -> None:
        """Print nothing: the page asks five times per second."""

    def _answer(self, drawing: np.ndarray) -> dict:
        """Return what the networks see and each output's probabilities, or reasons."""
        try:
            seen = prepare_image(drawing, "The drawing")
        except InputError as error:
            return {"reason": str(error)}
        answers: list[list[float] | str] = []
        for model, count in self.chosen:
            images = np.stack([seen] * count)
            try:
                with self.predicting:
                    answers += predict_prepared(model, images).tolist()
            except InputError as error:
                answers += [str(error)] * count
        return {"seen": seen.ravel().tolist(), "answers": answers}

    def _is_welcome(self, path: str) -> bool:
        """Refuse other paths, and hosts whose name was pointed at this computer."""
        host, _, _ = self.headers.get("Host", "").partition(":")
        if host not in ("127.0.0.1", "localhost"):
            self.send_error(403)
            return False
        if self.path != path:
            self.send_error(404)
            return False
        return True

    def _send(self, text: str, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(text.encode())
