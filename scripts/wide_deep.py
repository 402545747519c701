"""Train the first article's wide and deep model in plain Keras, step by step.

The reproducible version, which can be resumed and saves the model and a record:
`keras-model-wars train wide_deep`.
"""

from pathlib import Path

from program import run

import keras_model_wars as kmw


def main(
    epochs: int = 10,
    data: str | None = None,
    out: Path = Path("runs/script"),
):
    """Train on MNIST, downloaded once, or on DATA: an mnist.npz file, or "sample".

    The diagram and the learning curves are saved in OUT.
    """
    # Load the images and their labels.
    (x_train, y_train), (x_test, y_test) = kmw.load_mnist(data)
    # Scale the pixels from 0..255 to 0..1.
    x_train = x_train.astype("float32") / 255
    x_test = x_test.astype("float32") / 255
    # Set the first twelfth aside, to validate the model after each epoch.
    size = len(x_train) // 12
    x_val, x_train = x_train[:size], x_train[size:]
    y_val, y_train = y_train[:size], y_train[size:]
    # Build the model, print its summary and draw its diagram.
    model = kmw.build_wide_deep()
    model.summary()
    kmw.plot_model(model, out / "diagram.png")
    # Choose the optimizer (SGD, with a learning rate of 0.01) and the loss.
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    # Train it, 32 images at a time.
    history = model.fit(x_train, y_train, epochs=epochs, validation_data=(x_val, y_val))
    # Draw the learning curves.
    kmw.plot_learning_curves(history, out / "learning_curves.png")
    # Evaluate it on images that it has never seen.
    model.evaluate(x_test, y_test)
    # Predict the classes of ten of them.
    probabilities = model.predict(x_test[:10])
    print("predictions:", probabilities.argmax(axis=1))
    print("labels:     ", y_test[:10])
    return history


if __name__ == "__main__":
    run(main)
