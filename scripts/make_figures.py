"""Make the figures, the histories of other seeds, and the tables on the pages.

    python scripts/make_figures.py --data mnist.npz             # seed 0 of each model
    python scripts/make_figures.py --data mnist.npz --seeds 20  # the seeds 1 to 20
    python scripts/make_figures.py --data sample --seeds 20     # the same on the sample
    python scripts/make_figures.py --tables                     # the tables

Finished work is skipped, so each of these can be stopped at any time.
"""

import inspect
import json
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from program import run

import keras_model_wars as kmw

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"
PACKAGE = ROOT / "keras_model_wars"
PAGES = ("README.md", "docs/results.md", "docs/claims.md", "docs/api.md")
FULL_TRAIN_DIGITS = 60_000
LOGGED_MODELS = ("sequential", "wide_deep", "two_input_two_output")
# On the sample: enough epochs to tell a wrong model apart, and few enough for CI.
SAMPLE_EPOCHS = {"sequential": 10, "wide_deep": 2, "two_input_two_output": 2}
# The public names by the module that defines them.
GROUPS = {
    "Models": ("models", "experiments", "apis"),
    "Data": ("mnist", "splits"),
    "Training": ("training", "runs", "checks"),
    "Pictures": ("plotting",),
    "The articles": ("article_logs", "article_claims"),
    "Digits and pages": ("digits", "drawing", "report"),
}


def main(data: str | None = None, seeds: int = 0, tables: bool = False) -> None:
    """Train each model with seed 0 for the figures; or with the seeds 1 to SEEDS.

    DATA is an mnist.npz file, or "sample". With --tables, make the tables on the pages.
    """
    if tables:
        for name in PAGES:
            page = (ROOT / name).read_text(encoding="utf-8")
            (ROOT / name).write_text(fill(page), encoding="utf-8")
    elif seeds:
        add_seeds(data, seeds)
    else:
        make_figures(data)


def make_figures(data: str | None) -> None:
    """Train each model with seed 0, and save its files in figures/MODEL."""
    mnist = kmw.load_mnist(data)
    (x_train, y_train), _ = mnist
    if len(x_train) != FULL_TRAIN_DIGITS:
        raise kmw.InputError(f"The figures need the full MNIST. Received: {data}")
    kmw.plot_samples(x_train[:40], y_train[:40], FIGURES / "samples.png")
    for model in kmw.EXPERIMENTS:
        folder = FIGURES / model
        # Models are not committed. If one is there, its pictures are drawn again.
        if (folder / "model.keras").exists() or not (folder / "mistakes.png").exists():
            kmw.train(model, data=mnist, out=folder, resume=True)


def add_seeds(data: str | None, count: int) -> None:
    """Add the missing ones of the seeds 1 to ``count`` to the histories."""
    mnist = kmw.load_mnist(data)
    is_full = len(mnist[0][0]) == FULL_TRAIN_DIGITS
    for model in LOGGED_MODELS:
        kind = "seeds" if is_full else "sample_seeds"
        epochs = None if is_full else SAMPLE_EPOCHS[model]
        log = PACKAGE / "logs" / f"{model}_{kind}.csv"
        done = set(pd.read_csv(log)["seed"]) if log.exists() else set()
        for seed in sorted(set(range(1, count + 1)) - done):
            trained = kmw.train(
                model, seed=seed, data=mnist, epochs=epochs, verbose=False
            )
            rows = trained.history.reset_index()
            rows.insert(0, "seed", seed)
            rows.to_csv(log, mode="a", header=not log.exists(), index=False)
            print(f"{log.name}: seed {seed}", flush=True)


def models_table() -> pd.DataFrame:
    """Return each model's validation accuracy with seed 0, and the article's."""
    rows = []
    for name, experiment in kmw.EXPERIMENTS.items():
        record = _record(name)
        shows = experiment.title.partition(": ")[2]
        article = ""
        if name in LOGGED_MODELS:
            article = _accuracies(kmw.article_log(name).iloc[-1], "val_")
        row = {
            "model, what it shows, parameters": f"[`{name}`](figures/{name}/diagram.png)"
            f"<br>{shows}<br>{record['parameters']:,}",
            "here": _accuracies(_history(name).iloc[-1], "val_"),
            "article": article,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def accuracy_table() -> pd.DataFrame:
    """Return each model's validation and test accuracy with seed 0."""
    rows = []
    for name, experiment in kmw.EXPERIMENTS.items():
        record = _record(name)
        row = {
            "model": experiment.title,
            "validation": _accuracies(_history(name).iloc[-1], "val_"),
            "test": _accuracies(record["test"]),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def seeds_table() -> pd.DataFrame:
    """Return how the article's run and our seed 0 lie among the other seeds."""
    rows = []
    for model in LOGGED_MODELS:
        seeds = kmw.seed_histories(model)
        seed_0 = _history(model)
        comparison = kmw.compare_with_article(seed_0, model)
        for who, history, inside in (
            ("the article", kmw.article_log(model), comparison["article_inside"]),
            ("our seed 0", seed_0, comparison["inside"]),
        ):
            typical = kmw.how_typical(history, seeds)
            row = {
                "run": f"{_words(model)}: {who}",
                "inside": f"{inside.sum()} of {len(inside)}",
                "distance": f"{typical.distance:.2f}",
                "of the seeds": f"{min(typical.others):.2f} to {max(typical.others):.2f}",
                "seeds farther": f"{typical.farther} of {len(seeds)}",
            }
            rows.append(row)
    return pd.DataFrame(rows)


def last_epoch_table() -> pd.DataFrame:
    """Return the accuracies after the last epoch, and the interval of the seeds."""
    rows = []
    for model in LOGGED_MODELS:
        comparison = kmw.compare_with_article(_history(model), model)
        last = comparison[comparison["epoch"] == comparison["epoch"].max()]
        for row in last[last["metric"].str.endswith("accuracy")].itertuples():
            cells = {
                "accuracy": f"{_words(model)}: {_words(row.metric)}",
                "article": f"{row.article:.4f}",
                "here": f"{row.measured:.4f}",
                "95% of seeds": f"{row.low:.4f} to {row.high:.4f}",
            }
            rows.append(cells)
    return pd.DataFrame(rows)


def seconds_table() -> pd.DataFrame:
    """Return the seconds of the quickest epoch; other programs can only add to it."""
    rows = []
    for model in LOGGED_MODELS:
        row = {
            "seconds per epoch": _words(model),
            "article": f"{kmw.article_log(model)['seconds'].min():.0f}",
            "here": f"{min(_record(model)['seconds_per_epoch']):.1f}",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def claims_list() -> str:
    """Return the articles' claims as a list, and how many of them hold."""
    claims = kmw.claims()
    words = {"yes": "The claim holds.", "no": "**The claim is wrong.**"}
    item = (
        "* **{statement}**\\\n"
        '  The {article} article, under "{section}": {the article}. '
        "Keras: {Keras}. {holds}\n"
        "  > {evidence}"
    )
    lines = [
        item.format_map(row)
        for row in claims.replace({"holds": words}).to_dict("records")
    ]
    holding = sum(claims["holds"] == "yes")
    return "\n".join([*lines, f"\n{holding} of {len(claims)} claims hold."])


def api_list() -> str:
    """Return the public names in groups, each with its signature and first line."""
    stub = (PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    lines = []
    for heading, modules in GROUPS.items():
        lines += [f"## {heading}", ""]
        for module in modules:
            names = re.findall(rf"from \.{module} import (\w+)", stub)
            lines += map(_describe, names)
        lines.append("")
    return "\n".join(lines)


def _describe(name: str) -> str:
    value = getattr(kmw, name)
    doc = inspect.getdoc(value) or ""
    signature = ""
    if name == "EXPERIMENTS":  # a dict has no docstring of its own
        doc = "The articles' models and how each is trained, by name."
    elif name != "InputError":  # which is called as any exception
        signature = _signature(value)
    first_line = doc.partition("\n")[0].replace("``", "`")
    return f"* `kmw.{name}{signature}`\\\n  {first_line}"


def _signature(value: Callable) -> str:
    """Return the arguments of a function or class, without types."""
    signature = inspect.signature(value)
    arguments = [
        argument.replace(annotation=argument.empty)
        for argument in signature.parameters.values()
    ]
    plain = signature.replace(parameters=arguments, return_annotation=signature.empty)
    # A default that is a function shows its name.
    return re.sub(r"<function (\w+) at \w+>", r"\1", str(plain))


def fill(page: str) -> str:
    """Return a page with each table made again, after its ``<!-- table: NAME -->``."""

    def table(match: re.Match) -> str:
        made = TABLES[match[1]]()
        if isinstance(made, pd.DataFrame):
            made = made.to_markdown(index=False, disable_numparse=True)
            # Narrow, so that one longer cell does not change every line.
            made = re.sub(r" +\|", " |", re.sub(r"-{3,}", "--", made))
        return f"<!-- table: {match[1]} -->\n{made}\n<!-- end -->"

    pattern = r"<!-- table: ([\w ]+) -->\n.*?<!-- end -->"
    return re.sub(pattern, table, page, flags=re.DOTALL)


TABLES = {
    "api": api_list,
    "models": models_table,
    "accuracy": accuracy_table,
    "seeds": seeds_table,
    "last epoch": last_epoch_table,
    "seconds": seconds_table,
    "scoreboard": lambda: kmw.scoreboard(),
    "claims": claims_list,
    "keras": lambda: f"Made with Keras {version('keras')}.",
}


def _record(model: str) -> dict[str, Any]:
    return json.loads((FIGURES / model / "run.json").read_text(encoding="utf-8"))


def _history(model: str) -> pd.DataFrame:
    return pd.read_csv(FIGURES / model / "history.csv", index_col="epoch")


def _words(name: str) -> str:
    """Return a name in words, which can wrap on a narrow screen."""
    return name.replace("_", " ")


def _accuracies(metrics: Any, prefix: str = "") -> str:
    """Return the accuracy of each output, in a cell of a table."""
    return "<br>".join(
        f"{value:.4f}"
        for name, value in metrics.items()
        if name.startswith(prefix) and name.endswith("accuracy")
    )


if __name__ == "__main__":
    run(main)
