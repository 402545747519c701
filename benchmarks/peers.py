"""How the package and each of its peers trains a model of the first article, written out as its user would.

Every peer trains with plain SGD, learning rate 0.01, in batches of 32, starts from the same weights, takes the digits in
a new order each epoch, validates after each and reports the same four numbers.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from clock import Clock, watch_fit

if TYPE_CHECKING:
    from torch import nn

BATCH_SIZE = 32
LEARNING_RATE = 0.01
SEED = 0

Digits = tuple[np.ndarray, np.ndarray]
Weights = list[np.ndarray]


def package(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the package's command as it comes, which saves, draws and tests too."""
    watch_fit(clock)
    from keras_model_wars.cli import app

    with tempfile.TemporaryDirectory(dir=folder) as out:
        # With this seed it draws the very weights that the others read.
        options = {"--data": folder / "digits.npz", "--epochs": epochs, "--seed": SEED, "--out": out}
        app(["train", model, *(str(word) for option in options.items() for word in option)], standalone_mode=False)


def article(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train as a reader of the article would write it out; on which backend is Keras's own setting."""
    import keras
    from keras import layers

    watch_fit(clock)
    (x_train, y_train), (x_valid, y_valid) = load_digits(folder)
    if model == "sequential":
        network = keras.Sequential(
            [
                keras.Input((28, 28)),
                layers.Flatten(),
                layers.Dense(256, activation="relu"),
                layers.Dense(128, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
    else:
        inputs = keras.Input((28, 28))
        x = layers.Flatten()(inputs)
        x = layers.Dense(2**14, activation="relu")(x)
        x = layers.Dense(512, activation="relu")(x)
        x = layers.Dense(784, activation="relu")(x)
        x = layers.Reshape((28, 28))(x)
        x = layers.Concatenate()([inputs, x])
        x = layers.Flatten()(x)
        outputs = layers.Dense(10, activation="softmax")(x)
        network = keras.Model(inputs, outputs)
    network.set_weights(load_weights(folder))
    network.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    network.fit(x_train, y_train, epochs=epochs, validation_data=(x_valid, y_valid))


def pytorch(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with a plain eager PyTorch loop over tensors held in memory."""
    import torch
    from torch import nn

    (x_train, y_train), (x_valid, y_valid) = (
        (torch.from_numpy(x), torch.from_numpy(y).long()) for x, y in load_digits(folder)
    )
    network = torch_network(model)
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), load_weights(folder)):
            parameter.copy_(torch.from_numpy(array.T))  # PyTorch's kernels stand the other way round
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    cross_entropy = nn.CrossEntropyLoss()

    clock.start()
    for _ in range(epochs):
        network.train()
        loss_sum, correct = 0.0, 0
        for batch in torch.randperm(len(x_train)).split(BATCH_SIZE):
            x, y = x_train[batch], y_train[batch]
            logits = network(x)
            loss = cross_entropy(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(y)
            correct += (logits.argmax(dim=1) == y).sum().item()

        network.eval()
        valid_loss_sum, valid_correct = 0.0, 0
        with torch.no_grad():
            for x, y in zip(x_valid.split(BATCH_SIZE), y_valid.split(BATCH_SIZE)):
                logits = network(x)
                valid_loss_sum += cross_entropy(logits, y).item() * len(y)
                valid_correct += (logits.argmax(dim=1) == y).sum().item()

        clock.validated(
            {
                "loss": loss_sum / len(x_train),
                "accuracy": correct / len(x_train),
                "val_loss": valid_loss_sum / len(x_valid),
                "val_accuracy": valid_correct / len(x_valid),
            }
        )
        clock.over()


def torch_network(model: str) -> "nn.Module":
    """Build the model in PyTorch, down to the logits."""
    import torch
    from torch import nn

    class WideDeep(nn.Module):
        def __init__(self) -> None:
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

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(torch.cat([x, self.deep(x)], dim=2).flatten(1))

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


def numpy(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the same mathematics by hand: the floor, below which a framework can hardly get."""
    (x_train, y_train), (x_valid, y_valid) = load_digits(folder)
    weights = load_weights(folder)
    bypass = model == "wide_deep"

    clock.start()
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(x_train))
        loss_sum, correct = 0.0, 0
        for start in range(0, len(x_train), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            batch_loss, batch_correct = numpy_step(x_train[batch], y_train[batch], weights, bypass)
            loss_sum, correct = loss_sum + batch_loss, correct + batch_correct

        valid_loss_sum, valid_correct = 0.0, 0
        for start in range(0, len(x_valid), BATCH_SIZE):
            y = y_valid[start : start + BATCH_SIZE]
            log_probabilities = numpy_forward(x_valid[start : start + BATCH_SIZE], weights, bypass)[-1]
            valid_loss_sum -= float(log_probabilities[np.arange(len(y)), y].sum())
            valid_correct += np.count_nonzero(log_probabilities.argmax(axis=1) == y)

        clock.validated(
            {
                "loss": loss_sum / len(x_train),
                "accuracy": correct / len(x_train),
                "val_loss": valid_loss_sum / len(x_valid),
                "val_accuracy": valid_correct / len(x_valid),
            }
        )
        clock.over()


def numpy_forward(x: np.ndarray, weights: Weights, bypass: bool) -> list[np.ndarray]:
    """Return what each layer takes in, and the logarithms of the probabilities that come out last.

    ``weights`` are kernel, bias, kernel, bias, ... as Keras's ``get_weights`` returns them. With ``bypass`` the last layer
    takes in the image beside what the hidden layers made of it.
    """
    values = [x.reshape(len(x), -1)]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
        values.append(np.maximum(values[-1] @ kernel + bias, 0))
    if bypass:
        values[-1] = np.concatenate([x, values[-1].reshape(x.shape)], axis=2).reshape(len(x), -1)
    logits = values[-1] @ weights[-2] + weights[-1]
    logits -= logits.max(axis=1, keepdims=True)
    return [*values, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))]


def numpy_step(
    x: np.ndarray, y: np.ndarray, weights: Weights, bypass: bool, learning_rate: float = LEARNING_RATE
) -> tuple[float, int]:
    """Take one step of SGD, which changes ``weights`` in place; return the sum of the losses and the count of hits."""
    *values, log_probabilities = numpy_forward(x, weights, bypass)
    rows = np.arange(len(y))
    error = np.exp(log_probabilities)
    error[rows, y] -= 1
    error /= len(y)

    for layer in reversed(range(len(values))):
        kernel, bias = weights[2 * layer], weights[2 * layer + 1]
        if layer > 0:  # before the kernel changes
            below = error @ kernel.T
            below *= values[layer] > 0
            if bypass and layer == len(values) - 1:
                below = below.reshape(len(x), 28, 56)[:, :, 28:].reshape(len(x), 784)
        # The small matrix is scaled, not the large gradient.
        error *= learning_rate
        kernel -= values[layer].T @ error
        bias -= error.sum(axis=0)
        if layer > 0:
            error = below

    hits = np.count_nonzero(log_probabilities.argmax(axis=1) == y)
    return -float(log_probabilities[rows, y].sum()), hits


# The library that each peer needs, by the name that it is imported by, and how it trains.
PEERS: dict[str, tuple[str, Callable[[str, Path, int, Clock], None]]] = {
    "package": ("tensorflow", package),
    "article": ("tensorflow", article),
    "pytorch": ("torch", pytorch),
    "keras_jax": ("jax", article),
    "numpy": ("numpy", numpy),
}


def load_digits(folder: Path) -> tuple[Digits, Digits]:
    """Read and scale the digits to train and to validate on: the first twelfth, as the article has it."""
    with np.load(folder / "digits.npz") as file:
        x, y = file["x_train"], file["y_train"]
    x = np.divide(x, np.float32(255), dtype=np.float32)
    size = len(x) // 12
    return (x[size:], y[size:]), (x[:size], y[:size])


def load_weights(folder: Path) -> Weights:
    """Read the weights that all peers start from."""
    with np.load(folder / "weights.npz") as file:
        return [file[f"arr_{index}"] for index in range(len(file.files))]
