"""The experiments: one frozen dataclass per model with everything that its training needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_model_wars.checks import InputError, import_keras
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
    """A model of the articles and how it is trained.

    ``prepare`` turns MNIST into digits for training, validation and testing. ``intra_op_threads`` is the number of
    threads for a single operation, None for one thread per core.
    """

    name: str
    title: str
    prepare: Callable[[Mnist], Splits]
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 0.01
    momentum: float = 0.0
    loss: str = "sparse_categorical_crossentropy"
    # In a small model, handing half of an operation to another thread takes longer than the operation itself.
    intra_op_threads: int | None = 1

    def build(self, **keywords: Any) -> "keras.Model":
        """Build the uncompiled model with ``build_NAME`` of ``models``; the keywords are the builder's."""
        keras = (
            import_keras()
        )  # here, because listing the experiments need not wait for it
        from keras_model_wars import models

        builder = getattr(models, f"build_{self.name}")
        model = builder(**keywords)
        if not isinstance(model, keras.Model):
            where = f"{builder.__code__.co_filename}, line {builder.__code__.co_firstlineno}"
            raise RuntimeError(
                f"build_{self.name} ({where}) should return a Keras model. Received: {model!r}."
            )
        return model


_LARGE = {"epochs": 10, "intra_op_threads": None}
_ALL = (
    Experiment("sequential", "Sequential: a plain stack of layers", prepare_digits),
    Experiment(
        "wide_deep",
        "Functional: wide and deep, with a bypass",
        prepare_digits,
        **_LARGE,
    ),
    Experiment(
        "two_input_two_output",
        "Functional: two inputs and two outputs",
        prepare_two_inputs,
        **_LARGE,
    ),
    Experiment(
        "added_sequential",
        "Sequential: layers added one by one, on flat vectors",
        prepare_flat,
    ),
    Experiment(
        "functional_twin", "Functional: the Sequential model's twin", prepare_digits
    ),
    Experiment(
        "shared_layers",
        "Functional: do two images show the same digit? One shared stack of layers",
        prepare_pairs,
        epochs=5,
        momentum=0.9,  # plain SGD needs about twenty epochs for the same accuracy
        loss="binary_crossentropy",
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def find_experiment(name: str) -> Experiment:
    """Return the experiment of that name, or raise an InputError that lists the known names."""
    if not isinstance(name, str) or name not in EXPERIMENTS:
        raise InputError(
            f"`model` should be one of {', '.join(EXPERIMENTS)}", repr(name)
        )
    return EXPERIMENTS[name]
