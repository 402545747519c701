"""Build, summarize, draw, compile, fit, evaluate and save a model of the articles, in one call."""

import math
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from keras_model_wars.arguments import file_path, positive_number, whole_number
from keras_model_wars.article import LOGGED_MODELS, compare_with_article
from keras_model_wars.checkpoints import FILES, RunRecord, WholeBackup
from keras_model_wars.data import FULL_TRAIN_DIGITS, Mnist, check_mnist, find_mnist, fingerprint
from keras_model_wars.experiments import Experiment, find_experiment
from keras_model_wars.files import check_folder, replacing
from keras_model_wars.plotting import plot_article_comparison, plot_learning_curves, plot_model
from keras_model_wars.shuffling import ReshuffledDataset


@dataclass(frozen=True)
class Run:
    """What ``train`` returns.

    ``model`` is trained; ``history`` has one row an epoch, counted from 1, and a column a metric; ``test_metrics`` holds
    the same metrics on the test set; the files lie in ``folder``.
    """

    model: keras.Model
    history: pd.DataFrame
    test_metrics: dict[str, float]
    folder: Path


def train(
    model: str,
    *,
    epochs: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 0.01,
    seed: int = 0,
    data: str | os.PathLike | Mnist | None = None,
    out: str | os.PathLike | None = None,
    steps_per_execution: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
    **builder_keywords: Any,
) -> Run:
    """Train a model of the articles on MNIST and leave its files in a folder.

    ``model`` is the name of an experiment, such as ``"sequential"``; ``epochs`` by default the article's.
    ``data`` is a path for ``load_mnist``, or the arrays that it returns. ``out`` is the folder, by default ``runs/MODEL``.
    ``steps_per_execution`` is Keras's: how many batches TensorFlow takes at once, by default about 64; it changes the
    speed and not one bit of the result. ``resume`` goes on from the last finished epoch of a training that was stopped,
    and starts one where there is none; ``overwrite`` trains anew in a folder that holds a run. ``verbose`` prints the
    summary and Keras's progress bar. Further keywords, such as ``hidden_units``, go to the builder.

    TensorFlow's threads are the process's and left alone here. The command trains a small model on one, which is faster;
    in Python, ``tf.config.threading.set_intra_op_parallelism_threads(1)`` does so before TensorFlow's first operation.

    Training twice with one seed on one machine gives the same history to the bit. Writes ``model.keras``, ``history.csv``,
    ``summary.txt``, ``diagram.png``, ``learning_curves.png`` and ``run.json``. Raises a ValueError or TypeError for what
    can't be trained, for a folder that can't be written and for one that holds a run, before anything is written.

    >>> run = train("sequential", epochs=1, hidden_units=(32, 16))
    >>> run.history.columns.tolist()
    ['accuracy', 'loss', 'val_accuracy', 'val_loss']

    Follows "Sequential API vs Functional API model in Keras": SGD, 0.01, batches of 32.
    """
    experiment = find_experiment(model)
    epochs = whole_number("epochs", experiment.epochs if epochs is None else epochs, highest=2**31 - 1)
    batch_size = whole_number("batch_size", batch_size, highest=2**31 - 1)
    learning_rate = positive_number("learning_rate", learning_rate)
    seed = whole_number("seed", seed, lowest=0, highest=2**32 - 1)
    if steps_per_execution is not None:
        whole_number("steps_per_execution", steps_per_execution, highest=2**31 - 1)
    if resume and overwrite:
        raise ValueError("`resume` and `overwrite` should not be asked for at once. Received: both.")
    folder = Path("runs") / experiment.name if out is None else file_path("out", out)
    check_folder(folder)
    if data is None or isinstance(data, (str, os.PathLike)):
        mnist, source = find_mnist(data)
    else:
        mnist, source = check_mnist(data, "`data`"), "arrays given to train"

    keras.utils.set_random_seed(seed)
    network = experiment.build(**builder_keywords)
    splits = experiment.prepare(mnist)
    settings = {
        "model": experiment.name,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        **builder_keywords,
        "digits": fingerprint(mnist),
    }
    versions = {"python": platform.python_version(), "keras": keras.version(), "tensorflow": version("tensorflow")}
    about = {"settings": settings, "data": source, "versions": versions, "backend": keras.config.backend()}
    record = RunRecord(folder, about, resume=resume, overwrite=overwrite)
    summary = _summary(network)
    with replacing(folder / "summary.txt") as temporary:
        temporary.write_text(summary, encoding="utf-8")
    plot_model(network, folder / "diagram.png")
    record.write()
    if verbose:
        print(f"Digits: {source}\n{summary}")

    digits = ReshuffledDataset(*splits.train, batch_size=batch_size, seed=seed)
    compile_model(network, experiment, learning_rate, steps_per_execution or _steps(digits.batches))
    try:
        network.fit(
            digits.dataset,
            epochs=epochs,
            shuffle=False,  # done by the dataset
            validation_data=splits.validation,
            validation_batch_size=batch_size,
            callbacks=[digits, record, WholeBackup(folder / "backup")],
            verbose=int(verbose),
        )
        test_metrics = network.evaluate(*splits.test, batch_size=batch_size, verbose=0, return_dict=True)
    except KeyboardInterrupt:
        _keep_last_epoch(network, folder, len(record.history), epochs)
        raise
    run = Run(network, record.history, test_metrics, folder)
    no_comparison = _save(run, experiment, len(mnist[0][0]))
    seconds = record.record["seconds_an_epoch"]
    record.write(seconds=round(sum(seconds), 2), final_epoch=run.history.iloc[-1].to_dict(), test=test_metrics)
    shutil.rmtree(folder / "backup", ignore_errors=True)
    if verbose:
        _report(run)
        if no_comparison:
            print(f"No comparison with the article: {no_comparison}")
    return run


def compile_model(
    model: keras.Model, experiment: Experiment, learning_rate: float, steps_per_execution: int = 1
) -> None:
    """Compile a model as its experiment says: SGD, and accuracy for every output."""
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate, momentum=experiment.momentum),
        loss=experiment.loss,
        # Today's Keras refuses the article's single ["accuracy"] for two outputs, and wants a list for each.
        metrics=["accuracy"] if len(model.outputs) == 1 else [["accuracy"] for _ in model.outputs],
        steps_per_execution=steps_per_execution,
    )


def _steps(batches: int) -> int:
    """About 64 batches an execution, in executions of nearly one size, so that the progress bar moves evenly."""
    # On several replicas Keras 3.15 stops at its own loop over batches ("You must feed a value for placeholder tensor").
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return 1
    return math.ceil(batches / math.ceil(batches / 64))


def _summary(model: keras.Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines) + "\n"


def _keep_last_epoch(network: keras.Model, folder: Path, finished: int, epochs: int) -> None:
    """Leave the last finished epoch's model in the folder, not that of the epoch that was cut short."""
    for weights in (folder / "backup" / "latest").glob("*.weights.h5"):
        network.load_weights(weights)
        with replacing(folder / "model.keras") as temporary:
            network.save(temporary)
    print(
        f"\nStopped after {finished} of {epochs} epochs, which are kept in {folder}. "
        "The same training with resume=True or --resume goes on from there.",
        file=sys.stderr,
    )


def _save(run: Run, experiment: Experiment, train_digits: int) -> str | None:
    """Save the model and its pictures; return why there is no comparison with the article, where there is none."""
    with replacing(run.folder / "model.keras") as temporary:
        run.model.save(temporary)
    plot_learning_curves(run.history, run.folder / "learning_curves.png", title=experiment.title)
    table, picture = run.folder / "article_comparison.csv", run.folder / "article_comparison.png"
    if experiment.name in LOGGED_MODELS and train_digits == FULL_TRAIN_DIGITS:
        comparison = compare_with_article(run.history, experiment.name)
        with replacing(table) as temporary:
            comparison.to_csv(temporary, index=False)
        plot_article_comparison(comparison, picture, title=experiment.title)
        return None
    table.unlink(missing_ok=True)  # of the run that this one replaced
    picture.unlink(missing_ok=True)
    if experiment.name not in LOGGED_MODELS:
        return "it prints no log of this model."
    return f"it trained on the full set of {FULL_TRAIN_DIGITS:,} digits, this run had {train_digits:,}."


def _report(run: Run) -> None:
    print()
    for name in (name for name in run.test_metrics if name.endswith("accuracy")):
        print(f"{name}: validation {run.history[f'val_{name}'].iloc[-1]:.4f}, test {run.test_metrics[name]:.4f}")
    print(f"Written to {run.folder}: " + ", ".join(name for name in FILES if (run.folder / name).exists()))
