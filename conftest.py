"""What tests and docstring examples share: real digits, finished runs, the command."""

import importlib
import os
import shutil
import subprocess
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

# Before TensorFlow initializes: small models train faster on one thread, and two processes share the cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# As the command does: TensorFlow 2.19 writes a line at the end of each epoch.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras_model_wars as kmw
from keras_model_wars.__main__ import main
from keras_model_wars.mnist import ENVIRONMENT_VARIABLE

ROOT = Path(__file__).parent
# Read before `offline` takes it away.
FULL_MNIST = os.environ.get(ENVIRONMENT_VARIABLE)


class Result(NamedTuple):
    """What a command left: its exit status, and what it wrote to standard output and standard error."""

    status: int
    out: str
    err: str


def assert_same_run(run, other):
    """Assert that two runs are bit-identical."""
    pd.testing.assert_frame_equal(run.history, other.history, check_exact=True)
    assert run.test_metrics == other.test_metrics
    for ours, theirs in zip(
        run.model.get_weights(), other.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="session", autouse=True)
def offline(tmp_path_factory):
    """Keep every test from the network, from Keras's cache and from the digits that the environment names."""

    def refuse(*_, **__):
        raise OSError("the tests are offline")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib.request.urlopen", refuse)
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.delenv(ENVIRONMENT_VARIABLE, raising=False)
        yield


@pytest.fixture(scope="session")
def sample():
    """The bundled sample: 4,500 real digits to train, 500 to test."""
    return kmw.load_mnist("sample")


@pytest.fixture(scope="session")
def few_digits(sample):
    """375 real digits to train, 60 to test: neither batches nor executions divide what the models take of them."""
    (x_train, y_train), (x_test, y_test) = sample
    return (x_train[:375], y_train[:375]), (x_test[:60], y_test[:60])


@pytest.fixture(scope="session")
def few_digits_file(few_digits, tmp_path_factory):
    """The few digits in a file as Keras lays it out."""
    path = tmp_path_factory.mktemp("digits") / "few.npz"
    (x_train, y_train), (x_test, y_test) = few_digits
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


@pytest.fixture(scope="session")
def full_mnist():
    """The path of the full MNIST."""
    if not FULL_MNIST:
        pytest.skip(
            f"needs the full MNIST: name an mnist.npz as Keras lays it out in {ENVIRONMENT_VARIABLE}"
        )
    return Path(FULL_MNIST).absolute()


@pytest.fixture(scope="session")
def good_run(sample, tmp_path_factory):
    """The Sequential model after ten quick epochs on the sample: right for nine test digits in ten."""
    out = tmp_path_factory.mktemp("good") / "sequential"
    return kmw.train(
        "sequential", epochs=10, learning_rate=0.1, data=sample, out=out, verbose=False
    )


@contextmanager
def without_pictures():
    """Write a few bytes for a run's pictures, which take longer than a small training."""

    def write(*arguments, **_):
        Image.new("L", (9, 9)).save(arguments[-1])

    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_model", "plot_learning_curves", "plot_mistakes"):
            patch.setattr(f"keras_model_wars.training.{name}", write)
        yield


@pytest.fixture(scope="session")
def small_runs(few_digits, tmp_path_factory):
    """One small run of each kind of model, by name; their folders lie side by side. Don't change them."""
    folder = tmp_path_factory.mktemp("small") / "runs"
    settings = {
        "epochs": 2,
        "seed": 3,
        "hidden_units": (16, 8),
        "data": few_digits,
        "verbose": False,
    }
    models = ("sequential", "wide_deep", "two_input_two_output", "shared_layers")
    with without_pictures():
        return {
            model: kmw.train(model, out=folder / model, **settings) for model in models
        }


MY_MODEL = """
import keras
from keras import layers


def build_mine():
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
"""


@pytest.fixture(scope="session")
def example_folder(good_run, sample, tmp_path_factory):
    """A folder with the files that docstring examples name."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(good_run.folder, folder / "runs" / "sequential")
    (folder / "my_model.py").write_text(MY_MODEL)
    (x_train, y_train), _ = sample
    for digit, name in ((3, "three.png"), (8, "eight.jpg")):
        image = Image.fromarray(x_train[y_train == digit][0])
        image.resize((280, 280)).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def docstring_examples(request, monkeypatch):
    """Give docstring examples their names, and a folder to read and write in."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    namespace = request.getfixturevalue("doctest_namespace")
    (x_train, y_train), (x_test, y_test) = request.getfixturevalue("sample")
    namespace.update(kmw=kmw, np=np, x_train=x_train, y_train=y_train)
    namespace.update(
        x_test=x_test, y_test=y_test, keras=importlib.import_module("keras")
    )
    namespace.update(run=request.getfixturevalue("good_run"))
    monkeypatch.chdir(request.getfixturevalue("example_folder"))


@pytest.fixture
def command(monkeypatch, capfd):
    """Run the command in this process, where TensorFlow is imported already."""
    monkeypatch.setattr(
        warnings, "formatwarning", warnings.formatwarning
    )  # the command sets it for its process

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return Result(stop.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def start_process(tmp_path_factory):
    """Start a program beside the interpreter, with the network out of reach; what is returned waits for its result."""
    # Without what would lead to digits, caches or a network, or color what is printed.
    left_out = (
        "KERAS",
        "TF_CPP",
        "MPL",
        "XDG",
        "PYTHON",
        "FORCE_COLOR",
        "PY_COLORS",
        "GITHUB_ACTIONS",
        "DISPLAY",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(left_out)
    }
    environment = {
        name: value
        for name, value in kept.items()
        if not name.lower().endswith("_proxy")
    }
    environment["HOME"] = environment["USERPROFILE"] = str(
        tmp_path_factory.mktemp("home")
    )
    # Nothing listens there, so every download is refused at once.
    environment |= {
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "PYTHONUTF8": "1",
        "COLUMNS": "120",
    }

    def start(program, *arguments, folder, **variables):
        command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
        pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE) | {
            "stdin": subprocess.DEVNULL
        }
        process = subprocess.Popen(
            command, cwd=folder, env=environment | variables, encoding="utf-8", **pipes
        )

        def wait():
            out, err = process.communicate(timeout=300)
            return Result(process.returncode, out, err)

        return wait

    return start


@pytest.fixture(scope="session")
def run_process(start_process):
    """Run such a program to its end."""
    return lambda *arguments, **keywords: start_process(*arguments, **keywords)()
