"""Train a model in one call, as the article does, with results that can be repeated."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from keras_model_wars.article_logs import LOGGED_MODELS, compare_with_article
from keras_model_wars.checks import InputError, replacing
from keras_model_wars.experiments import EXPERIMENTS, Experiment, find_experiment
from keras_model_wars.matching import build_model, prepare_splits
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
from keras_model_wars.runs import RUN_FILES, RunRecord, check_folder, write_summary
from keras_model_wars.shuffling import ReshuffledDataset
from keras_model_wars.splits import Splits


@dataclass(frozen=True)
class Run:
    """Hold what ``train`` returns.

    ``model`` is the trained model; ``history`` has one row per epoch, counted from 1,
    and one column per metric; ``test_metrics`` are the same metrics on the test set;
    ``folder`` holds the files, or is None.
    """

    model: keras.Model
    history: pd.DataFrame
    test_metrics: dict[str, float]
    folder: Path | None


def train(
    model: str | Experiment,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    data: str | os.PathLike | Mnist | None = None,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool | int = True,
    **builder_keywords: Any,
) -> Run:
    """Train a model on MNIST: build, compile, fit and evaluate it, and save it.

    ``model`` is the name of one of the articles' models, such as ``"sequential"``, or an
    ``Experiment`` of your own, which has the default ``epochs``, ``batch_size`` and
    ``learning_rate``. ``data`` is a path for ``load_mnist`` or the arrays that it
    returns. Further keywords, such as ``hidden_units``, go to the builder. ``out`` is a
    folder for the model, its history, record, summary and pictures: ``resume`` continues
    the run in it, also beyond its last epoch, or starts one; ``overwrite`` starts over.
    ``verbose`` is 0 or False for silence, 1 for a progress bar, 2 for one line per
    epoch. Raises an InputError for wrong arguments, for a model that doesn't fit the
    images or the loss, and for a folder whose files would be lost.

    Sets Python's, NumPy's and Keras's random seeds for the whole process: on one
    machine, the same ``seed`` gives the same history, bit for bit. The command also
    trains small models on one thread, which is faster; in Python, call
    ``tf.config.threading.set_intra_op_parallelism_threads(1)`` before TensorFlow
    initializes. Follows "Sequential API vs Functional API model in Keras".

    >>> trained = kmw.train("sequential", epochs=1, data="sample", verbose=False)
    >>> trained.history.columns.tolist()
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']
    """
    experiment = _with_settings(model, epochs, batch_size, learning_rate)
    folder = None if out is None else Path(out)
    check_folder(folder, resume=resume, overwrite=overwrite)

    keras.utils.set_random_seed(seed)
    network = build_model(experiment, builder_keywords)
    mnist, source = _load(data)
    splits = prepare_splits(network, experiment, mnist)
    reshuffled = ReshuffledDataset(
        *splits.train, batch_size=experiment.batch_size, seed=seed
    )
    settings = _recorded_settings(experiment, seed, builder_keywords, mnist)
    record = RunRecord(
        folder, network, title=experiment.title, settings=settings, source=source
    )

    network.compile(
        optimizer=keras.optimizers.SGD(
            float(experiment.learning_rate), momentum=experiment.momentum
        ),
        loss=experiment.loss,
        metrics=_metrics(network),
        steps_per_execution=reshuffled.steps_per_execution,
    )
    if resume and record.exists():
        record.resume(network, batches=len(reshuffled.dataset), epochs=epochs)
    else:
        record.start()
    if folder:
        write_summary(network, folder / "summary.txt")
        plot_model(network, folder / "diagram.png")
    if verbose:
        print(f"Data: {source}")
        network.summary()
    network.fit(
        reshuffled.dataset,
        initial_epoch=record.saved,
        epochs=record.epochs,
        shuffle=False,  # shuffled already, in an order that can be repeated
        validation_data=splits.validation,
        validation_batch_size=experiment.batch_size,
        callbacks=[reshuffled, record],
        verbose=int(verbose),
    )
    test_metrics = network.evaluate(
        *splits.test, batch_size=experiment.batch_size, verbose=0, return_dict=True
    )

    run = Run(network, record.history, test_metrics, folder)
    notes = _draw(run, experiment, splits, mnist)
    record.finish(test_metrics)  # last: a finished run has all its pictures
    if verbose:
        _print_results(run, notes)
    return run


def _with_settings(
    model: str | Experiment,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
) -> Experiment:
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    return dataclasses.replace(find_experiment(model), **given)


def _load(data: str | os.PathLike | Mnist | None) -> tuple[Mnist, str]:
    if data is None or isinstance(data, (str, os.PathLike)):
        return find_mnist(data)
    return check_mnist(data, "`data`"), "arrays passed to train"


def _metrics(model: keras.Model) -> list:
    # Today's Keras refuses the article's single ["accuracy"] for two outputs, and wants
    # one list per output. A subclassed model doesn't list its outputs.
    outputs = getattr(model, "outputs", None) or [None]
    if len(outputs) == 1:
        return ["accuracy"]
    return [["accuracy"] for _ in outputs]


def _recorded_settings(
    experiment: Experiment, seed: int, builder_keywords: dict[str, Any], mnist: Mnist
) -> dict[str, Any]:
    """Return the settings of a run, which a resumed run must share."""
    loss = experiment.loss
    own = {
        "model": experiment.name,
        "epochs": experiment.epochs,
        "batch_size": experiment.batch_size,
        "learning_rate": experiment.learning_rate,
        "momentum": experiment.momentum,
        "loss": loss if isinstance(loss, str) else getattr(loss, "name", str(loss)),
        "seed": seed,
        "preparation": getattr(experiment.prepare, "__name__", "own"),
        "digits": fingerprint(mnist),
    }
    taken = sorted(set(own) & set(builder_keywords))
    if taken:
        raise InputError(
            "The builder's arguments should have other names than the settings of the "
            f"run. Received: {', '.join(taken)}. Rename them in the builder"
        )
    return own | builder_keywords


def _draw(run: Run, experiment: Experiment, splits: Splits, mnist: Mnist) -> list[str]:
    """Draw a run's pictures into its folder; return notes on missing pictures."""
    title = experiment.title
    reason = _why_not_compared(experiment, len(mnist[0][0]))
    notes = [f"No comparison with the article: {reason}."] if reason else []
    folder = run.folder
    if folder is None:
        return notes
    plot_learning_curves(run.history, folder / "learning_curves.png", title=title)
    try:
        plot_mistakes(run.model, *splits.test, folder / "mistakes.png", title=title)
    except InputError as error:
        notes.append(f"No picture of the mistakes: {error}")
    if reason is None:
        comparison = compare_with_article(run.history, experiment.name)
        with replacing(folder / "article_comparison.csv") as temporary:
            comparison.to_csv(temporary, index=False)
        plot_article_comparison(
            comparison, folder / "article_comparison.png", title=title
        )
    return notes


def _why_not_compared(experiment: Experiment, count: int) -> str | None:
    name = experiment.name
    if name not in LOGGED_MODELS:
        return f"it printed no log for {name}"
    if experiment.builder is not EXPERIMENTS[name].builder:
        return f"this {name} is another model than the article's"
    if count != FULL_TRAIN_DIGITS:
        return (
            f"this run had {count:,} of MNIST's {FULL_TRAIN_DIGITS:,} training images"
        )
    return None


def _print_results(run: Run, notes: list[str]) -> None:
    for metric, test in run.test_metrics.items():
        if metric.endswith("accuracy"):
            validation = run.history[f"val_{metric}"].iloc[-1]
            print(f"{metric}: validation {validation:.4f}, test {test:.4f}")
    for note in notes:
        print(note)
    if run.folder:
        written = [file for file in RUN_FILES if (run.folder / file).exists()]
        print(f"Written to {run.folder}: {', '.join(written)}")
