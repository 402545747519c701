"""The `keras-model-wars` command."""

import functools
import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from tabulate import tabulate

from keras_model_wars.experiments import EXPERIMENTS, find_experiment
from keras_model_wars.files import check_picture_path

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Build, draw and train the models of two articles on Keras's Sequential and Functional API.",
)

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(EXPERIMENTS)}.")]
HiddenUnits = Annotated[
    str | None, typer.Option(metavar="A,B", help="Widths of the first two hidden layers.", show_default="the article's")
]
Data = Annotated[
    Path | None,
    typer.Option(help="An mnist.npz as Keras lays it out.", show_default="KERAS_MODEL_WARS_MNIST, Keras, or a sample"),
]


@app.command()
def train(
    model: ModelName,
    epochs: Annotated[int | None, typer.Option(help="Passes over the digits.", show_default="the article's")] = None,
    batch_size: Annotated[int, typer.Option(help="Digits a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of plain SGD.")] = 0.01,
    hidden_units: HiddenUnits = None,
    seed: Annotated[int, typer.Option(help="For the first weights and the order of the digits.")] = 0,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.", show_default="runs/MODEL")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print warnings and errors alone.")] = False,
) -> None:
    """Train a model and leave its pictures, history and weights in a folder."""
    keywords = _builder_keywords(model, hidden_units)
    # For the article's widths; what suits others is for TensorFlow to say.
    intra_op_threads = None if keywords else find_experiment(model).intra_op_threads
    _package(intra_op_threads).train(
        model,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        data=data,
        out=out,
        resume=resume,
        overwrite=overwrite,
        verbose=not quiet,
        **keywords,
    )


@app.command()
def summary(model: ModelName, hidden_units: HiddenUnits = None) -> None:
    """Print a model's layers, their shapes and numbers of parameters."""
    _build(model, hidden_units).summary()


@app.command()
def plot(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(EXPERIMENTS)}; or simple, as neurons.")
    ],
    hidden_units: HiddenUnits = None,
    out: Annotated[Path | None, typer.Option(help="A .png, .svg or .pdf file.", show_default="MODEL.png")] = None,
) -> None:
    """Draw a model's diagram; no Graphviz need be installed."""
    out = out or Path(f"{model}.png")
    check_picture_path(out)
    if model == "simple":
        _package().plot_neurons(to_file=out)
    else:
        network = _build(model, hidden_units)
        _package().plot_model(network, out)
    print(f"Written: {out}")


@app.command()
def samples(
    data: Data = None,
    count: Annotated[int, typer.Option(help="How many digits, from 1 to 400.")] = 40,
    out: Annotated[Path, typer.Option(help="A .png, .svg or .pdf file.")] = Path("samples.png"),
) -> None:
    """Draw the first training digits with their labels."""
    if not 0 < count <= 400:
        raise ValueError(f"--count should be a whole number from 1 to 400. Received: {count}.")
    check_picture_path(out)
    (x_train, y_train), _ = _package().load_mnist(data)
    _package().plot_samples(x_train[:count], y_train[:count], out)
    print(f"Written: {out}")


@app.command(name="list")
def list_models() -> None:
    """List the models."""
    _print_table(
        {"model": e.name, "title": e.title, "epochs": e.epochs, "builder": e.builder} for e in EXPERIMENTS.values()
    )


@app.command()
def verdict(
    model: Annotated[str, typer.Argument(metavar="MODEL|FILE.keras", help="A model's name, or a saved model.")],
) -> None:
    """Tell which API a model needs, and why."""
    package = _package()
    if model in EXPERIMENTS:
        network = _build(model, None)
    elif Path(model).suffix or Path(model).exists():
        network = package.load_model(model)
    else:
        raise ValueError(f"MODEL should be one of {', '.join(EXPERIMENTS)}, or a .keras file. Received: {model}.")
    answer = package.which_api(network)
    print(f"{network.name} needs the {answer.api} API.")
    if answer.reasons:
        print()
        _print_table({"reason": [reason.kind for reason in answer.reasons], "what": list(map(str, answer.reasons))})


@app.command()
def predict(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/sequential, or a .keras file.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE", help="Pictures of one digit each, as many as the model has inputs."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf file for what the network sees.", show_default="none")
    ] = None,
) -> None:
    """Tell which digit a trained model sees in each picture."""
    package = _package()
    predictions = package.predict_digits(package.load_model(run / "model.keras" if run.is_dir() else run), images)
    if out is not None:
        package.plot_predictions(images, predictions, out)
    for place, (names, probabilities) in enumerate(predictions.iterrows()):
        if predictions.index.nlevels > 1:
            verdict = "the same digit" if probabilities.item() > 0.5 else "different digits"
            print("\n" * bool(place) + f"{' and '.join(names)}: {verdict}\n")
        else:
            print("\n" * bool(place) + f"{names}: {probabilities.idxmax()}\n")
        bars = [_bar(probability) for probability in probabilities]
        _print_table({"": predictions.columns, "probability": [f"{p:.3f}" for p in probabilities], "from 0 to 1": bars})
    if out is not None:
        print(f"\nWritten: {out}")


@app.command()
def claims() -> None:
    """Try what both articles say of the two APIs, and what has changed since."""
    _package()
    from keras_model_wars.article_claims import changes, claims

    _print_table(claims())
    print()
    _print_table(changes())


@app.command()
def report(
    runs: Annotated[Path, typer.Option(help="A folder of runs, or one run's own.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    data: Data = None,
) -> None:
    """Write one HTML page about the trained models: what they are, how they learned, where they are wrong."""
    _package()
    from keras_model_wars.report import make_report

    make_report(runs, out, data)
    print(f"Written: {out}")


@app.command()
def figures(
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures, one a model.")] = Path("figures"),
    again: Annotated[bool, typer.Option("--again", help="Make anew what is there already.")] = False,
) -> None:
    """Make the README's figures and tables from full runs on the full MNIST, about half an hour."""
    _package()
    from keras_model_wars.figures import make_figures, results_table, verdict_table

    make_figures(out, data, again)
    _print_table(results_table(out))
    print()
    _print_table(verdict_table(out))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's mistake ends in one line on standard error and exit status 2."""
    _run(app, arguments)


def run_script(model: str) -> None:
    """Run a script of its own for one model: the options of `keras-model-wars train`, without the model's name."""

    @functools.wraps(train)
    def train_model(**options: Any) -> None:
        train(model, **options)

    signature = inspect.signature(train)
    options = [option for name, option in signature.parameters.items() if name != "model"]
    train_model.__signature__ = signature.replace(parameters=options)  # what typer reads its options from
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    script.command(help=f"Train on MNIST: {EXPERIMENTS[model].title}.")(train_model)
    _run(script, None)


def _run(command: Callable[..., Any], arguments: Sequence[str] | None) -> None:
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        status = command(args=arguments, standalone_mode=False)
    except typer.TyperException as error:
        _fail(error.format_message())
    except (ValueError, TypeError, ImportError) as error:
        _fail(str(error))
    except OSError as error:
        # HDF5 puts its whole state into an error's text; what the system says of it is what helps.
        where = f": {error.filename}" if error.filename else ""
        _fail(os.strerror(error.errno) + where if error.errno else str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def _print_table(table: Any) -> None:
    # Markdown, so that the README can hold what a command prints.
    print(tabulate(table, headers="keys", tablefmt="pipe", showindex=False, disable_numparse=True))


def _bar(share: float) -> str:
    # Block letters where the screen can show them.
    return ("█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#") * round(30 * share)


def _package(intra_op_threads: int | None = None) -> Any:
    # Only where a command needs Keras: the import takes seconds that no --help should.
    from keras_model_wars.startup import import_keras

    import_keras(intra_op_threads)
    import keras_model_wars

    return keras_model_wars


def _build(model: str, hidden_units: str | None) -> Any:
    keywords = _builder_keywords(model, hidden_units)
    _package()
    return find_experiment(model).build(**keywords)


def _builder_keywords(model: str, hidden_units: str | None) -> dict[str, Any]:
    find_experiment(model)
    if hidden_units is None:
        return {}
    try:
        return {"hidden_units": tuple(int(units) for units in hidden_units.split(","))}
    except ValueError:
        raise ValueError(
            f"--hidden-units should be two numbers above zero, such as 256,128. Received: {hidden_units}."
        ) from None
