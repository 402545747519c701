"""Make what the pages show: figures, histories of other seeds and of wrong versions, and tables. For maintainers.

    python scripts/make_figures.py --data mnist.npz              # figures: full runs of all models with seed 0
    python scripts/make_figures.py --data mnist.npz --seeds 20   # histories of the seeds 1 to 20
    python scripts/make_figures.py --data sample --seeds 20      # the same on the bundled sample
    python scripts/make_figures.py --data mnist.npz --versions   # histories of wrong versions
    python scripts/make_figures.py --tables                      # the tables in README.md and docs/

Skips what is there already, and can be stopped at any time. The figures take about half an hour on two cores.
"""

import argparse
import json
import re
from pathlib import Path

import keras
import pandas as pd
from tabulate import tabulate
from versions import VERSIONS, train_version

import keras_model_wars as kmw
from keras_model_wars.article_logs import LOGGED_MODELS
from keras_model_wars.mnist import FULL_TRAIN_DIGITS, find_mnist
from keras_model_wars.training import train

ROOT = Path(__file__).parents[1]
FIGURES, LOGS = ROOT / "figures", ROOT / "keras_model_wars" / "logs"
VERSION_LOG = FIGURES / "versions.csv"
PAGES = ("README.md", "docs/results.md", "docs/claims.md")
# On the sample: enough epochs to tell a wrong model apart, and few enough for CI.
SAMPLE_EPOCHS = {"sequential": 10, "wide_deep": 2, "two_input_two_output": 2}


def make_figures(data: str) -> None:
    """Train every model in full with seed 0, and leave its files in figures/MODEL."""
    (x_train, y_train), _ = kmw.load_mnist(data)
    if len(x_train) != FULL_TRAIN_DIGITS:
        raise SystemExit(f"error: the figures need the full MNIST. Received: {len(x_train):,} training digits.")
    kmw.plot_samples(x_train[:40], y_train[:40], FIGURES / "samples.png")
    for model in kmw.EXPERIMENTS:
        train(model, data=data, out=FIGURES / model, resume=True)


def add_seeds(data: str, count: int) -> None:
    """Add the seeds up to ``count`` that are missing to the logs of a full or a sample's run."""
    mnist, _ = find_mnist(data)
    full = len(mnist[0][0]) == FULL_TRAIN_DIGITS
    for model in LOGGED_MODELS:
        log = LOGS / (f"{model}_seeds.csv" if full else f"{model}_sample_seeds.csv")
        there = set(pd.read_csv(log)["seed"]) if log.exists() else set()
        for seed in sorted({*range(1, count + 1)} - there):
            run = train(model, seed=seed, data=mnist, epochs=None if full else SAMPLE_EPOCHS[model], verbose=False)
            _append(log, run.history, seed=seed)
            print(f"{log.name}: seed {seed}", flush=True)


def add_versions(data: str) -> None:
    """Add the histories of the wrong versions that are missing."""
    mnist, _ = find_mnist(data)
    there = set(pd.read_csv(VERSION_LOG)["version"]) if VERSION_LOG.exists() else set()
    for version in VERSIONS:
        if version.name not in there:
            _append(VERSION_LOG, train_version(version, data=mnist).history, version=version.name, model=version.model)
            print(f"{VERSION_LOG.name}: {version.name}", flush=True)


def _append(log: Path, history: pd.DataFrame, **columns: object) -> None:
    rows = history.reset_index()
    for place, (name, value) in enumerate(columns.items()):
        rows.insert(place, name, value)
    if log.exists():
        # As text: pandas would round the rows that are there.
        rows = pd.concat([pd.read_csv(log, dtype=str), rows])
    rows.to_csv(log, index=False)


def models_table() -> pd.DataFrame:
    """Return one row per model: what it shows, its builder, its size and its accuracy here and in the article."""
    rows = []
    for name, experiment in kmw.EXPERIMENTS.items():
        run = json.loads((FIGURES / name / "run.json").read_text(encoding="utf-8"))
        metrics = [metric for metric in run["test"] if metric.endswith("accuracy")]
        log = kmw.article_log(name) if name in LOGGED_MODELS else None
        rows.append(
            {
                "model": f"[`{name}`](figures/{name}/diagram.png)",
                "shows": experiment.title.split(": ", 1)[1].split("? ")[0].rstrip("?"),
                "builder": f"`{experiment.builder}`",
                "parameters": f"{run['parameters']:,}",
                "validation": _accuracies(run["final_epoch"], [f"val_{metric}" for metric in metrics]),
                "test": _accuracies(run["test"], metrics),
                "article": "" if log is None else _accuracies(log.iloc[-1], [f"val_{metric}" for metric in metrics]),
            }
        )
    return pd.DataFrame(rows)


def seeds_table() -> pd.DataFrame:
    """Return one row per model of the article: how its log and our seed 0 compare with our other seeds."""
    rows = []
    for model in LOGGED_MODELS:
        seeds, ours = kmw.seed_histories(model), _history(model)
        comparison = kmw.compare_with_article(ours, model)
        row = {"model": f"`{model}`", "seeds": len(seeds)}
        for who, history, inside in (("article", kmw.article_log(model), "article_inside"), ("seed 0", ours, "inside")):
            typical = kmw.how_typical(history, seeds)
            row[f"{who}: inside"] = f"{comparison[inside].sum()} of {len(comparison)}"
            row[f"{who}: distance"] = f"{typical.distance:.2f}"
            row[f"{who}: seeds farther"] = f"{typical.farther} of {len(seeds)}"
        row["seeds' distances"] = f"{min(typical.others):.2f} to {max(typical.others):.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


def versions_table() -> pd.DataFrame:
    """Return one row per wrong version: its distance after two epochs and after all, beside the farthest seed's."""
    log = pd.read_csv(VERSION_LOG)
    rows = []
    for version in VERSIONS:
        rows_of_version = log[log["version"] == version.name].set_index("epoch").drop(columns=["version", "model"])
        history, seeds = rows_of_version.dropna(axis="columns"), kmw.seed_histories(version.model)
        early, whole = (kmw.how_typical(history.head(epochs), seeds) for epochs in (2, len(history)))
        rows.append(
            {
                "model": f"`{version.model}`",
                "version": version.name,
                "2 epochs: distance": f"{early.distance:.2f}",
                "farthest seed": f"{max(early.others):.2f}",
                "seeds farther": str(early.farther),
                "epochs": str(len(history)),
                "distance": f"{whole.distance:.2f}",
                "farthest seed ": f"{max(whole.others):.2f}",
                "seeds farther ": str(whole.farther),
                "told apart": "no" if early.farther and whole.farther else "yes",
            }
        )
    return pd.DataFrame(rows)


def last_epoch_table() -> pd.DataFrame:
    """Return the last epoch of the article's logs beside our seed 0, and the seconds of the quickest epoch of each."""
    rows = []
    for model in LOGGED_MODELS:
        log, record = kmw.article_log(model), json.loads((FIGURES / model / "run.json").read_text(encoding="utf-8"))
        comparison = kmw.compare_with_article(_history(model), model)
        last = comparison[comparison["metric"].str.endswith("accuracy") & (comparison["epoch"] == len(log))]
        for row in last.itertuples():
            rows.append(
                {
                    "model": f"`{model}`",
                    "epoch": len(log),
                    "metric": f"`{row.metric}`",
                    "article": f"{row.article:.4f}",
                    "here": f"{row.measured:.4f}",
                    "difference": f"{row.difference:+.4f}",
                    "seeds, 95 %": f"{row.low:.4f} to {row.high:.4f}",
                    # The quickest, because other programs on the machine can only add to it.
                    "seconds, article": f"{log['seconds'].min():.0f}",
                    "seconds, here": f"{min(record['seconds_per_epoch']):.1f}",
                }
            )
    return pd.DataFrame(rows)


def as_list(table: pd.DataFrame, statement: str, facts: list[str], evidence: str) -> str:
    """Return a table as a Markdown list: the statement, its facts in one line, and the evidence in a line of its own."""
    items = []
    for row in table.to_dict("records"):
        said = "; ".join(f"{name}: {row[name]}" for name in facts)
        items.append(f"* **{row[statement]}**\n  {said}\n  > {row[evidence]}")
    return "\n".join(item.replace("\n", "\\\n", 1).replace("\n  >", "\n\n  >") for item in items)


TABLES = {
    "models": models_table,
    "seeds": seeds_table,
    "versions": versions_table,
    "last epoch": last_epoch_table,
    "scoreboard": kmw.scoreboard,
    "claims": lambda: as_list(kmw.claims(), "statement", ["article", "the article", "Keras", "holds"], "evidence"),
    "changes": lambda: as_list(kmw.changes(), "in the articles", ["today's form", "tried"], "today"),
    "pitfalls": lambda: as_list(kmw.pitfalls(), "pitfall", ["cure", "cured", "still true"], "today"),
    "keras": lambda: f"Made with Keras {keras.version()}.",
}


def fill(page: str) -> str:
    """Return a page with its tables made anew: what stands between ``<!-- table: NAME -->`` and ``<!-- end -->``."""

    def table(match: re.Match) -> str:
        made = TABLES[match[1]]()
        if isinstance(made, pd.DataFrame):
            made = tabulate(made, headers="keys", tablefmt="pipe", showindex=False, disable_numparse=True)
            made = re.sub(r" +\|", " |", re.sub(r"-{3,}\|", "--|", made))  # narrow, for diffs and for screens
        return f"<!-- table: {match[1]} -->\n\n{made}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([\w ]+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def _accuracies(values: dict, metrics: list[str]) -> str:
    return " / ".join(f"{values[metric]:.4f}" for metric in metrics)


def _history(model: str) -> pd.DataFrame:
    return pd.read_csv(FIGURES / model / "history.csv", index_col="epoch")


def main() -> None:
    """Do what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="an mnist.npz as Keras's, or sample")
    parser.add_argument("--seeds", type=int, metavar="N", help="make the histories of the seeds 1 to N")
    parser.add_argument("--versions", action="store_true", help="make the histories of wrong versions")
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
