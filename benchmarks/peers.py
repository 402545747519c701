"""How the package and each of its peers trains a model of the first article.

All use plain SGD with a learning rate of 0.01 and batches of 32, start from the same
weights, reshuffle the images in each epoch, validate after it and report the same four
metrics. ``folder`` holds the images (``mnist.npz``) and the first weights.
"""

import io
import os
from collections.abc import Callable
from contextlib import redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from clock import Clock, watch_fit

BATCH_SIZE = 32
LEARNING_RATE = 0.01
# The default of `train`, so that the package starts from the same weights as the others.
SEED = 0

Array = np.ndarray


def run_peer(
    peer: str, model: str, folder: Path, epochs: int, connection: Connection
) -> None:
    """Train in this process, which has imported neither Keras nor another framework."""
    os.environ["KERAS_BACKEND"] = "jax" if peer == "keras_jax" else "tensorflow"
    with redirect_stdout(io.StringIO()):  # the progress bars
        PEERS[peer](model, folder, epochs, Clock(connection))


def package(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the package's command and its defaults, which also saves the model."""
    watch_fit(clock)
    from keras_model_wars.__main__ import main

    arguments = ["train", model, "--data", str(folder / "mnist.npz")]
    arguments += ["--out", str(folder / "run"), "--epochs", str(epochs)]
    main(arguments)


def article(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the article's own ``compile`` and ``fit``, on KERAS_BACKEND's backend."""
    watch_fit(clock)
    import keras_model_wars as kmw

    (x_train, y_train), validation_data = load_images(folder)
    network = getattr(kmw, f"build_{model}")()
    network.set_weights(load_weights(folder))
    network.compile(
        loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"]
    )
    network.fit(x_train, y_train, epochs=epochs, validation_data=validation_data)


def pytorch(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with a plain eager PyTorch loop over tensors held in memory."""
    import torch
    from torch import nn

    network = torch_network(model)
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), load_weights(folder)):
            # PyTorch's kernels are Keras's, transposed.
            parameter.copy_(torch.from_numpy(array.T))
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    cross_entropy = nn.CrossEntropyLoss()

    def train_step(x, y):
        logits = network(x)
        loss = cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return torch_score(logits, loss, y)

    @torch.no_grad()
    def test_step(x, y):
        logits = network(x)
        return torch_score(logits, cross_entropy(logits, y), y)

    tensors = []
    for x, y in load_images(folder):
        tensors.append((torch.from_numpy(x), torch.from_numpy(y).long()))
    run_loop(tensors, epochs, clock, torch.randperm, train_step, test_step)


def torch_network(model: str) -> Any:
    """Build the model in PyTorch, up to the logits."""
    import torch
    from torch import nn

    class WideDeep(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep = nn.Sequential(
                nn.Flatten(),
                nn.Linear(784, 2**14),
                nn.ReLU(),
                nn.Linear(2**14, 512),
                nn.ReLU(),
                nn.Linear(512, 784),
                nn.ReLU(),
                nn.Unflatten(1, (28, 28)),
            )
            self.output = nn.Linear(2 * 784, 10)

        def forward(self, x):
            joined = torch.cat([x, self.deep(x)], dim=2)
            return self.output(joined.flatten(1))

    if model == "wide_deep":
        return WideDeep()
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def torch_score(logits: Any, loss: Any, y: Any):
    """Return the sum of the losses and the number of right answers."""
    right = logits.argmax(dim=1) == y
    return loss.item() * len(y), right.sum().item()


def numpy(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the same mathematics by hand: the least that a framework can take."""
    weights = load_weights(folder)
    bypass = model == "wide_deep"
    shuffle = np.random.default_rng(SEED).permutation

    def train_step(x, y):
        return numpy_step(x, y, weights, bypass)

    def test_step(x, y):
        return numpy_score(numpy_forward(x, weights, bypass)[-1], y)

    run_loop(load_images(folder), epochs, clock, shuffle, train_step, test_step)


def numpy_forward(x: Array, weights: list[Array], bypass: bool) -> list[Array]:
    """Return the input of each layer, and last the logarithms of the probabilities.

    ``weights`` are kernel, bias, kernel, bias, ... as Keras's ``get_weights`` returns
    them. With ``bypass``, the last layer takes the image beside the last hidden values.
    """
    *hidden_weights, last_kernel, last_bias = weights
    values = x.reshape(len(x), 784)
    inputs = [values]
    for kernel, bias in zip(hidden_weights[::2], hidden_weights[1::2]):
        values = np.maximum(values @ kernel + bias, 0)
        inputs.append(values)
    if bypass:
        joined = np.concatenate([x, values.reshape(x.shape)], axis=2)
        inputs[-1] = joined.reshape(len(x), 2 * 784)
    logits = inputs[-1] @ last_kernel + last_bias
    logits -= logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return [*inputs, logits - log_sums]


def numpy_step(
    x: Array,
    y: Array,
    weights: list[Array],
    bypass: bool,
    learning_rate: float = LEARNING_RATE,
):
    """Take one step of SGD in place; return what ``numpy_score`` does."""
    *inputs, log_probabilities = numpy_forward(x, weights, bypass)
    error = np.exp(log_probabilities)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    for layer in reversed(range(len(inputs))):
        kernel = weights[2 * layer]
        bias = weights[2 * layer + 1]
        # Before the kernel changes; the first layer has none below.
        below = error @ kernel.T if layer > 0 else None
        # Scale the small matrix, not the large gradient.
        error *= learning_rate
        kernel -= inputs[layer].T @ error
        bias -= error.sum(axis=0)
        if layer > 0:
            error = below * (inputs[layer] > 0)
        if bypass and layer == len(inputs) - 1:
            halves = error.reshape(len(x), 28, 56)
            error = halves[:, :, 28:].reshape(len(x), 784)
    return numpy_score(log_probabilities, y)


def numpy_score(log_probabilities: Array, y: Array):
    """Return the sum of the losses and the number of right answers."""
    losses = -log_probabilities[np.arange(len(y)), y]
    right = log_probabilities.argmax(axis=1) == y
    return losses.sum(), right.sum()


def run_loop(
    images: Any,
    epochs: int,
    clock: Clock,
    shuffle: Callable,
    train_step: Callable,
    test_step: Callable,
) -> None:
    """Run the loop that PyTorch and NumPy leave to their users, one batch per step."""
    (x_train, y_train), (x_valid, y_valid) = images
    clock.start()
    for _ in range(epochs):
        order = shuffle(len(x_train))
        sums = []
        for start in range(0, len(x_train), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            sums.append(train_step(x_train[batch], y_train[batch]))
        loss, accuracy = np.sum(sums, axis=0) / len(x_train)
        sums = []
        for start in range(0, len(x_valid), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            sums.append(test_step(x_valid[batch], y_valid[batch]))
        val_loss, val_accuracy = np.sum(sums, axis=0) / len(x_valid)
        logs = {"loss": loss, "accuracy": accuracy}
        clock.epoch_done(logs | {"val_loss": val_loss, "val_accuracy": val_accuracy})


def load_images(folder: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Read and scale the images; the first twelfth validates, as in the article."""
    with np.load(folder / "mnist.npz") as file:
        x, y = file["x_train"], file["y_train"]
    x = np.divide(x, np.float32(255), dtype=np.float32)
    size = len(x) // 12
    return (x[size:], y[size:]), (x[:size], y[:size])


def load_weights(folder: Path) -> list[Array]:
    """Read the weights that all peers start from."""
    with np.load(folder / "weights.npz") as file:
        return list(file.values())


PEERS = {
    "package": package,
    "article": article,
    "pytorch": pytorch,
    "keras_jax": article,
    "numpy": numpy,
}
