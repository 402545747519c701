"""Measure the package's ``train`` beside what a user would pick instead, on one machine, in one run.

    python -m pip install -e ".[bench]"
    python benchmarks/speed.py --data mnist.npz --json speed.json

The peers take turns, several rounds of them, each in a process of its own: Keras can't change its backend in a running
process, and none shall pay for another's memory. They train the Sequential model on all the digits, and the wide and
deep one, whose step takes far longer, on as many as ``--steps`` batches hold. All start from the same weights, so
after the first epoch their losses must agree; if one differs by more than 3 %, it learns something else, and the
benchmark ends with exit code 1. Prints a table of medians, the targets, and all of it as JSON.

An epoch's seconds hold the validation and whatever the peer does before the next epoch starts: for the package, saving a
backup. What the first epoch takes beyond the later ones is the warm-up: tracing, compiling, moving the digits.
"""

import argparse
import importlib.util
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from peers import BATCH_SIZE, PEERS, SEED
from tabulate import tabulate

MODELS = ("sequential", "wide_deep")
TOLERANCE = 0.03


class Target(NamedTuple):
    """How the package should compare with a peer: the ratio, and whether it should be at least or at most that."""

    model: str
    peer: str
    quantity: str
    bound: str
    ratio: float


TARGETS = (
    Target("sequential", "article", "speed", "at least", 2.0),
    Target("sequential", "pytorch", "speed", "at least", 1.0),
    Target("sequential", "article", "peak memory", "at most", 1.3),
    Target("wide_deep", "article", "speed", "at least", 1.0),
    Target("wide_deep", "pytorch", "speed", "at least", 1.3),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, check and print; return the exit code."""
    options = parse(arguments)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the package's; the peer on JAX gets its own
    peers, left_out = available_peers()
    rounds: dict[str, dict[str, list[dict[str, Any]]]] = {}
    digits: dict[str, tuple[int, int]] = {}
    for model in options.models:
        rounds[model] = {peer: [] for peer in peers}
        with tempfile.TemporaryDirectory() as folder:
            digits[model] = prepare(model, Path(folder), options.data, options.steps)
            for number in range(1, options.rounds + 1):
                for peer in peers:
                    measured = measure(peer, model, Path(folder), options.epochs)
                    rounds[model][peer].append(measured)
                    print(
                        f"{model}, round {number} of {options.rounds}, {peer}: {steady_state(measured):.3f} s an epoch, "
                        f"{measured['peak_memory_mib']:.0f} MiB, loss {first_loss(measured):.4f}",
                        file=sys.stderr,
                    )
                # After the first round already, so that no time is spent on measuring what can't be compared.
                deviating = deviations({peer: first_loss(rounds[model][peer][-1]) for peer in peers})
                if deviating:
                    print(f"{model}: the peers don't learn the same. " + " ".join(deviating), file=sys.stderr)
                    return 1

    results = {model: {peer: medians(rounds[model][peer]) for peer in peers} for model in options.models}
    report = {
        "command": shlex.join(["python", *(sys.argv if arguments is None else [sys.argv[0], *arguments])]),
        "machine": machine(),
        "rounds": options.rounds,
        "epochs": options.epochs,
        "digits": digits,
        "left_out": left_out,
        "results": results,
        "targets": compare(results),
        "measurements": rounds,
    }
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    else:
        print(f"\n```json\n{json.dumps(report, indent=2)}\n```")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""

    def number(text: str, least: int) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"should be {least} or more. Received: {value}")
        return value

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="an mnist.npz as Keras lays it out; by default as for `train`")
    parser.add_argument(
        "--rounds", type=lambda text: number(text, 1), default=3, metavar="N", help="turns of each peer (3)"
    )
    parser.add_argument(
        "--epochs",
        type=lambda text: number(text, 2),
        default=3,
        metavar="N",
        help="of one training; the first one warms up (3)",
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which to train (both)")
    parser.add_argument(
        "--steps", type=lambda text: number(text, 1), default=300, metavar="N", help="in an epoch of wide_deep (300)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there instead of printing it")
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():  # found out now, not after the measurements
        parser.error(f"--json should name a file in a folder that exists. Received: {options.json}")
    return options


def available_peers() -> tuple[list[str], dict[str, str]]:
    """Return the peers whose library is installed, and those left out with the library that they miss."""
    left_out = {peer: library for peer, (library, _) in PEERS.items() if importlib.util.find_spec(library) is None}
    return [peer for peer in PEERS if peer not in left_out], left_out


def prepare(model: str, folder: Path, data: str | None, steps: int) -> tuple[int, int]:
    """Write the digits and the first weights for all peers; return how many digits there are to train and validate on."""
    import keras_model_wars

    (x_train, y_train), (x_test, y_test) = keras_model_wars.load_mnist(data)
    if model == "wide_deep":
        # One in twelve is there to validate, so eleven in twelve make the steps.
        digits = steps * BATCH_SIZE
        x_train, y_train = x_train[: digits + digits // 11], y_train[: digits + digits // 11]
    np.savez(folder / "digits.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)

    build = getattr(keras_model_wars, keras_model_wars.EXPERIMENTS[model].builder)  # imports Keras
    import keras

    # What `train` does with this seed: Keras draws Glorot-uniform kernels, and the biases are zero.
    keras.utils.set_random_seed(SEED)
    np.savez(folder / "weights.npz", *build().get_weights())
    return len(x_train) - len(x_train) // 12, len(x_train) // 12


def measure(peer: str, model: str, folder: Path, epochs: int) -> dict[str, Any]:
    """Train once as that peer, in a process of its own."""
    backend = "jax" if peer == "keras_jax" else "tensorflow"
    start = time.perf_counter()
    process = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("peers.py")), peer, model, str(folder), str(epochs)],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if process.returncode != 0:
        raise SystemExit(f"{peer} failed on {model} with exit code {process.returncode}:\n{process.stderr[-4000:]}")
    measured = json.loads(process.stdout.splitlines()[-1])
    return measured | {"process_seconds": time.perf_counter() - start}


def first_loss(measured: dict[str, Any]) -> float:
    """Return the training loss of the first epoch."""
    return measured["logs"][0]["loss"]


def steady_state(measured: dict[str, Any]) -> float:
    """Return the seconds of an epoch once all is warm: the median of those after the first."""
    return median(measured["epoch_seconds"][1:])


def deviations(losses: dict[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """Return a sentence for each peer whose loss is farther from the package's than the tolerance, as a fraction."""
    expected = losses["package"]
    return [
        f"{peer}: the loss of the first epoch should be within {tolerance:.0%} of the package's {expected:.4f}. "
        f"Received: {loss:.4f}."
        for peer, loss in losses.items()
        if not abs(loss - expected) <= tolerance * expected  # so that NaN deviates, too
    ]


def medians(measurements: list[dict[str, Any]]) -> dict[str, float]:
    """Return the medians of one peer's rounds."""
    return {
        "epoch_seconds": median(steady_state(measured) for measured in measurements),
        "saving_seconds": median(median(measured["saving_seconds"][1:]) for measured in measurements),
        "warm_up_seconds": median(measured["epoch_seconds"][0] - steady_state(measured) for measured in measurements),
        "process_seconds": median(measured["process_seconds"] for measured in measurements),
        "peak_memory_mib": median(measured["peak_memory_mib"] for measured in measurements),
        "first_loss": median(first_loss(measured) for measured in measurements),
    }


def compare(results: dict[str, dict[str, dict[str, float]]]) -> list[dict[str, Any]]:
    """Hold the results against the targets, as far as both sides were measured."""
    compared = []
    for target in TARGETS:
        if target.peer not in results.get(target.model, {}):
            continue
        ours, theirs = results[target.model]["package"], results[target.model][target.peer]
        if target.quantity == "speed":
            ratio = theirs["epoch_seconds"] / ours["epoch_seconds"]
        else:
            ratio = ours["peak_memory_mib"] / theirs["peak_memory_mib"]
        met = ratio >= target.ratio if target.bound == "at least" else ratio <= target.ratio
        compared.append(target._asdict() | {"measured": ratio, "met": met})
    return compared


def machine() -> dict[str, Any]:
    """Name the machine and the versions, as far as they bear on the speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version()}
    for library in ("keras", "tensorflow", "torch", "jax", "numpy"):
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return {"system": platform.system(), "cores": cores, "processor": processor(), "versions": versions}


def processor() -> str:
    """Return the processor's model; Python's own answer is often only its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def markdown(report: dict[str, Any]) -> str:
    """Write the machine, the table of medians and the targets as Markdown."""
    about = report["machine"]
    lines = [
        f"{about['cores']} cores, {about['processor']}, {about['system']}; "
        + ", ".join(f"{name} {number}" for name, number in about["versions"].items()),
        "",
        f"`{report['command']}`",
        "",
    ]
    lines += [
        f"* {model}: {train:,} digits to train, {validation:,} to validate, {report['epochs']} epochs; medians of "
        f"{report['rounds']} round{'s' if report['rounds'] > 1 else ''}"
        for model, (train, validation) in report["digits"].items()
    ]
    lines += [f"* left out: {peer}, because {library} is not installed" for peer, library in report["left_out"].items()]

    rows = [
        {
            "model": model,
            "way": peer,
            "epoch, s": f"{result['epoch_seconds']:.2f}",
            "epoch / package's": f"{result['epoch_seconds'] / peers['package']['epoch_seconds']:.2f}",
            "saving in it, s": f"{result['saving_seconds']:.2f}",
            "warm-up, s": f"{result['warm_up_seconds']:.2f}",
            "whole process, s": f"{result['process_seconds']:.1f}",
            "peak memory, MiB": f"{result['peak_memory_mib']:.0f}",
            "memory / package's": f"{result['peak_memory_mib'] / peers['package']['peak_memory_mib']:.2f}",
            "loss of epoch 1": f"{result['first_loss']:.4f}",
        }
        for model, peers in report["results"].items()
        for peer, result in peers.items()
    ]
    alignment = ["left", "left"] + ["right"] * (len(rows[0]) - 2)
    lines += ["", tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True, colalign=alignment), ""]
    for target in report["targets"]:
        peer = {"article": "the article's way", "pytorch": "the PyTorch loop"}[target["peer"]]
        lines.append(
            f"* {target['model']}: {target['quantity']} {target['measured']:.2f} times that of {peer} "
            f"(target: {target['bound']} {target['ratio']}): {'met' if target['met'] else 'missed'}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
