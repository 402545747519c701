"""Train the second article's model with shared layers in plain Keras, step by step.

The reproducible version, which can be resumed and saves the model and a record:
`keras-model-wars train shared_layers`.
"""

from pathlib import Path

from program import run

import keras_model_wars as kmw


def main(
    epochs: int = 5,
    data: str | None = None,
    out: Path = Path("runs/script"),
):
    """Train on MNIST, downloaded once, or on DATA: an mnist.npz file, or "sample".

    The diagram and the learning curves are saved in OUT.
    """
    import keras  # here, because it takes seconds, and --help needn't wait

    # Load the images and their labels.
    (x_train, y_train), (x_test, y_test) = kmw.load_mnist(data)
    # Scale the pixels from 0..255 to 0..1.
    x_train = x_train.astype("float32") / 255
    x_test = x_test.astype("float32") / 255
    # Set the first twelfth aside, to validate the model after each epoch.
    size = len(x_train) // 12
    x_val, x_train = x_train[:size], x_train[size:]
    y_val, y_train = y_train[:size], y_train[size:]
    # Make pairs of images, half of which show the same digit.
    pairs, same = kmw.make_pairs(x_train, y_train)
    val_pairs, val_same = kmw.make_pairs(x_val, y_val)
    test_pairs, test_same = kmw.make_pairs(x_test, y_test)
    # Build the model, print its summary and draw its diagram.
    model = kmw.build_shared_layers()
    model.summary()
    kmw.plot_model(model, out / "diagram.png")
    # Choose the optimizer (momentum saves epochs) and the loss for a yes or a no.
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(
        optimizer=optimizer,
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    # Train it, 32 pairs at a time.
    validation = (val_pairs, val_same)
    history = model.fit(pairs, same, epochs=epochs, validation_data=validation)
    # Draw the learning curves.
    kmw.plot_learning_curves(history, out / "learning_curves.png")
    # Evaluate it on pairs that it has never seen.
    model.evaluate(test_pairs, test_same)
    # Predict which of ten pairs show the same digit.
    probabilities = model.predict(test_pairs)[:10, 0]
    print("predictions:", (probabilities > 0.5).astype(int))
    print("labels:     ", test_same[:10])
    return history


if __name__ == "__main__":
    run(main)
