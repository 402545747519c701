"""Draw a digit with the mouse and watch trained models answer."""

import time

import keras
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.backend_bases import MouseButton, MouseEvent
from matplotlib.backends.backend_webagg import WebAggApplication
from PIL import Image, ImageDraw

from keras_model_wars.checks import InputError
from keras_model_wars.plotting import LAYER_COLORS
from keras_model_wars.predicting import image_shapes, predict_digits


def draw_digit(models: dict[str, keras.Model]) -> plt.Figure:
    """Show a field to draw a digit on, and the probabilities that each model gives the ten digits while you draw.

    ``models`` maps names to trained models. The left mouse button draws, the right one clears. A model with two inputs
    gets the drawing on both and shows both outputs; models that compare two images are left out. In a notebook, run
    ``%matplotlib widget`` (ipympl) first. Raises an InputError if no model takes single digits.

    >>> figure = draw_digit({"sequential": run.model})
    """
    image = Image.new("L", (280, 280), 255)
    pen, paper = ImageDraw.Draw(image), image.copy()
    shapes = (
        {name: image_shapes(model) for name, model in models.items()}
        if isinstance(models, dict)
        else {}
    )
    asked = {
        name: [image] * len(inputs)
        for name, (inputs, width) in shapes.items()
        if width == 10
    }
    if not asked:
        raise InputError(
            "`models` should be a dict with a model that takes single digits",
            repr(models),
        )
    outputs = [
        f"{name}\n{output}"
        for name in asked
        for output in getattr(models[name], "output_names", ["output"])
    ]
    size, widths = (4 + 1.6 * len(outputs), 4.2), [2.5, *[1] * len(outputs)]
    figure, (field, *panels) = plt.subplots(
        1, len(widths), figsize=size, width_ratios=widths
    )
    figure.set_label(
        "Keras Model Wars"
    )  # what older versions of matplotlib show as the window's title
    figure.canvas.manager.set_window_title(figure.get_label())
    shown = field.imshow(image, cmap="gray", vmin=0, vmax=255)
    field.set(
        title="Draw a digit\n(right click: clear)", xticks=[], yticks=[], navigate=False
    )
    for panel, output in zip(panels, outputs):
        panel.set_title(output, fontsize=9, parse_math=False)
        panel.set(
            xlim=(0, 1),
            ylim=(9.6, -0.6),
            xticks=[0, 1],
            yticks=range(10),
            navigate=False,
        )
    bars = [
        bar
        for panel in panels
        for bar in panel.barh(range(10), 0, color=LAYER_COLORS["output"])
    ]
    if pairs := ", ".join(name for name in shapes if name not in asked):
        figure.supxlabel(
            f"Left out, because they compare two images: {pairs}",
            fontsize=9,
            parse_math=False,
            wrap=True,
        )
    figure.tight_layout()  # once: a constrained layout is computed again for every stroke
    stroke, answered = [], 0.0

    def on_mouse(event: MouseEvent) -> None:
        nonlocal answered
        if event.button is None:
            return
        if event.button == MouseButton.LEFT and event.inaxes is field:
            stroke.append((event.xdata, event.ydata))
            pen.line(stroke[-2:], 0, 22)
            pen.circle(stroke[-1], 11, 0)
        elif event.button == MouseButton.RIGHT:
            image.paste(paper)
        ended = event.name == "button_release_event"
        if ended or (stroke and time.monotonic() > answered + 0.3):
            try:
                widths = np.vstack(
                    [
                        predict_digits(models[name], images)
                        for name, images in asked.items()
                    ]
                ).flat
            except InputError:  # nothing drawn yet, or no clear digit
                widths = [0] * len(bars)
            for bar, width in zip(bars, widths):
                bar.set_width(width)
            answered = time.monotonic()
        if ended:
            stroke.clear()
        shown.set_data(image)
        figure.canvas.draw_idle()

    for name in ("button_press_event", "motion_notify_event", "button_release_event"):
        figure.canvas.mpl_connect(name, on_mouse)
    return figure


def serve_drawing(models: dict[str, keras.Model]) -> None:
    """Serve ``draw_digit`` to a browser on this computer, at the next free port, until Ctrl-C."""
    plt.switch_backend("webagg")
    draw_digit(models)
    WebAggApplication.initialize(address="127.0.0.1")
    print(f"http://127.0.0.1:{WebAggApplication.port}", flush=True)
    plt.show()
