"""One frozen dataclass a model: which builder, which preparation of the data and which settings belong together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_model_wars import data

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Experiment:
    """A model of the articles, and how it is trained.

    ``builder`` is the name of a function in ``models``, not the function: a list of the experiments shall not wait for
    TensorFlow. ``prepare`` turns MNIST into the digits to train, validate and test on. ``intra_op_threads`` is how many
    threads TensorFlow should share one operation among, None for one a core.
    """

    name: str
    title: str
    builder: str
    prepare: Callable[[data.Mnist], data.Splits]
    epochs: int
    loss: str = "sparse_categorical_crossentropy"
    momentum: float = 0.0
    # The operations of a small model take less time than handing half of one to another thread; see benchmarks/README.md.
    intra_op_threads: int | None = 1

    def build(self, **keywords: Any) -> "keras.Model":
        """Build the model, uncompiled; the keywords are the builder's own."""
        from keras_model_wars import models

        return getattr(models, self.builder)(**keywords)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment("sequential", "Sequential: a plain stack of layers", "build_sequential", data.prepare_digits, 20),
        Experiment(
            "wide_deep",
            "Functional: wide and deep, with a bypass",
            "build_wide_deep",
            data.prepare_digits,
            10,
            intra_op_threads=None,
        ),
        Experiment(
            "two_input_two_output",
            "Functional: two inputs and two outputs",
            "build_two_input_two_output",
            data.prepare_two_inputs,
            10,
            intra_op_threads=None,
        ),
        Experiment(
            "added_sequential",
            "Sequential: layers added one by one, on flat vectors",
            "build_added_sequential",
            data.prepare_flat,
            20,
        ),
        Experiment(
            "functional_twin",
            "Functional: the Sequential model's twin",
            "build_functional_twin",
            data.prepare_digits,
            20,
        ),
        Experiment(
            "shared_layers",
            "Functional: do two images show the same digit? One shared stack of layers",
            "build_shared_layers",
            data.prepare_pairs,
            5,
            loss="binary_crossentropy",
            momentum=0.9,  # plain SGD needs about twenty epochs for the same accuracy
        ),
    )
}


def find_experiment(name: str) -> Experiment:
    """Return the experiment of that name, or raise a ValueError that lists the known names."""
    if not isinstance(name, str) or name not in EXPERIMENTS:
        raise ValueError(f"`model` should be one of {', '.join(EXPERIMENTS)}. Received: {name!r}.")
    return EXPERIMENTS[name]
