"""Compare the package's training with what a user would choose instead.

    python -m pip install -e ".[bench]"
    python benchmarks/speed.py --data mnist.npz --csv benchmarks/results/peers.csv

All peers train at the same time, each in its own process, but take turns of one epoch,
so that whatever else the machine does slows all of them alike. They train the
Sequential model on all images, and the wide and deep model, whose steps take much
longer, on ``--steps`` batches. The seconds of an epoch include validation and, for the
package, saving the model; the medians leave out the first epoch, which traces and
compiles. Stops before it times anything if a peer learns something else.
"""

# Each peer's process imports this file: what takes memory is imported where it is used.
import importlib.util
import multiprocessing
import os
import platform
import re
import shlex
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import BATCH_SIZE, PEERS, SEED, run_peer

MODELS = ("sequential", "wide_deep")
# What not every machine has.
LIBRARIES = {"pytorch": "torch", "keras_jax": "jax"}
TOLERANCE = 0.03


def main(
    data: Path | None = None,
    rounds: int = 9,
    steps: int = 300,
    only: str | None = None,
    csv: Path | None = None,
) -> None:
    """Train all peers, and print the machine and a table of medians as Markdown.

    DATA is an mnist.npz file in Keras's format. ROUNDS are the epochs after the first.
    STEPS are wide_deep's batches per epoch. ONLY is the one model to train. All
    measurements are written to CSV.
    """
    import pandas as pd

    peers = []
    for peer in PEERS:
        library = LIBRARIES.get(peer)
        if library is None or importlib.util.find_spec(library):
            peers.append(peer)
        else:
            print(f"* left out: {peer}, because {library} is not installed")

    rows = []
    for model in [only] if only else MODELS:
        with tempfile.TemporaryDirectory() as folder:
            prepare(model, Path(folder), data, steps)
            rows += measure(model, peers, Path(folder), rounds)
    measurements = pd.DataFrame(rows)
    if csv:
        measurements.to_csv(csv, index=False, float_format="%.6g")
    print(*machine(), "", table(measurements), sep="\n")


def prepare(model: str, folder: Path, data: Path | None, steps: int) -> None:
    """Write the images and the first weights for all peers."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    import keras_model_wars as kmw

    (x_train, y_train), (x_test, y_test) = kmw.load_mnist(data)
    # One in twelve validates, so eleven in twelve make the steps.
    count = steps * BATCH_SIZE * 12 // 11 if model == "wide_deep" else len(x_train)
    np.savez(
        folder / "mnist.npz",
        x_train=x_train[:count],
        y_train=y_train[:count],
        x_test=x_test,
        y_test=y_test,
    )
    keras.utils.set_random_seed(SEED)  # as `train` does
    network = getattr(kmw, f"build_{model}")()
    np.savez(folder / "weights.npz", *network.get_weights())


def measure(
    model: str, peers: list[str], folder: Path, rounds: int
) -> list[dict[str, Any]]:
    """Train all peers in turns of one epoch; return one row per peer and epoch."""
    # A forked process would share what this one holds of Keras.
    context = multiprocessing.get_context("spawn")
    connections = {}
    processes = []
    for peer in peers:
        connections[peer], connection = context.Pipe()
        process = context.Process(
            target=run_peer,
            args=(peer, model, folder, 1 + rounds, connection),
            daemon=True,
        )
        process.start()
        connection.close()  # leaves it to the process, whose end then ends it
        processes.append(process)

    rows = []
    for epoch in range(1, rounds + 2):
        for peer, connection in connections.items():
            try:
                connection.send("your turn")
                report = connection.recv()
            except (EOFError, OSError):
                sys.exit(f"{peer} failed on {model}; its error stands above.")
            print(f"{model} {epoch} {peer} {report['seconds']:.2f}", file=sys.stderr)
            rows.append({"model": model, "peer": peer, "epoch": epoch} | report)
        if epoch == 1:
            check_losses(rows)
    for process in processes:
        process.kill()
    return rows


def check_losses(rows: list[dict[str, Any]]) -> None:
    """Exit if a peer's loss after one epoch is far from the first peer's."""
    expected = rows[0]["loss"]
    for row in rows:
        # NaN is close to nothing.
        if not abs(row["loss"] - expected) <= TOLERANCE * expected:
            sys.exit(
                f"{row['peer']} does not learn what {rows[0]['peer']} does: the loss of "
                f"its first epoch on {row['model']} should be within {TOLERANCE:.0%} of "
                f"{expected:.4f}. Received: {row['loss']:.4f}."
            )


def table(measurements: Any) -> str:
    """Return the medians and the losses as a Markdown table, one row per peer."""
    import pandas as pd

    keys = ["model", "peer"]
    by_peer = measurements.groupby(keys, sort=False)
    later = measurements[measurements["epoch"] > 1].groupby(keys, sort=False)
    seconds = later["seconds"].median()
    columns = {
        "s per epoch": seconds,
        "relative": seconds / seconds.groupby("model").transform("first"),
        "peak memory, MiB": by_peer["peak_memory_mib"].max().round(),
        "loss, epoch 1": by_peer["loss"].first(),
        f"epoch {measurements['epoch'].max()}": by_peer["loss"].last(),
    }
    formats = ("", "", ".2f", ".2f", ".0f", ".4f", ".4f")
    rows = pd.DataFrame(columns).reset_index()
    return rows.to_markdown(index=False, floatfmt=formats)


def machine() -> list[str]:
    """Describe the machine, the versions that matter for speed, and the command."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = re.findall(r"model name\s*: (.*)", cpu_info) or [platform.machine()]
    cores = len(os.sched_getaffinity(0))
    versions = [f"python {platform.python_version()}"]
    for library in ("keras", "tensorflow", "torch", "jax", "numpy"):
        if importlib.util.find_spec(library):
            versions.append(f"{library} {version(library)}")
    return [
        f"* {cores} cores, {names[0]}, {platform.system()}",
        f"* {', '.join(versions)}",
        f"* `{shlex.join(['python', *sys.argv])}`",
    ]


if __name__ == "__main__":
    import typer

    typer.run(main)
