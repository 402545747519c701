"""How the package and each of its peers trains a model of the first article.

All use plain SGD with a learning rate of 0.01 and batches of 32, start from the same weights, reshuffle the digits in each
epoch, validate after it and report the same four metrics. ``speed.py`` runs ``python peers.py PEER MODEL FOLDER EPOCHS``
for each, with the digits and the first weights in FOLDER. That prints one line of JSON per epoch and one with the peak
memory at the end, and waits for a line on standard input before each.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from clock import Clock, peak_memory, watch_fit

BATCH_SIZE = 32
LEARNING_RATE = 0.01
SEED = 0

Digits = tuple[np.ndarray, np.ndarray]
Weights = list[np.ndarray]


def package(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the package's command and its defaults, which also saves, draws and tests the model."""
    watch_fit(clock)
    from keras_model_wars.cli import app

    # With this seed it starts from the weights that the others read.
    options = [
        "--data",
        folder / "digits.npz",
        "--epochs",
        epochs,
        "--seed",
        SEED,
        "--out",
        folder / "run",
    ]
    app(["train", model, *map(str, options)], standalone_mode=False)


def article(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the article's own lines, ``compile`` and ``fit``, on the backend that KERAS_BACKEND names."""
    from keras_model_wars import models

    watch_fit(clock)
    (x_train, y_train), validation = load_digits(folder)
    network = getattr(models, f"build_{model}")()
    network.set_weights(load_weights(folder))
    network.compile(
        loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"]
    )
    network.fit(x_train, y_train, epochs=epochs, validation_data=validation)


def pytorch(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with a plain eager PyTorch loop over tensors held in memory."""
    import torch
    from torch import nn

    digits = [
        (torch.from_numpy(x), torch.from_numpy(y).long())
        for x, y in load_digits(folder)
    ]
    network = torch_network(model)
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), load_weights(folder)):
            parameter.copy_(
                torch.from_numpy(array.T)
            )  # PyTorch's kernels are Keras's, transposed
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    cross_entropy = nn.CrossEntropyLoss()

    def step(x: torch.Tensor, y: torch.Tensor) -> tuple[float, int]:
        logits = network(x)
        loss = cross_entropy(logits, y)
        if torch.is_grad_enabled():
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item() * len(y), (logits.argmax(dim=1) == y).sum().item()

    run_loop(
        digits,
        epochs,
        clock,
        shuffle=torch.randperm,
        step=step,
        validate=torch.no_grad()(step),
    )


def torch_network(model: str) -> Any:
    """Build the model in PyTorch, up to the logits."""
    import torch
    from torch import nn

    def dense(*widths: int) -> list[nn.Module]:
        return [
            layer
            for pair in zip(widths, widths[1:])
            for layer in (nn.Linear(*pair), nn.ReLU())
        ]

    class WideDeep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = nn.Sequential(
                nn.Flatten(), *dense(784, 2**14, 512, 784), nn.Unflatten(1, (28, 28))
            )
            self.output = nn.Linear(2 * 784, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(torch.cat([x, self.deep(x)], dim=2).flatten(1))

    if model == "wide_deep":
        return WideDeep()
    return nn.Sequential(nn.Flatten(), *dense(784, 256, 128), nn.Linear(128, 10))


def numpy(model: str, folder: Path, epochs: int, clock: Clock) -> None:
    """Train with the same mathematics written by hand: about the least that a framework can take."""
    weights, bypass = load_weights(folder), model == "wide_deep"
    shuffle = np.random.default_rng(SEED).permutation
    step = partial(numpy_step, weights=weights, bypass=bypass)

    def validate(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
        return numpy_score(numpy_forward(x, weights, bypass)[-1], y)

    run_loop(load_digits(folder), epochs, clock, shuffle, step, validate)


def numpy_forward(x: np.ndarray, weights: Weights, bypass: bool) -> list[np.ndarray]:
    """Return the input of each layer, and last the logarithms of the probabilities.

    ``weights`` are kernel, bias, kernel, bias, ... as Keras's ``get_weights`` returns them. With ``bypass``, the last layer
    takes the image beside what the hidden layers made of it.
    """
    values = [x.reshape(len(x), -1)]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
        values.append(np.maximum(values[-1] @ kernel + bias, 0))
    if bypass:
        values[-1] = np.concatenate([x, values[-1].reshape(x.shape)], axis=2).reshape(
            len(x), -1
        )
    logits = values[-1] @ weights[-2] + weights[-1]
    logits -= logits.max(axis=1, keepdims=True)
    return [*values, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))]


def numpy_step(
    x: np.ndarray,
    y: np.ndarray,
    weights: Weights,
    bypass: bool,
    learning_rate: float = LEARNING_RATE,
) -> tuple[float, int]:
    """Take one step of SGD in place; return the sum of the losses and the number of right answers."""
    *values, log_probabilities = numpy_forward(x, weights, bypass)
    error = np.exp(log_probabilities)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    for layer in reversed(range(len(values))):
        kernel, bias = weights[2 * layer : 2 * layer + 2]
        if layer > 0:  # before the kernel changes
            below = error @ kernel.T
            below *= values[layer] > 0
            if bypass and layer == len(values) - 1:
                below = below.reshape(len(x), 28, 56)[:, :, 28:].reshape(len(x), 784)
        # Scale the small matrix, not the large gradient.
        error *= learning_rate
        kernel -= values[layer].T @ error
        bias -= error.sum(axis=0)
        if layer > 0:
            error = below
    return numpy_score(log_probabilities, y)


def numpy_score(log_probabilities: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Return the sum of the losses and the number of right answers."""
    return -log_probabilities[np.arange(len(y)), y].sum(), (
        log_probabilities.argmax(axis=1) == y
    ).sum()


def run_loop(
    digits: Any,
    epochs: int,
    clock: Clock,
    shuffle: Callable,
    step: Callable,
    validate: Callable,
) -> None:
    """Run the loop that PyTorch and NumPy leave to their users; ``step`` and ``validate`` take one batch."""
    (x_train, y_train), (x_valid, y_valid) = digits
    clock.start()
    for _ in range(epochs):
        order = shuffle(len(x_train))
        batches = [
            order[start : start + BATCH_SIZE]
            for start in range(0, len(x_train), BATCH_SIZE)
        ]
        loss, accuracy = np.sum(
            [step(x_train[b], y_train[b]) for b in batches], axis=0
        ) / len(x_train)
        batches = [
            slice(start, start + BATCH_SIZE)
            for start in range(0, len(x_valid), BATCH_SIZE)
        ]
        val_loss, val_accuracy = np.sum(
            [validate(x_valid[b], y_valid[b]) for b in batches], axis=0
        ) / len(x_valid)
        clock.epoch_done(
            {
                "loss": loss,
                "accuracy": accuracy,
                "val_loss": val_loss,
                "val_accuracy": val_accuracy,
            }
        )


def load_digits(folder: Path) -> tuple[Digits, Digits]:
    """Read and scale the digits to train and to validate on; the first twelfth validates, as in the article."""
    with np.load(folder / "digits.npz") as file:
        x, y = file["x_train"], file["y_train"]
    x = np.divide(x, np.float32(255), dtype=np.float32)
    size = len(x) // 12
    return (x[size:], y[size:]), (x[:size], y[:size])


def load_weights(folder: Path) -> Weights:
    """Read the weights that all peers start from."""
    with np.load(folder / "weights.npz") as file:
        return [file[f"arr_{index}"] for index in range(len(file.files))]


# The library that each peer imports, and how it trains.
PEERS: dict[str, tuple[str, Callable[[str, Path, int, Clock], None]]] = {
    "package": ("tensorflow", package),
    "article": ("tensorflow", article),
    "pytorch": ("torch", pytorch),
    "keras_jax": ("jax", article),
    "numpy": ("numpy", numpy),
}

if __name__ == "__main__":
    peer, model_name, data_folder, number_of_epochs = sys.argv[1:]
    lines_out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), 1
    )  # keeps progress bars and summaries out of the lines of JSON
    the_clock = Clock(sys.stdin, lines_out)
    PEERS[peer][1](model_name, Path(data_folder), int(number_of_epochs), the_clock)
    the_clock.report(peak_memory_mib=peak_memory())
