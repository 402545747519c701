"""The `keras-model-wars` command."""

import importlib.metadata
import os
import shlex
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table

import keras_model_wars as kmw  # its names import Keras, which takes seconds, only where a command uses them
from keras_model_wars.checks import InputError, import_keras, picture_path
from keras_model_wars.experiments import EXPERIMENTS, find_experiment

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, draw and train the models of two articles on Keras's Sequential and Functional API.",
)


def _widths(text: str) -> dict[str, tuple[int, ...]]:
    try:
        return {"hidden_units": tuple(map(int, text.split(",")))}
    except ValueError:
        raise typer.BadParameter(
            "it should be two numbers above zero, such as 256,128"
        ) from None


MODELS, ARTICLE = ", ".join(EXPERIMENTS), "the article's"
DIGITS = "KERAS_MODEL_WARS_MNIST, Keras's, or the sample"
UNITS = "Widths of the first two hidden layers, such as 256,128."
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help=f"One of {MODELS}; a run's folder or a .keras file."
    ),
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="A run's folder, such as runs/sequential, or a .keras file."
    ),
]
Runs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[RUN...]", show_default="all finished in runs/"),
]
Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE", help="Pictures of one digit, one for each input."),
]
HiddenUnits = Annotated[
    Any, typer.Option(metavar="A,B", parser=_widths, help=UNITS, show_default=ARTICLE)
]
Data = Annotated[
    Path | None,
    typer.Option(help="An mnist.npz as Keras's, or sample.", show_default=DIGITS),
]
RunsFolder = Annotated[
    Path, typer.Option(help="A folder of runs, or a single run's folder.")
]
Page = Annotated[Path, typer.Option(help="The page to write.")]
Count = Annotated[int, typer.Option(min=1, max=400, help="How many digits.")]
Picture = Annotated[
    Path | None,
    typer.Option("--out", callback=picture_path, help="A .png, .svg or .pdf file."),
]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context, version: Annotated[bool, typer.Option("--version")] = False
) -> None:
    """Print the version, or the help where no command is named."""
    if version:
        print(importlib.metadata.version("keras-model-wars"))
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="list")
def list_models() -> None:
    """List the models."""
    _print_table(
        {"model": e.name, "title": e.title, "epochs": e.epochs}
        for e in EXPERIMENTS.values()
    )


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {MODELS}.")],
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the digits.", show_default=ARTICLE)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Digits per step.", show_default=ARTICLE)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of SGD.", show_default=ARTICLE)
    ] = None,
    hidden_units: HiddenUnits = None,
    seed: Annotated[
        int, typer.Option(help="For the initial weights and the order of the digits.")
    ] = 0,
    data: Data = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files.", show_default="runs/MODEL"),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue an interrupted run, or a shorter one."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over in the run's folder.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print only warnings and errors.")
    ] = False,
) -> None:
    """Train a model, and save it with its history and pictures in a folder."""
    threads, widths = find_experiment(model).intra_op_threads, hidden_units or {}
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "data": data,
    }
    files = {
        "out": out or Path("runs") / model,
        "resume": resume,
        "overwrite": overwrite,
        "verbose": not quiet,
    }
    # The number of threads was chosen for the article's widths; for others it is up to TensorFlow.
    import_keras(None if widths else threads)
    kmw.train(model, **settings, **files, **widths)


@app.command()
def summary(model: Model, hidden_units: HiddenUnits = None) -> None:
    """Print a model's layers, their shapes and numbers of parameters."""
    _network(model, hidden_units).summary()


@app.command()
def plot(model: Model, hidden_units: HiddenUnits = None, out: Picture = None) -> None:
    """Draw a model's diagram, without a system Graphviz; `plot simple` draws neurons."""
    out = out or Path(f"{Path(model).resolve().stem}.png")
    if model == "simple" and hidden_units is None:
        kmw.plot_neurons(to_file=out)
    else:
        kmw.plot_model(_network(model, hidden_units, also="simple, "), out)
    print(f"Written: {out}")


@app.command()
def samples(
    data: Data = None, count: Count = 40, out: Picture = Path("samples.png")
) -> None:
    """Draw the first training digits with their labels."""
    (x_train, y_train), _ = kmw.load_mnist(data)
    kmw.plot_samples(x_train[:count], y_train[:count], out)
    print(f"Written: {out}")


@app.command()
def which_api(model: Model, hidden_units: HiddenUnits = None) -> None:
    """Tell which API a model needs, and why."""
    network = _network(model, hidden_units)
    verdict = kmw.which_api(network)
    print(f"{network.name} needs the {verdict.api} API.")
    if verdict.reasons:
        _print_table(
            {"reason": reason.kind, "what": reason.text} for reason in verdict.reasons
        )


@app.command()
def predict(run: Run, images: Images, out: Picture = None) -> None:
    """Tell which digit a trained model sees in each picture."""
    predictions = kmw.predict_digits(kmw.load_model(run), images)
    full, pairs = (
        "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#",
        predictions.index.nlevels > 1,
    )
    for names, row in predictions.iterrows():
        same = "the same digit" if row.iloc[0] > 0.5 else "different digits"
        print(f"{' and '.join(names)}: {same}" if pairs else f"{names}: {row.idxmax()}")
        _print_table(
            {"digit": d, "probability": f"{p:.3f}", "from 0 to 1": full * round(30 * p)}
            for d, p in row.items()
        )
    if out is not None:
        kmw.plot_predictions(images, predictions, out)
        print(f"Written: {out}")


@app.command()
def claims() -> None:
    """Put both articles' claims to the test, and show what has changed since."""
    titles = (
        "What each API can do",
        "What the articles claim",
        "What has changed since",
        "What trips readers today",
    )
    for title, table in zip(
        titles, (kmw.scoreboard, kmw.claims, kmw.changes, kmw.pitfalls)
    ):
        print(f"{title}\n")
        _print_table(table().to_dict("records"))


@app.command()
def report(runs: RunsFolder = Path("runs"), out: Page = Path("report.html")) -> None:
    """Write one HTML page about your finished runs."""
    from keras_model_wars.report import make_report

    make_report(runs, out)
    print(f"Written: {out}")


@app.command()
def draw(runs: Runs = None) -> None:
    """Open a page to draw a digit on, and watch the models answer."""
    # Not parsed: a damaged record is no reason to draw with none of the others.
    finished = [
        file.parent
        for file in sorted(Path("runs").glob("*/run.json"))
        if b'"test"' in file.read_bytes()
    ]
    if not (runs := runs or finished):
        raise InputError(
            "`runs/` should hold a finished run; `keras-model-wars train sequential` makes one",
            "none",
        )
    networks = {run.stem: kmw.load_model(run) for run in runs}
    from keras_model_wars.drawing import serve_drawing

    serve_drawing(networks)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's mistake ends in one line on standard error and exit status 2."""
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(
            errors="replace"
        )  # for a Windows code page that lacks a letter of a file's name
    try:
        sys.exit(app(args=arguments, standalone_mode=False) or 0)
    except typer.TyperException as error:
        received = shlex.join(
            ["keras-model-wars", *(sys.argv[1:] if arguments is None else arguments)]
        )
        message = f"{error.format_message().rstrip('.')}. Received: {received}"
    except InputError as error:
        message = str(error)
    except OSError as error:
        # HDF5 puts its whole state into an error's text; what the system says of it is what helps.
        where = f": {error.filename2 or error.filename}" if error.filename else ""
        message = os.strerror(error.errno) + where if error.errno else str(error)
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _print_table(rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    columns = [Column(name, overflow="fold") for name in rows[0]]
    table = Table(
        *columns, box=box.SIMPLE_HEAD, pad_edge=False, show_lines=len(rows[0]) > 3
    )
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(markup=False, highlight=False, emoji=False).print(table)


def _network(model: str, widths: dict[str, Any] | None = None, also: str = "") -> Any:
    """Return the model of that name, with the widths asked for, or the one saved in a folder or file."""
    if model in EXPERIMENTS:
        return EXPERIMENTS[model].build(**(widths or {}))
    if widths or not (Path(model).suffix or os.sep in model or Path(model).exists()):
        others = (
            " with --hidden-units"
            if widths
            else f", {also}a run's folder or a .keras file"
        )
        raise InputError(f"MODEL should be one of {MODELS}{others}", model)
    return kmw.load_model(model)
