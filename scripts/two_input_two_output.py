"""Train the first article's model with two inputs and two outputs in plain Keras.

The reproducible version, which can be resumed and saves the model and a record:
`keras-model-wars train two_input_two_output`.
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
    # Leave out the first twelfth, as for the other models, and cut the rest in halves:
    # {"input_a", "input_b"} are the images, {"output_a", "output_b"} their labels.
    size = len(x_train) // 12
    inputs, labels = kmw.split_two_inputs(x_train[size:], y_train[size:])
    test_inputs, test_labels = kmw.split_two_inputs(x_test, y_test)
    # Build the model, print its summary and draw its diagram.
    model = kmw.build_two_input_two_output()
    model.summary()
    kmw.plot_model(model, out / "diagram.png")
    # Choose the optimizer (SGD, with a learning rate of 0.01) and the loss; each output
    # has a list of metrics of its own.
    model.compile(
        optimizer="sgd",
        loss="sparse_categorical_crossentropy",
        metrics=[["accuracy"], ["accuracy"]],
    )
    # Train it, 32 pairs of images at a time; the last fifth validates each epoch.
    history = model.fit(inputs, labels, epochs=epochs, validation_split=0.2)
    # Draw the learning curves.
    kmw.plot_learning_curves(history, out / "learning_curves.png")
    # Evaluate it on images that it has never seen.
    model.evaluate(test_inputs, test_labels)
    # Predict their classes: one array of probabilities per output.
    predictions = model.predict(test_inputs)
    for output, probabilities in zip(model.output_names, predictions):
        print(output, "predictions:", probabilities[:10].argmax(axis=1))
        print(output, "labels:     ", test_labels[output][:10])
    return history


if __name__ == "__main__":
    run(main)
