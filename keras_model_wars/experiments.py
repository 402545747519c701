"""The experiments: a model and everything that its training needs, as data."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import math
import numbers
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from keras_model_wars import models
from keras_model_wars.checks import InputError
from keras_model_wars.mnist import Mnist
from keras_model_wars.splits import (
    Splits,
    prepare_digits,
    prepare_flat,
    prepare_pairs,
    prepare_two_inputs,
)

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Experiment:
    """Describe a model and how it is trained.

    ``builder`` is the function that returns the uncompiled model; ``prepare`` turns
    MNIST's arrays into ``Splits`` for training, validation and testing. The optimizer
    is SGD. ``intra_op_threads`` is the number of threads that the command gives to a
    single operation, None for one per core; ``parameters`` is the number of parameters
    that the article prints. Raises an InputError for epochs or a batch size that are
    not positive integers, and for a learning rate that is not positive and finite.

    >>> kmw.Experiment("mine", "My model", kmw.build_sequential, epochs=2).batch_size
    32
    """

    name: str
    title: str
    builder: Callable[..., keras.Model]
    prepare: Callable[[Mnist], Splits] = prepare_digits
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 0.01
    momentum: float = 0.0
    loss: Any = "sparse_categorical_crossentropy"
    intra_op_threads: int | None = None
    parameters: int | None = None

    def __post_init__(self) -> None:
        """Check the settings, once for all callers."""
        if not isinstance(self.name, str) or not re.fullmatch(r"\w[\w.-]*", self.name):
            raise InputError(
                "`name` should be a word, which names the folder of the runs. "
                f"Received: name={self.name!r}"
            )
        if not callable(self.builder):
            raise InputError(
                "`builder` should be a function that returns a Keras model. "
                f"Received: builder={self.builder!r}"
            )
        _check_positive_integer("epochs", self.epochs)
        _check_positive_integer("batch_size", self.batch_size)
        rate = self.learning_rate
        is_number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
        if not is_number or not 0 < rate < math.inf:
            raise InputError(
                "`learning_rate` should be a positive, finite number. "
                f"Received: learning_rate={rate!r}"
            )


def _check_positive_integer(name: str, value: Any) -> None:
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or not 0 < value < 2**31:
        raise InputError(
            f"`{name}` should be a positive integer. Received: {name}={value!r}"
        )


# In a small model, handing half of an operation to another thread takes longer than the
# operation itself, so the small models have intra_op_threads=1.
_ALL = (
    Experiment(
        "sequential",
        "Sequential: a plain stack of layers",
        models.build_sequential,
        intra_op_threads=1,
        parameters=235_146,
    ),
    Experiment(
        "wide_deep",
        "Functional: wide and deep, with a bypass",
        models.build_wide_deep,
        epochs=10,
        parameters=21_668_442,
    ),
    Experiment(
        "two_input_two_output",
        "Functional: two inputs and two outputs",
        models.build_two_input_two_output,
        prepare_two_inputs,
        epochs=10,
        parameters=22_476_900,
    ),
    Experiment(
        "added_sequential",
        "Sequential: layers added one by one, on flat vectors",
        models.build_added_sequential,
        prepare_flat,
        intra_op_threads=1,
        parameters=235_146,
    ),
    Experiment(
        "functional_twin",
        "Functional: the Sequential model's twin",
        models.build_functional_twin,
        intra_op_threads=1,
        parameters=235_146,
    ),
    Experiment(
        "shared_layers",
        "Functional: do two images show the same digit? One shared stack of layers",
        models.build_shared_layers,
        prepare_pairs,
        epochs=5,
        momentum=0.9,  # plain SGD needs about twenty epochs for the same accuracy
        loss="binary_crossentropy",
        intra_op_threads=1,
        parameters=233_985,
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def find_experiment(model: str | Experiment) -> Experiment:
    """Return the experiment that ``model`` names.

    Takes the name of one of the articles' models, ``FILE.py:NAME`` or
    ``package.module:NAME``, or an ``Experiment``, which is returned as it is. NAME is an
    ``Experiment``, or a function that returns an uncompiled model; such a model is
    trained as ``sequential`` is. Raises an InputError if there is none, and whatever the
    file itself raises.

    >>> find_experiment("wide_deep").epochs
    10
    >>> find_experiment("my_model.py:build_mine").name
    'mine'
    """
    if isinstance(model, Experiment):
        return model
    if not isinstance(model, str):
        raise InputError(
            "`model` should be the name of a model or an Experiment. "
            f"Received: {model!r}"
        )
    if model in EXPERIMENTS:
        return EXPERIMENTS[model]
    place, colon, name = model.rpartition(":")
    if not colon or not place or not name:
        similar = difflib.get_close_matches(model, EXPERIMENTS, n=1)
        advice = f"Did you mean {similar[0]}?" if similar else "Your own: FILE.py:NAME"
        raise InputError(
            f"`model` should be one of {', '.join(EXPERIMENTS)}. "
            f"Received: {model!r}. {advice}"
        )
    return _own_experiment(_import(place), name, model)


def _own_experiment(module: ModuleType, name: str, model: str) -> Experiment:
    found = getattr(module, name, None)
    if isinstance(found, Experiment):
        experiment = found
    elif inspect.isroutine(found) or inspect.isclass(found):
        short = name.removeprefix("build_")
        experiment = Experiment(short, short, found)
    else:
        names = [key for key, value in vars(module).items() if _is_own(value, module)]
        there = ", ".join(sorted(names)) or "none"
        received = repr(found) if hasattr(module, name) else f"no name {name!r}"
        raise InputError(
            f"{model} should name a function that returns a Keras model, or an "
            f"Experiment. Received: {received}. Names that are there: {there}"
        )
    if (
        experiment.name in EXPERIMENTS
        and experiment is not EXPERIMENTS[experiment.name]
    ):
        raise InputError(
            "The model should have another name than one of this package. "
            f"Received: {experiment.name!r}. Rename the function in {model}"
        )
    return experiment


def _is_own(value: Any, module: ModuleType) -> bool:
    if isinstance(value, Experiment):
        return True
    is_own = getattr(value, "__module__", "") == module.__name__
    return is_own and (inspect.isroutine(value) or inspect.isclass(value))


def _import(place: str) -> ModuleType:
    """Import a file or a module, whose own errors keep their traceback."""
    if not place.endswith(".py"):
        return _import_module(place)
    path = Path(place).resolve()
    if not path.is_file():
        received = "a folder" if path.is_dir() else "no such file"
        raise InputError(f"{place} should be a Python file. Received: {received}")
    _add_to_path(path.parent)  # for what the file imports from beside it
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    # Never in another module's place: a file may be called keras.py.
    name = path.stem if loaded is None else f"{path.stem}_{abs(hash(path))}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    _add_to_path(Path.cwd())
    if name.startswith("."):
        raise InputError(
            f"{name} should be a module's whole name, or a file such as my_model.py"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # a bug in the module: it imports something that isn't there
        raise InputError(
            f"{name} should be a module that can be imported, or a file such as "
            f"my_model.py. Received: {error}"
        ) from None


def _add_to_path(folder: Path) -> None:
    # Last, so that no file in it hides an installed package.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
