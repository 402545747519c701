"""Compare the package's training with what a user would choose instead, on one machine, in one run.

    python -m pip install -e ".[bench]"
    python benchmarks/speed.py --data mnist.npz --json speed.json

All peers train at the same time, each in its own process, but take turns of one epoch, so that whatever else the machine
does slows all of them alike. They train the Sequential model on all digits; the wide and deep model, whose steps take much
longer, on ``--steps`` batches. If a peer's loss after the first epoch is more than 3 % from the package's, it learns
something else: the benchmark stops with exit code 1 before it times anything. The seconds of an epoch include validation
and, for the package, saving the model; the medians leave out the first epoch, which traces and compiles.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from peers import BATCH_SIZE, PEERS, SEED
from tabulate import tabulate

from keras_model_wars.checks import InputError, import_keras
from keras_model_wars.mnist import load_mnist

MODELS = ("sequential", "wide_deep")
TOLERANCE = 0.03
# Model, quantity, peer, bound: the package's speed or peak memory as a multiple of the peer's.
TARGETS = (
    ("sequential", "speed", "article", "at least", 2.3),
    ("sequential", "speed", "pytorch", "at least", 1.0),
    ("sequential", "peak memory", "article", "at most", 1.3),
    ("wide_deep", "speed", "article", "at least", 1.0),
    ("wide_deep", "speed", "pytorch", "at least", 1.3),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write; exit with status 1 if a peer fails or learns something else, with 2 for bad options."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], usage=argparse.SUPPRESS
    )  # errors in one line
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="an mnist.npz as Keras lays it out (default: as for `train`)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=9,
        metavar="N",
        help="epochs after the first (default: 9)",
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=MODELS,
        default=MODELS,
        help="which models (default: both)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=300,
        metavar="N",
        help="per epoch of wide_deep (default: 300)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all measurements there"
    )
    options = parser.parse_args(arguments)
    if min(options.rounds, options.steps) < 1:
        parser.error(
            f"--rounds and --steps should be above zero. Received: {options.rounds} and {options.steps}"
        )
    if (
        options.json and not options.json.parent.is_dir()
    ):  # found out now, not after the measurements
        parser.error(
            f"--json should name a file in an existing folder. Received: {options.json}"
        )
    try:
        mnist = load_mnist(options.data)
    except InputError as error:
        parser.error(str(error))

    os.environ["KERAS_BACKEND"] = "tensorflow"  # for all but the peer on JAX
    left_out = {
        peer: library
        for peer, (library, _) in PEERS.items()
        if not importlib.util.find_spec(library)
    }
    peers = [peer for peer in PEERS if peer not in left_out]
    digits, measurements = {}, {}
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            digits[model] = prepare(model, Path(folder), mnist, options.steps)
            measurements[model] = measure(model, peers, Path(folder), options.rounds)

    results = {
        model: {peer: medians(m) for peer, m in of_peers.items()}
        for model, of_peers in measurements.items()
    }
    report = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": machine(),
        "rounds": options.rounds,
    }
    report |= {
        "digits": digits,
        "left_out": left_out,
        "results": results,
        "targets": compare(results),
    }
    print(markdown(report))
    if options.json:
        text = json.dumps(report | {"measurements": measurements}, indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")


def prepare(model: str, folder: Path, mnist: Any, steps: int) -> tuple[int, int]:
    """Write the digits and the first weights for all peers; return how many digits train and how many validate."""
    (x_train, y_train), (x_test, y_test) = mnist
    if model == "wide_deep":
        count = (
            steps * BATCH_SIZE * 12 // 11
        )  # one in twelve validates, so eleven in twelve make the steps
        x_train, y_train = x_train[:count], y_train[:count]
    np.savez(
        folder / "digits.npz",
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
    )

    import_keras()
    import keras

    from keras_model_wars import models

    keras.utils.set_random_seed(SEED)  # as `train` does
    np.savez(folder / "weights.npz", *getattr(models, f"build_{model}")().get_weights())
    return len(x_train) - len(x_train) // 12, len(x_train) // 12


def measure(
    model: str, peers: list[str], folder: Path, rounds: int
) -> dict[str, dict[str, Any]]:
    """Train all peers in turns of one epoch, and return what each of them reported."""
    with ExitStack() as stack:
        next_report, measured = {}, {}
        for peer in peers:
            started = time.perf_counter()
            next_report[peer] = start_training(peer, model, folder, 1 + rounds, stack)
            epoch = next_report[peer]()
            start_seconds = time.perf_counter() - started - epoch["epoch_seconds"]
            measured[peer] = {"start_seconds": start_seconds, "epochs": [epoch]}
            loss, expected = (
                measured[one]["epochs"][0]["logs"]["loss"] for one in (peer, peers[0])
            )
            print(f"{model}, first epoch, {peer}: loss {loss:.4f}", file=sys.stderr)
            if not abs(loss - expected) <= TOLERANCE * expected:  # NaN fails, too
                within = f"the loss of its first epoch should be within {TOLERANCE:.0%} of {expected:.4f}"
                sys.exit(
                    f"{peer} does not learn what {peers[0]} does: on {model}, {within}. Received: {loss:.4f}."
                )
        for turn in range(1, rounds + 1):
            for peer in peers:
                measured[peer]["epochs"].append(next_report[peer]())
            seconds = ", ".join(
                f"{peer} {measured[peer]['epochs'][-1]['epoch_seconds']:.2f}"
                for peer in peers
            )
            print(
                f"{model}, round {turn} of {rounds}, seconds: {seconds}",
                file=sys.stderr,
            )
        return {peer: measured[peer] | next_report[peer]() for peer in peers}


def start_training(
    peer: str, model: str, folder: Path, epochs: int, stack: ExitStack
) -> Callable[[], dict[str, Any]]:
    """Start a training in its own process; each call of the returned function lets it continue to its next report."""
    program = [
        sys.executable,
        Path(__file__).with_name("peers.py"),
        peer,
        model,
        folder,
        str(epochs),
    ]
    environment = os.environ | {
        "KERAS_BACKEND": "jax" if peer == "keras_jax" else "tensorflow"
    }
    errors = stack.enter_context(
        (folder / f"{peer}.stderr").open("w+", encoding="utf-8", errors="replace")
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors}
    process = subprocess.Popen(program, env=environment, encoding="utf-8", **pipes)
    stack.callback(process.communicate)
    stack.callback(process.kill)  # called first

    def next_report() -> dict[str, Any]:
        with suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.flush()
        if line := process.stdout.readline():
            return json.loads(line)
        status = process.wait()
        errors.seek(0)
        sys.exit(
            f"{peer} on {model} failed with exit code {status}:\n{errors.read()[-4000:]}"
        )

    return next_report


def medians(measured: dict[str, Any]) -> dict[str, float]:
    """Return the median epoch after the first, and what stands beside it in the table."""
    first, *later = measured["epochs"]
    return {
        "epoch_seconds": median(epoch["epoch_seconds"] for epoch in later),
        "start_seconds": measured["start_seconds"],
        "peak_memory_mib": measured["peak_memory_mib"],
        "first_loss": first["logs"]["loss"],
        "last_loss": later[-1]["logs"]["loss"],
    }


def compare(results: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return a sentence for each target whose model and peer were measured."""
    sentences = []
    for model, quantity, peer, bound, target in TARGETS:
        if peer in results.get(model, {}):
            ours, theirs = results[model]["package"], results[model][peer]
            speed = theirs["epoch_seconds"] / ours["epoch_seconds"]
            ratio = (
                speed
                if quantity == "speed"
                else ours["peak_memory_mib"] / theirs["peak_memory_mib"]
            )
            met = (
                "met"
                if (ratio >= target if bound == "at least" else ratio <= target)
                else "missed"
            )
            sentences.append(
                f"{model}: {ratio:.2f} times the {quantity} of {peer} (target: {bound} {target}): {met}"
            )
    return sentences


def machine() -> dict[str, Any]:
    """Describe the machine and the versions that matter for speed."""
    libraries = [
        name
        for name in ("keras", "tensorflow", "torch", "jax", "numpy")
        if importlib.util.find_spec(name)
    ]
    cpuinfo = Path(
        "/proc/cpuinfo"
    )  # Python's own answer is often only the architecture
    model = re.search(
        r"model name\s*: (.*)",
        cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else "",
    )
    return {
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "processor": model[1] if model else platform.processor(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in libraries},
    }


def markdown(report: dict[str, Any]) -> str:
    """Write the machine, the table of medians and the targets as Markdown."""
    about = report["machine"]
    versions = ", ".join(
        f"{name} {number}" for name, number in about["versions"].items()
    )
    facts = [
        f"{about['cores']} cores, {about['processor']}, {about['system']}",
        versions,
        f"`{report['command']}`",
    ]
    for model, (train, validation) in report["digits"].items():
        facts.append(
            f"{model}: {train:,} training and {validation:,} validation digits"
        )
    facts += [
        f"left out: {peer}, because {library} is not installed"
        for peer, library in report["left_out"].items()
    ]
    rows = [
        {
            "model": model,
            "peer": peer,
            "s per epoch": f"{result['epoch_seconds']:.2f}",
            "relative": f"{result['epoch_seconds'] / results['package']['epoch_seconds']:.2f}",
            "start, s": f"{result['start_seconds']:.1f}",
            "peak memory, MiB": f"{result['peak_memory_mib']:.0f}",
            "loss, epoch 1": f"{result['first_loss']:.4f}",
            f"epoch {1 + report['rounds']}": f"{result['last_loss']:.4f}",
        }
        for model, results in report["results"].items()
        for peer, result in results.items()
    ]
    table = tabulate(
        rows,
        "keys",
        "pipe",
        disable_numparse=True,
        colalign=["left"] * 2 + ["right"] * 6,
    )
    return "\n".join(
        [
            *(f"* {fact}" for fact in facts),
            "",
            table,
            "",
            *(f"* {line}" for line in report["targets"]),
        ]
    )


if __name__ == "__main__":
    main()
