"""Make what the pages show: figures, histories of other seeds and of wrong versions, and tables. For maintainers.

    python scripts/make_figures.py --data mnist.npz              # figures: full runs of all models with seed 0
    python scripts/make_figures.py --data mnist.npz --seeds 20   # histories of the seeds 1 to 20
    python scripts/make_figures.py --data sample --seeds 20      # the same on the bundled sample
    python scripts/make_figures.py --data mnist.npz --versions   # histories of wrong versions
    python scripts/make_figures.py --tables                      # the tables in README.md and docs/

Skips what is there already, and can be stopped at any time. The figures take about half an hour on two cores.
"""

import argparse
import inspect
import json
import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from tabulate import tabulate
from versions import VERSIONS, train_version

import keras_model_wars as kmw
from keras_model_wars.article_claims import list_claims, summarize_claims
from keras_model_wars.article_logs import LOGGED_MODELS, Typicality
from keras_model_wars.keras_pitfalls import list_pitfalls
from keras_model_wars.mnist import FULL_TRAIN_DIGITS, find_mnist
from keras_model_wars.training import train

ROOT = Path(__file__).parents[1]
FIGURES, LOGS = ROOT / "figures", ROOT / "keras_model_wars" / "logs"
VERSION_LOG = FIGURES / "versions.csv"
PAGES = ("README.md", "docs/results.md", "docs/claims.md", "docs/api.md")
# On the sample: enough epochs to tell a wrong model apart, and few enough for CI.
SAMPLE_EPOCHS = {"sequential": 10, "wide_deep": 2, "two_input_two_output": 2}


def make_figures(data: str) -> None:
    """Train every model in full with seed 0, and leave its files in figures/MODEL."""
    (x_train, y_train), _ = kmw.load_mnist(data)
    if len(x_train) != FULL_TRAIN_DIGITS:
        raise SystemExit(
            f"error: the figures need the full MNIST. Received: {len(x_train):,} training digits."
        )
    kmw.plot_samples(x_train[:40], y_train[:40], FIGURES / "samples.png")
    for model in kmw.EXPERIMENTS:
        folder = FIGURES / model
        # Without its model, a finished run can't be drawn again; with it, the pictures are made anew.
        if (folder / "model.keras").exists() or not (folder / "mistakes.png").exists():
            train(model, data=data, out=folder, resume=True)


def add_seeds(data: str, count: int) -> None:
    """Add the seeds up to ``count`` that are missing to the logs of a full or a sample's run."""
    mnist, _ = find_mnist(data)
    full = len(mnist[0][0]) == FULL_TRAIN_DIGITS
    for model in LOGGED_MODELS:
        log = LOGS / (f"{model}_seeds.csv" if full else f"{model}_sample_seeds.csv")
        there = set(pd.read_csv(log)["seed"]) if log.exists() else set()
        for seed in sorted({*range(1, count + 1)} - there):
            run = train(
                model,
                seed=seed,
                data=mnist,
                epochs=None if full else SAMPLE_EPOCHS[model],
                verbose=False,
            )
            _append(log, run.history, seed=seed)
            print(f"{log.name}: seed {seed}", flush=True)


def add_versions(data: str) -> None:
    """Add the histories of the wrong versions that are missing."""
    mnist, _ = find_mnist(data)
    there = set(pd.read_csv(VERSION_LOG)["version"]) if VERSION_LOG.exists() else set()
    for version in VERSIONS:
        if version.name not in there:
            _append(
                VERSION_LOG,
                train_version(version, data=mnist).history,
                version=version.name,
                model=version.model,
            )
            print(f"{VERSION_LOG.name}: {version.name}", flush=True)


def _append(log: Path, history: pd.DataFrame, **columns: object) -> None:
    rows = history.reset_index()
    for place, (name, value) in enumerate(columns.items()):
        rows.insert(place, name, value)
    if log.exists():
        # As text: pandas would round the rows that are there.
        rows = pd.concat([pd.read_csv(log, dtype=str), rows])
    rows.to_csv(log, index=False)


# Plain words, which wrap on a narrow screen; a name in code does not.
IN_WORDS = {
    "sequential": "Sequential",
    "wide_deep": "wide and deep",
    "two_input_two_output": "two inputs and outputs",
}


def models_table() -> pd.DataFrame:
    """Return one row per model: its name, what it shows, its size, and its accuracy here and in the article."""
    rows = []
    for name, experiment in kmw.EXPERIMENTS.items():
        run = json.loads((FIGURES / name / "run.json").read_text(encoding="utf-8"))
        metrics = [
            f"val_{metric}" for metric in run["test"] if metric.endswith("accuracy")
        ]
        last = kmw.article_log(name).iloc[-1] if name in LOGGED_MODELS else None
        shows = experiment.title.split(": ", 1)[1]
        rows.append(
            {
                "model, what it shows, parameters": f"[`{name}`](figures/{name}/diagram.png)<br>{shows}<br>{run['parameters']:,}",
                "here": _accuracies(run["final_epoch"], metrics),
                "article": "" if last is None else _accuracies(last, metrics),
            }
        )
    return pd.DataFrame(rows)


def accuracy_table() -> pd.DataFrame:
    """Return one row per model: the accuracy of its full run with seed 0 on the validation and the test set."""
    rows = []
    for name, experiment in kmw.EXPERIMENTS.items():
        run = json.loads((FIGURES / name / "run.json").read_text(encoding="utf-8"))
        metrics = [metric for metric in run["test"] if metric.endswith("accuracy")]
        rows.append(
            {
                "model": experiment.title,
                "validation": _accuracies(
                    run["final_epoch"], [f"val_{metric}" for metric in metrics]
                ),
                "test": _accuracies(run["test"], metrics),
            }
        )
    return pd.DataFrame(rows)


def seeds_table() -> pd.DataFrame:
    """Return three rows per model of the article: its log, our seed 0, and the other seeds, as the log is among them."""
    rows = []
    for model, words in IN_WORDS.items():
        log, ours, seeds = (
            kmw.article_log(model).drop(columns="seconds"),
            _history(model),
            kmw.seed_histories(model),
        )
        comparison = kmw.compare_with_article(ours, model)
        of_log, of_ours = kmw.how_typical(log, seeds), kmw.how_typical(ours, seeds)
        for who, typical, inside in (
            ("the article", of_log, "article_inside"),
            ("our seed 0", of_ours, "inside"),
        ):
            rows.append(
                {
                    "run": f"{words}: {who}",
                    "inside": f"{comparison[inside].sum()} of {len(comparison)}",
                    "distance": f"{typical.distance:.2f}",
                    "seeds farther": f"{typical.farther} of {len(seeds)}",
                }
            )
        distances = f"{min(of_log.others):.2f} to {max(of_log.others):.2f}"
        rows.append(
            {
                "run": f"{words}: {len(seeds)} other seeds",
                "inside": "",
                "distance": distances,
                "seeds farther": "",
            }
        )
    return pd.DataFrame(rows)


def versions_table() -> pd.DataFrame:
    """Return one row per wrong version: its distance after two epochs and after all, beside the farthest seed's."""
    log = pd.read_csv(VERSION_LOG).set_index("epoch")
    rows = []
    for version in VERSIONS:
        seeds = kmw.seed_histories(version.model)
        history = log.loc[log["version"] == version.name, seeds[0].columns]
        row = {"version": f"{IN_WORDS[version.model]}: {version.name}"}
        if np.isfinite(history).all(axis=None):
            early, whole = (
                kmw.how_typical(history.head(epochs), seeds)
                for epochs in (2, len(history))
            )
            row["2 epochs"] = _distance(early)
            row["all epochs"] = (
                f"{len(history)}: {_distance(whole)}" if len(history) > 2 else ""
            )
            row["told apart"] = "no" if early.farther and whole.farther else "yes"
        else:
            row |= {"2 epochs": "diverges", "all epochs": "", "told apart": "yes"}
        rows.append(row)
    return pd.DataFrame(rows)


def alike_versions() -> str:
    """Return in words which wrong versions are not told apart."""
    table = versions_table()
    alike = "; ".join(table.loc[table["told apart"] == "no", "version"])
    return (
        f"Not told apart from our model with another seed: {alike}."
        if alike
        else "All of them are told apart."
    )


def last_epoch_table() -> pd.DataFrame:
    """Return the accuracies of the last epoch: the article's, our seed 0's and the interval of our other seeds."""
    rows = []
    for model, words in IN_WORDS.items():
        comparison = kmw.compare_with_article(_history(model), model)
        last = comparison[
            comparison["metric"].str.endswith("accuracy")
            & (comparison["epoch"] == comparison["epoch"].max())
        ]
        for row in last.itertuples():
            part = "validation" if row.metric.startswith("val_") else "training"
            output = (
                f" of output {found[1].upper()}"
                if (found := re.search("output_(.)", row.metric))
                else ""
            )
            rows.append(
                {
                    "accuracy": f"{words}: {part}{output}",
                    "article": f"{row.article:.4f}",
                    "here": f"{row.measured:.4f}",
                    "95% of seeds": f"{row.low:.4f} to {row.high:.4f}",
                }
            )
    return pd.DataFrame(rows)


def seconds_table() -> pd.DataFrame:
    """Return the seconds of the quickest epoch, the article's and ours; other programs can only add to it."""
    rows = []
    for model, words in IN_WORDS.items():
        record = json.loads((FIGURES / model / "run.json").read_text(encoding="utf-8"))
        then, now = (
            kmw.article_log(model)["seconds"].min(),
            min(record["seconds_per_epoch"]),
        )
        rows.append(
            {"seconds per epoch": words, "article": f"{then:.0f}", "here": f"{now:.1f}"}
        )
    return pd.DataFrame(rows)


def scoreboard_table() -> pd.DataFrame:
    """Return the scoreboard with names that can be broken on a narrow screen."""
    return kmw.scoreboard().rename(
        columns={
            "Sequential": "Sequen&shy;tial",
            "Functional": "Func&shy;tional",
            "subclassed": "sub&shy;classed",
        }
    )


def claims_list() -> str:
    """Return the articles' claims as a list, and how many of them hold."""
    claims = kmw.claims()
    return f"{list_claims(claims)}\n\n{summarize_claims(claims)}"


def pitfalls_list() -> str:
    """Return the pitfalls as a list."""
    return list_pitfalls(kmw.pitfalls())


def api_table() -> pd.DataFrame:
    """Return one row per public name, with the first line of its docstring."""
    rows = []
    for name in kmw.__all__:
        line = inspect.getdoc(getattr(kmw, name)).partition("\n")[0]
        if name == "EXPERIMENTS":  # a dict has no docstring of its own
            line = "The articles' models and how each is trained, by name."
        row = {"name": f"`kmw.{name}`", "what it does": line.replace("``", "`")}
        rows.append(row)
    return pd.DataFrame(rows)


TABLES = {
    "api": api_table,
    "models": models_table,
    "accuracy": accuracy_table,
    "seeds": seeds_table,
    "versions": versions_table,
    "alike": alike_versions,
    "last epoch": last_epoch_table,
    "seconds": seconds_table,
    "scoreboard": scoreboard_table,
    "claims": claims_list,
    "pitfalls": pitfalls_list,
    "keras": lambda: f"Made with Keras {keras.version()}.",
}


def fill(page: str) -> str:
    """Return a page with its tables made anew: what stands between ``<!-- table: NAME -->`` and ``<!-- end -->``."""

    def table(match: re.Match) -> str:
        made = TABLES[match[1]]()
        if isinstance(made, pd.DataFrame):
            made = tabulate(
                made,
                headers="keys",
                tablefmt="pipe",
                showindex=False,
                disable_numparse=True,
            )
            made = re.sub(
                r" +\|", " |", re.sub(r"-{3,}", "--", made)
            )  # narrow, for diffs
        return f"<!-- table: {match[1]} -->\n{made}\n<!-- end -->"

    return re.sub(
        r"<!-- table: ([\w ]+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL
    )


def _accuracies(values: dict, metrics: list[str]) -> str:
    return "<br>".join(f"{values[metric]:.4f}" for metric in metrics)


def _distance(typical: Typicality) -> str:
    return f"{typical.distance:.2f} ({max(typical.others):.2f})"


def _history(model: str) -> pd.DataFrame:
    return pd.read_csv(FIGURES / model / "history.csv", index_col="epoch")


def main() -> None:
    """Do what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an mnist.npz as Keras's, or sample")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="make the histories of the seeds 1 to N"
    )
    parser.add_argument(
        "--versions", action="store_true", help="make the histories of wrong versions"
    )
    parser.add_argument("--tables", action="store_true", help="make the pages' tables")
    options = parser.parse_args()
    if options.tables:
        for name in PAGES:
            page = (ROOT / name).read_text(encoding="utf-8")
            (ROOT / name).write_text(fill(page), encoding="utf-8")
    elif options.seeds:
        add_seeds(options.data, options.seeds)
    elif options.versions:
        add_versions(options.data)
    else:
        make_figures(options.data)


if __name__ == "__main__":
    main()
