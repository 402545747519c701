"""Measure the package's training beside what a user would pick instead, on one machine, in one run.

    python -m pip install -e ".[bench]"
    python benchmarks/speed.py --data mnist.npz --json speed.json

The peers train at once, each in a process of its own, but in turns of one epoch, so that whatever else the machine does
falls on all of them alike. They train the Sequential model on all the digits, and the wide and deep one, whose step takes
far longer, on as many as ``--steps`` batches hold. All start from the same weights, so after the first epoch their losses
must agree; if one differs by more than 3 %, it learns something else, and the benchmark ends with exit code 1 before
anything is timed. Prints a table of medians, the targets, and all of it as JSON.

With ``--settings`` it measures the package's training with one setting of Keras or TensorFlow changed each, instead of
the peers.

An epoch's seconds hold the validation and whatever the way does before its next epoch starts: for the package, saving a
backup. What the first epoch takes beyond the later ones is the warm-up: tracing, compiling, moving the digits. The start
is what comes before it: importing, reading the digits, building.
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
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from peers import BATCH_SIZE, PEERS, SEED
from settings import SETTINGS
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
    ways, left_out = available(SETTINGS if options.settings else PEERS)
    measurements: dict[str, dict[str, dict[str, Any]]] = {}
    digits: dict[str, tuple[int, int]] = {}
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as trainings:
            try:
                digits[model] = prepare(model, Path(folder), options.data, options.steps)
            except ValueError as error:  # no such digits
                print(f"error: {error}", file=sys.stderr)
                return 2
            running: dict[str, Training] = {}
            for way in ways:  # one starts when the one before it has done its first epoch, and waits
                running[way] = Training(way, model, Path(folder), 1 + options.rounds)
                trainings.callback(running[way].stop)
                running[way].wait_for_epoch()
                print(f"{model}, first epoch, {way}: loss {running[way].first_loss:.4f}", file=sys.stderr)
            deviating = deviations({way: running[way].first_loss for way in ways})
            if deviating:
                print(f"{model}: they don't learn the same. " + " ".join(deviating), file=sys.stderr)
                return 1
            for number in range(1, options.rounds + 1):
                for way in ways:
                    running[way].go_on()
                    running[way].wait_for_epoch()
                seconds = ", ".join(f"{way} {running[way].epochs[-1]['epoch_seconds']:.2f}" for way in ways)
                print(f"{model}, round {number} of {options.rounds}, seconds: {seconds}", file=sys.stderr)
            measurements[model] = {way: running[way].end() for way in ways}

    results = {model: {way: medians(measurements[model][way]) for way in ways} for model in options.models}
    report = {
        "command": shlex.join(["python", *(sys.argv if arguments is None else [sys.argv[0], *arguments])]),
        "machine": machine(),
        "rounds": options.rounds,
        "digits": digits,
        "left_out": left_out,
        "results": results,
        "targets": [] if options.settings else compare(results),
        "measurements": measurements,
    }
    print(markdown(report))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    else:
        print(f"\n```json\n{json.dumps(report, indent=2)}\n```")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"should be a whole number, 1 or more. Received: {text}")
        return int(text)

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FILE", help="an mnist.npz as Keras lays it out; by default as for `train`")
    parser.add_argument("--rounds", type=number, default=9, metavar="N", help="epochs of each after the first (9)")
    parser.add_argument("--settings", action="store_true", help="measure settings of the package's training, not peers")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which to train (both)")
    parser.add_argument("--steps", type=number, default=300, metavar="N", help="in an epoch of wide_deep (300)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there instead of printing it")
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():  # found out now, not after the measurements
        parser.error(f"--json should name a file in a folder that exists. Received: {options.json}")
    return options


def available(ways: dict[str, tuple[str, Any]]) -> tuple[list[str], dict[str, str]]:
    """Return the ways whose library is installed, and those left out with the library that they miss."""
    left_out = {way: library for way, (library, _) in ways.items() if importlib.util.find_spec(library) is None}
    return [way for way in ways if way not in left_out], left_out


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


class Training:
    """One training in a process of its own, which does an epoch when told to."""

    def __init__(self, way: str, model: str, folder: Path, epochs: int) -> None:
        self._name = f"{way} failed on {model}"
        self._errors = folder / f"{way}.stderr"
        self._started = time.perf_counter()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    str(Path(__file__).with_name("one_training.py")),
                    way,
                    model,
                    str(folder),
                    str(epochs),
                ],
                env=os.environ | {"KERAS_BACKEND": "jax" if way == "keras_jax" else "tensorflow"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )
        self.epochs: list[dict[str, Any]] = []

    def wait_for_epoch(self) -> None:
        """Wait until the epoch is over, and keep what it took."""
        self.epochs.append(self._listen())
        if len(self.epochs) == 1:
            self._start_seconds = time.perf_counter() - self._started - self.epochs[0]["epoch_seconds"]

    def go_on(self) -> None:
        """Let it go on with what comes next."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @property
    def first_loss(self) -> float:
        """The training loss of the first epoch."""
        return self.epochs[0]["logs"]["loss"]

    def end(self) -> dict[str, Any]:
        """Let it end, and return all that was measured."""
        self.go_on()
        return {"start_seconds": self._start_seconds, "epochs": self.epochs, **self._listen()}

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _listen(self) -> dict[str, Any]:
        if line := self._process.stdout.readline():
            return json.loads(line)
        status = self._process.wait()
        errors = self._errors.read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{self._name} with exit code {status}:\n{errors[-4000:]}")


def deviations(losses: dict[str, float], tolerance: float = TOLERANCE) -> list[str]:
    """Return a sentence for each way whose loss is farther from the package's than the tolerance, as a fraction."""
    expected = losses["package"]
    return [
        f"{way}: the loss of the first epoch should be within {tolerance:.0%} of the package's {expected:.4f}. "
        f"Received: {loss:.4f}."
        for way, loss in losses.items()
        if not abs(loss - expected) <= tolerance * expected  # so that NaN deviates, too
    ]


def medians(measured: dict[str, Any]) -> dict[str, float]:
    """Return one way's medians over the epochs after the first, and what the start and the first one took."""
    first, *later = measured["epochs"]
    epoch_seconds = median(epoch["epoch_seconds"] for epoch in later)
    return {
        "epoch_seconds": epoch_seconds,
        "saving_seconds": median(epoch["saving_seconds"] for epoch in later),
        "start_seconds": measured["start_seconds"],
        "warm_up_seconds": first["epoch_seconds"] - epoch_seconds,
        "peak_memory_mib": measured["peak_memory_mib"],
        "first_loss": first["logs"]["loss"],
        "last_loss": later[-1]["logs"]["loss"],
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
        f"* {model}: {train:,} digits to train, {validation:,} to validate; medians of {report['rounds']} "
        f"epoch{'s' if report['rounds'] > 1 else ''}"
        for model, (train, validation) in report["digits"].items()
    ]
    lines += [f"* left out: {way}, because {library} is not installed" for way, library in report["left_out"].items()]

    rows = [
        {
            "model": model,
            "way": way,
            "epoch, s": f"{result['epoch_seconds']:.2f}",
            "epoch / package's": f"{result['epoch_seconds'] / ways['package']['epoch_seconds']:.2f}",
            "saving in it, s": f"{result['saving_seconds']:.2f}",
            "start, s": f"{result['start_seconds']:.1f}",
            "warm-up, s": f"{result['warm_up_seconds']:.1f}",
            "peak memory, MiB": f"{result['peak_memory_mib']:.0f}",
            "memory / package's": f"{result['peak_memory_mib'] / ways['package']['peak_memory_mib']:.2f}",
            "loss of epoch 1": f"{result['first_loss']:.4f}",
            f"of epoch {1 + report['rounds']}": f"{result['last_loss']:.4f}",
        }
        for model, ways in report["results"].items()
        for way, result in ways.items()
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
