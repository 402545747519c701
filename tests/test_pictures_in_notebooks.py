"""Pictures in a notebook: each call shows one, with letters even if the system has none."""

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

CELLS = {
    "tf.keras": """
import tensorflow as tf
import keras_model_wars as kmw

(x_train, y_train), _ = kmw.load_mnist("sample")
inputs = tf.keras.Input((28, 28), name="abc")
x = tf.keras.layers.Flatten()(inputs)
model = tf.keras.Model(inputs, tf.keras.layers.Dense(10, "softmax")(x))
model.compile("sgd", "sparse_categorical_crossentropy")
history = model.fit(x_train[:64] / 255, y_train[:64], verbose=0)
""",
    "middle": """
kmw.plot_learning_curves(history)
kmw.plot_mistakes(model, x_train[:64] / 255, y_train[:64])
done = True
""",
    "loop": """
for count in (10, 20):
    kmw.plot_samples(x_train[:count], y_train[:count])
""",
    "last line": "kmw.plot_neurons((3, 2));",
    "file": 'kmw.plot_neurons((3, 2), "neurons.png");',
    "diagram": "kmw.plot_model(model)",
    "letters": """
other = tf.keras.Sequential([tf.keras.Input((28, 28), name="xyz"), *model.layers[1:]])
print(kmw.plot_model(model).tobytes() != kmw.plot_model(other).tobytes())
""",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of each cell, run in a kernel on a system without fonts."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "fonts.conf").write_text(
        '<fontconfig><dir prefix="xdg">fonts</dir></fontconfig>'
    )
    cells = [new_code_cell(source) for source in CELLS.values()]
    client = NotebookClient(
        new_notebook(cells=cells),
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FONTCONFIG_PATH", str(folder))
        # Both hide what is written to a reader's notebook.
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)
        # The command, which other tests call, draws into files alone.
        patch.delenv("MPLBACKEND", raising=False)
        client.execute()
    return dict(zip(CELLS, [cell.outputs for cell in cells]))


@pytest.mark.parametrize(
    ("name", "count"),
    [("middle", 2), ("loop", 2), ("last line", 1), ("file", 0), ("diagram", 1)],
)
def test_each_call_shows_one_picture_and_no_warning(name, count, outputs):
    pictures = [output.data["image/png"] for output in outputs[name]]
    assert len(pictures) == count


def test_names_are_drawn_in_letters_on_a_system_without_fonts(outputs):
    (printed,) = outputs["letters"]
    assert printed.text == "True\n"
