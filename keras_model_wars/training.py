"""Train a model of the articles in one call, in an order of the digits that can be repeated."""

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from keras_model_wars.article_logs import LOGGED_MODELS, compare_with_article
from keras_model_wars.checks import (
    InputError,
    file_path,
    positive_number,
    replacing,
    whole_number,
)
from keras_model_wars.experiments import Experiment, find_experiment
from keras_model_wars.mnist import (
    FULL_TRAIN_DIGITS,
    Mnist,
    check_mnist,
    find_mnist,
    fingerprint,
)
from keras_model_wars.plotting import (
    plot_article_comparison,
    plot_learning_curves,
    plot_mistakes,
    plot_model,
)
from keras_model_wars.runs import RUN_FILES, RunRecord
from keras_model_wars.splits import Splits


@dataclass(frozen=True)
class Run:
    """What ``train`` returns.

    ``model`` is the trained model; ``history`` has one row per epoch, counted from 1, and one column per metric;
    ``test_metrics`` are the same metrics on the test set; ``folder`` holds the files, or is None.
    """

    model: keras.Model
    history: pd.DataFrame
    test_metrics: dict[str, float]
    folder: Path | None


def train(
    model: str,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    data: str | os.PathLike | Mnist | None = None,
    out: str | os.PathLike | None = None,
    steps_per_execution: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
    **builder_keywords: Any,
) -> Run:
    """Train a model of the articles on MNIST: build, compile, fit and evaluate it, and save it where ``out`` is given.

    ``model`` is the name of an experiment, such as ``"sequential"``, which has the default ``epochs``, ``batch_size``
    and ``learning_rate``. ``data`` is a path for ``load_mnist`` or the arrays that it returns. ``steps_per_execution``
    is Keras's, by default about 64, and changes the speed and not one bit of the result. Further keywords, such as
    ``hidden_units``, go to the builder. ``out`` is a folder for the model, its history, record, summary and pictures:
    ``resume`` continues the run in it, also beyond its last epoch, or starts one; ``overwrite`` starts over. Raises an
    InputError for wrong arguments, and for a folder that holds a run without either.

    Sets Python's, NumPy's and Keras's random seeds for the whole process: on one machine, the same ``seed`` gives the
    same history to the bit. The command also trains small models on one thread, which is faster; in Python, call
    ``tf.config.threading.set_intra_op_parallelism_threads(1)`` before TensorFlow initializes. Follows "Sequential API
    vs Functional API model in Keras".

    >>> train("sequential", epochs=1, data="sample").history.columns.tolist()
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    """
    experiment = find_experiment(model)
    batch_size = whole_number(
        "batch_size", experiment.batch_size if batch_size is None else batch_size
    )
    rate = positive_number(
        "learning_rate",
        experiment.learning_rate if learning_rate is None else learning_rate,
    )
    seed = whole_number("seed", seed, lowest=0, highest=2**32 - 1)
    for name, number in (
        ("epochs", epochs),
        ("steps_per_execution", steps_per_execution),
    ):
        if number is not None:
            whole_number(name, number)
    if (resume and overwrite) or ((resume or overwrite) and out is None):
        expected = "`resume` or `overwrite` should come with `out`, the folder of a run, and not with each other"
        raise InputError(expected, f"resume={resume}, overwrite={overwrite}, out={out}")
    folder = None if out is None else file_path("out", out)
    there = folder is not None and (folder / "run.json").exists()
    if there and not (resume or overwrite):
        instead = "Continue it with resume=True or --resume, or start over with overwrite=True or --overwrite"
        raise InputError(
            "`out` should be a folder without a run",
            f"{folder}, which holds one. {instead}",
        )

    keras.utils.set_random_seed(seed)
    network = experiment.build(**builder_keywords)
    from_file = data is None or isinstance(data, (str, os.PathLike))
    mnist, source = (
        find_mnist(data)
        if from_file
        else (check_mnist(data, "`data`"), "arrays passed to train")
    )
    splits = experiment.prepare(mnist)
    digits = ReshuffledDataset(*splits.train, batch_size=batch_size, seed=seed)
    settings = {
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate,
        "seed": seed,
    }
    record = RunRecord(
        folder,
        network,
        settings | builder_keywords | {"digits": fingerprint(mnist)},
        source,
    )
    if there and resume:
        network = record.resume(network, len(digits.dataset))
    else:
        record.start(experiment.epochs)
    if (
        not record.saved
    ):  # a resumed model comes back compiled, with the optimizer's momentum
        network.compile(
            optimizer=keras.optimizers.SGD(rate, momentum=experiment.momentum),
            loss=experiment.loss,
            # Today's Keras refuses the article's single ["accuracy"] for two outputs, and wants one list per output.
            metrics=["accuracy"]
            if len(network.outputs) == 1
            else [["accuracy"] for _ in network.outputs],
        )
    network.steps_per_execution = steps_per_execution or _steps(len(digits.dataset))

    summary: list[str] = []
    if folder or verbose:  # a notebook shows an empty block for every summary
        network.summary(print_fn=summary.append)
    if folder:
        with replacing(folder / "summary.txt") as temporary:
            temporary.write_text("\n".join(summary) + "\n", encoding="utf-8")
        plot_model(network, folder / "diagram.png")
    if verbose:
        print(f"Digits: {source}", *summary, sep="\n")
    try:
        network.fit(
            digits.dataset,
            initial_epoch=record.saved,
            epochs=record.epochs,
            shuffle=False,  # the dataset does it
            validation_data=splits.validation,
            validation_batch_size=batch_size,
            callbacks=[digits, record],
            verbose=int(verbose),
        )
    except KeyboardInterrupt:
        if record.saved:
            print(
                f"\nStopped after {record.saved} of {record.epochs} epochs. Continue with --resume.",
                file=sys.stderr,
            )
        raise
    test_metrics = network.evaluate(
        *splits.test, batch_size=batch_size, verbose=0, return_dict=True
    )
    run = Run(network, record.history, test_metrics, folder)
    _finish(run, record, experiment, splits, mnist, verbose)
    return run


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order in which epoch ``epoch`` (from 0) takes the digits, whatever came before it."""
    return np.random.default_rng((seed, epoch)).permutation(count)


class ReshuffledDataset(keras.callbacks.Callback):
    """Feed ``fit`` with arrays in the order of ``epoch_order``, exactly once per epoch.

    ``fit`` on arrays can't: with a global seed on the TensorFlow backend it takes the digits in the same order in every
    epoch (tensorflow issue 35682), and without a seed nothing can be repeated. Pass ``dataset`` to ``fit`` as ``x``,
    and the object itself as a callback, which sets the epoch's order. ``x`` and ``y`` are arrays or dicts of arrays.
    """

    def __init__(self, x: Any, y: Any, *, batch_size: int, seed: int):
        super().__init__()
        arrays = keras.tree.map_structure(
            tf.convert_to_tensor, (x, y)
        )  # held once; every batch is gathered from here
        self._count, self._seed = len(keras.tree.flatten(y)[0]), seed
        # A variable, because a Python generator within the input costs time; see benchmarks/README.md.
        with tf.device(
            "CPU:0"
        ):  # where tf.data reads it, also when a graphics card trains
            self._order = order = tf.Variable(
                epoch_order(self._count, seed, epoch=0), trainable=False
            )
        # Batches are ready long before they are needed; tuning and more threads only take cores from the training.
        options = tf.data.Options()
        options.autotune.enabled = False
        options.threading.private_threadpool_size = 1
        self.dataset = (
            tf.data.Dataset.range(0, self._count, batch_size)
            .map(lambda start: order.read_value()[start : start + batch_size])
            .map(
                lambda digits: tf.nest.map_structure(
                    lambda array: tf.gather(array, digits), arrays
                )
            )
            .prefetch(16)
            .with_options(options)
        )

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set the order of this epoch."""
        self._order.assign(epoch_order(self._count, self._seed, epoch))


def _steps(batches: int) -> int:
    """Return about 64 batches per execution, in executions of nearly one size, for an even progress bar."""
    # On several replicas, Keras 3.15 stops at its loop over batches ("You must feed a value for placeholder tensor").
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return 1
    return math.ceil(batches / math.ceil(batches / 64))


def _finish(
    run: Run,
    record: RunRecord,
    experiment: Experiment,
    splits: Splits,
    mnist: Mnist,
    verbose: bool,
) -> None:
    """Draw a finished run's pictures into its folder, complete its record, and print how it ended."""
    name, title, folder, lacking = experiment.name, experiment.title, run.folder, ""
    if name not in LOGGED_MODELS:
        lacking = f"the article printed no log for {name}"
    elif (count := len(mnist[0][0])) != FULL_TRAIN_DIGITS:
        lacking = f"this run had {count:,} of MNIST's {FULL_TRAIN_DIGITS:,} digits"
    if folder:
        plot_learning_curves(run.history, folder / "learning_curves.png", title=title)
        plot_mistakes(run.model, *splits.test, folder / "mistakes.png", title=title)
        if not lacking:
            comparison = compare_with_article(run.history, name)
            with replacing(folder / "article_comparison.csv") as temporary:
                comparison.to_csv(temporary, index=False)
            plot_article_comparison(
                comparison, folder / "article_comparison.png", title=title
            )
        record.write(final_epoch=run.history.iloc[-1].to_dict(), test=run.test_metrics)
    if verbose:
        for metric in (
            metric for metric in run.test_metrics if metric.endswith("accuracy")
        ):
            validation = run.history[f"val_{metric}"].iloc[-1]
            print(
                f"{metric}: validation {validation:.4f}, test {run.test_metrics[metric]:.4f}"
            )
        if lacking:
            print(f"No comparison with the article: {lacking}.")
        if folder:
            print(
                f"Written to {folder}: "
                + ", ".join(file for file in RUN_FILES if (folder / file).exists())
            )
