"""The `keras-model-wars` command."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table

# Its names import Keras, which takes seconds, only where a command uses them.
import keras_model_wars as kmw
from keras_model_wars.checks import InputError, picture_path

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build, draw and train the models of two articles on Keras's Sequential and "
    "Functional API, and models of your own.",
)

# What TensorFlow says about this machine's processor and missing CUDA when it starts.
CHATTER = (
    r"WARNING: All log messages before absl|[IW]\d{4} \d\d:|E\d{4} \d\d:.*cuda"
    r"|\d{4}-\d\d-\d\d [\d:.]+: [EIW] .*(cuda|cpu_feature|oneDNN)"  # TensorFlow 2.19
    r"|To enable the following"
    r"|=== Source Location Trace|external/xla/|\s*$"  # TensorFlow 2.22
)
FILTER = """
import re, sys
for line in sys.stdin.buffer:
    if not re.match(sys.argv[1].encode(), line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


def parse_widths(text: str) -> tuple[int, ...]:
    """Return the widths that ``--hidden-units`` names, such as 256,128."""
    try:
        widths = tuple(int(part) for part in text.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1 or max(widths) > 2**16:
        raise typer.BadParameter(
            "it should be positive integers up to 65,536, such as 256,128"
        )
    return widths


MODEL_HELP = (
    "A model of `keras-model-wars list`, or your own: FILE.py:NAME, where NAME is a "
    "function that returns a Keras model, or an Experiment"
)
TrainedModel = Annotated[str, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP}.")]
AnyModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help=f"{MODEL_HELP}; a run's folder; a .keras file."
    ),
]
Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's folder, such as runs/sequential; a .keras file; FILE.py:NAME.",
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", show_default="all finished runs in runs/"),
]
Images = Annotated[
    list[Path],
    typer.Argument(metavar="IMAGE", help="Pictures of one digit, one for each input."),
]
HiddenUnits = Annotated[
    Any,
    typer.Option(
        metavar="A,B",
        parser=parse_widths,
        help="Widths of the hidden layers, such as 256,128.",
        show_default=False,
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Number of epochs.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images per step.")]
LearningRate = Annotated[float | None, typer.Option(help="Learning rate of SGD.")]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="Seed of the initial weights and of the order of the images.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="An mnist.npz file in Keras's format, or `sample`.",
        show_default="KERAS_MODEL_WARS_MNIST, Keras's cache or download, or the sample",
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option(help="Folder for the files.", show_default="runs/MODEL")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Continue a run, or start one if there is none."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Start over in the run's folder.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Count = Annotated[int, typer.Option(min=1, max=400, help="Number of images.")]
PictureOut = Annotated[
    Path | None,
    typer.Option("--out", callback=picture_path, help="A .png, .svg or .pdf file."),
]
Version = Annotated[bool, typer.Option("--version", help="Print the version.")]


@app.callback(invoke_without_command=True)
def start(context: typer.Context, version: Version = False) -> None:
    """Print the version, or the help if no command is given."""
    if version:
        print(importlib.metadata.version("keras-model-wars"))
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="list")
def list_models() -> None:
    """List the articles' models and how they are trained."""
    rows = []
    start_keras()
    for experiment in kmw.EXPERIMENTS.values():
        row = {
            "model": f"{experiment.name}\n{experiment.title}",
            "epochs": experiment.epochs,
            "batch size": experiment.batch_size,
            "learning rate": experiment.learning_rate,
            "parameters": f"{experiment.parameters:,}",
        }
        rows.append(row)
    print_table(rows)


@app.command()
def train(
    model: TrainedModel,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    hidden_units: HiddenUnits = None,
    seed: Seed = 0,
    data: Data = None,
    out: RunFolder = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Train a model, and save it with its history and pictures in a folder.

    Epochs, batch size and learning rate are the article's unless you say otherwise.
    """
    experiment = _find_experiment(model)
    keywords = _builder_keywords(experiment, hidden_units)
    # The number of threads was chosen for the article's widths.
    start_keras(None if keywords else experiment.intra_op_threads)
    folder = out or Path("runs") / experiment.name
    try:
        run = kmw.train(
            experiment,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            data=data,
            out=folder,
            resume=resume,
            overwrite=overwrite,
            verbose=0 if quiet else _verbosity(),
            **keywords,
        )
    except KeyboardInterrupt:
        _say_how_to_continue(folder)
        raise
    if not quiet:
        _say_what_is_next(run.model, folder)


@app.command()
def summary(model: AnyModel, hidden_units: HiddenUnits = None) -> None:
    """Print a model's layers, their shapes and numbers of parameters."""
    network, _ = _build_or_load(model, hidden_units)
    network.summary()


@app.command()
def plot(
    model: AnyModel, hidden_units: HiddenUnits = None, out: PictureOut = None
) -> None:
    """Draw a model's diagram, without a system Graphviz."""
    network, name = _build_or_load(model, hidden_units)
    out = out or Path(f"{name}.png")
    kmw.plot_model(network, out)
    print(f"Written: {out}")


@app.command()
def samples(
    data: Data = None, count: Count = 40, out: PictureOut = Path("samples.png")
) -> None:
    """Draw the first training images with their labels."""
    (x_train, y_train), _ = kmw.load_mnist(data)
    start_keras()
    kmw.plot_samples(x_train[:count], y_train[:count], out)
    print(f"Written: {out}")


@app.command()
def which_api(model: AnyModel, hidden_units: HiddenUnits = None) -> None:
    """Tell which API a model needs, and why."""
    network, name = _build_or_load(model, hidden_units)
    verdict = kmw.which_api(network)
    if not verdict.reasons:
        print(
            f"{name} needs the {verdict.api} API: "
            "each layer has one input and one output."
        )
        return
    print(f"{name} needs the {verdict.api} API.")
    print_table(
        {"reason": reason.kind, "what": reason.text} for reason in verdict.reasons
    )


@app.command()
def predict(run: Run, images: Images, out: PictureOut = None) -> None:
    """Tell which digit a trained model sees in each picture."""
    model = _load_run(run)  # before kmw.predict_digits, which imports Keras
    predictions = kmw.predict_digits(model, images)
    for names, row in predictions.iterrows():
        _print_prediction(names, row)
    if out is not None:
        kmw.plot_predictions(images, predictions, out)
        print(f"Written: {out}")


@app.command()
def claims() -> None:
    """Put both articles' claims to the test, and show what trips readers up today."""
    start_keras()
    from keras_model_wars.article_claims import list_claims, summarize_claims
    from keras_model_wars.keras_pitfalls import list_pitfalls

    claimed = kmw.claims()
    pitfalls = kmw.pitfalls()
    print("What each API can do\n")
    print_table(kmw.scoreboard().to_dict("records"))
    wide = Console().width >= 120
    print("What the articles claim\n")
    if wide:
        print_table(claimed.to_dict("records"))
    else:  # columns would be too narrow to read
        Console(highlight=False).print(Markdown(list_claims(claimed)))
    print("\nWhat trips readers up today\n")
    Console(highlight=False).print(Markdown(list_pitfalls(pitfalls)))
    print()
    summary = summarize_claims(claimed)
    Console(markup=False, highlight=False, emoji=False).print(summary)


@app.command()
def report(
    runs: Annotated[
        Path, typer.Option(help="A folder of runs, or a single run's folder.")
    ] = Path("runs"),
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one HTML page about your finished runs."""
    start_keras()
    kmw.make_report(runs, out)
    print(f"Written: {out}")


@app.command()
def draw(runs: Runs = None) -> None:
    """Open a page to draw a digit on, and watch the models answer."""
    start_keras()
    from keras_model_wars.runs import finished_runs

    chosen = runs or [str(folder) for folder in finished_runs(Path("runs"))]
    if not chosen:
        raise InputError(
            "`runs/` should hold a finished run. Received: none. "
            "Train one: `keras-model-wars train sequential`"
        )
    models = dict(zip(_labels(chosen), map(_load_run, chosen)))
    kmw.draw_digit(models)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a user's mistake ends in one line and exit status 2."""
    # The command writes files. An interactive backend, inherited from a notebook's
    # terminal, may not even be installed.
    os.environ["MPLBACKEND"] = "agg"
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    if hasattr(sys.stdout, "reconfigure"):
        # For a Windows code page that lacks a letter of a file's name.
        sys.stdout.reconfigure(errors="replace")
    try:
        sys.exit(app(args=arguments, standalone_mode=False) or 0)
    except typer.TyperException as error:
        typed = sys.argv[1:] if arguments is None else arguments
        received = shlex.join(["keras-model-wars", *typed])
        message = f"{_sentence(_usage(error))} Received: {received}"
    except InputError as error:
        message = _in_options(str(error))
    except OSError as error:
        message = _system_message(error)
    print(f"error: {_sentence(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(2)


def start_keras(intra_op_threads: int | None = None) -> None:
    """Start Keras and its backend without TensorFlow's messages about the machine.

    ``intra_op_threads`` applies to the whole process: TensorFlow can't change it once it
    has been initialized.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without_chatter():
        try:
            import keras

            if intra_op_threads:
                import tensorflow as tf

                threading = tf.config.threading
                with suppress(RuntimeError):  # initialized by the reader's own file
                    threading.set_intra_op_parallelism_threads(intra_op_threads)
            keras.ops.zeros(1)
        except (ImportError, ValueError) as error:
            backend = os.environ.get("KERAS_BACKEND")
            advice = "Install what is missing"
            if backend:
                advice += f", or unset KERAS_BACKEND, which is {backend!r}"
            raise InputError(
                f"Keras should start with its backend. Received: {error}. {advice}"
            ) from error


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Filter what libraries write past Python to file descriptor 2.

    A process of its own does it, so that what TensorFlow writes before it aborts, as on
    a processor that it doesn't support, still reaches the screen.
    """
    try:
        screen = os.dup(2)
    except OSError:  # no standard error
        yield
        return
    reader = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", FILTER, CHATTER], stdin=subprocess.PIPE
    )
    assert reader.stdin is not None
    sys.stderr.flush()
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, 2)
        os.close(screen)
        reader.wait()


def print_table(rows: Iterable[dict[str, Any]]) -> None:
    """Print a table that wraps what is too long for a column."""
    rows = list(rows)
    columns = [Column(name, overflow="fold") for name in rows[0]]
    lines = len(columns) > 3
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(markup=False, highlight=False, emoji=False).print(table)


def _find_experiment(model: str) -> kmw.Experiment:
    with _without_chatter():  # it imports Keras
        from keras_model_wars.experiments import find_experiment

        return find_experiment(model)


def _builder_keywords(
    experiment: kmw.Experiment, hidden_units: tuple[int, ...] | None
) -> dict[str, Any]:
    if hidden_units is None:
        return {}
    builder = experiment.builder
    if "hidden_units" not in inspect.signature(builder).parameters:
        raise InputError(
            "--hidden-units should be given for a builder with an argument of that "
            f"name. Received: {experiment.name}, whose builder doesn't take it"
        )
    if experiment.name in kmw.EXPERIMENTS and len(hidden_units) != 2:
        widths = ",".join(map(str, hidden_units))
        raise InputError(
            "--hidden-units should be two positive integers, such as 256,128. "
            f"Received: {widths}. For more layers, write a builder of your own"
        )
    return {"hidden_units": hidden_units}


def _build_or_load(model: str, hidden_units: tuple[int, ...] | None) -> tuple[Any, str]:
    """Return the model that was named, built or loaded, and a name for its files."""
    if _is_saved(model):
        if hidden_units is not None:
            raise InputError(
                "--hidden-units should be given for a model that is built. "
                f"Received: {model}, which is loaded"
            )
        start_keras()
        return kmw.load_model(model), _label(Path(model))
    experiment = _find_experiment(model)
    keywords = _builder_keywords(experiment, hidden_units)
    start_keras()
    from keras_model_wars.matching import build_model

    return build_model(experiment, keywords), experiment.name


def _is_saved(model: str) -> bool:
    """Tell whether MODEL means a file or folder, and not a name."""
    with _without_chatter():  # it imports Keras
        if model in kmw.EXPERIMENTS:
            return False
    path = Path(model)
    if path.exists():
        return True
    return ":" not in model and (path.suffix != "" or path.name != model)


def _load_run(run: str) -> Any:
    """Return the model of a run's folder, a file, or an experiment that was trained."""
    start_keras()
    if ":" in run and not Path(run).exists():
        # The file brings the classes of the model along.
        return kmw.load_model(Path("runs") / _find_experiment(run).name)
    return kmw.load_model(run)


def _label(run: Path) -> str:
    run = run.resolve()
    if run.name == "model.keras":
        return run.parent.name
    return run.stem if run.suffix == ".keras" else run.name


def _labels(runs: list[str]) -> list[str]:
    """Return a short name for each run, or what was typed if short names are equal."""
    short = [_label(Path(run)) for run in runs]
    names = []
    for run, name in zip(runs, short):
        names.append(run if short.count(name) > 1 else name)
    return names


def _verbosity() -> int:
    # In a file, a progress bar would leave thousands of backspaces.
    return 1 if sys.stdout.isatty() else 2


def _say_how_to_continue(folder: Path) -> None:
    from keras_model_wars.runs import read_record

    with suppress(InputError, OSError):
        record = read_record(folder)
        saved = len(record["seconds_per_epoch"])
        epochs = record["settings"]["epochs"]
        print(
            f"\nStopped after {saved} of {epochs} epochs. Continue with --resume.",
            file=sys.stderr,
        )


def _say_what_is_next(model: Any, folder: Path) -> None:
    from keras_model_wars.digits import image_shapes

    step = "`keras-model-wars report` to compare your runs"
    with suppress(InputError):
        _, width = image_shapes(model)
        if width == 10:
            step = f"`keras-model-wars draw {folder}` to draw a digit for it"
    print(f"Next: {step}.")


def _print_prediction(names: Any, row: Any) -> None:
    can_draw = (sys.stdout.encoding or "").lower().startswith("utf")
    full, rest = "█░" if can_draw else "#-"
    if row.isna().all():
        print(f"{names}: no digit")
        return
    if isinstance(names, tuple):
        same = "the same digit" if row.iloc[0] > 0.5 else "different digits"
        print(f"{' and '.join(names)}: {same}")
    else:
        print(f"{names}: {row.idxmax()}")
    bars = []
    for digit, probability in row.items():
        length = round(30 * probability)
        bars.append(
            {
                "digit": digit,
                "probability": f"{probability:.3f}",
                "from 0 to 1": full * length + rest * (30 - length),
            }
        )
    print_table(bars)


def _usage(error: typer.TyperException) -> str:
    """Return typer's message, with the option that an abbreviation may stand for."""
    message = error.format_message()
    message = message.replace(" (Possible options: --help)", ".")
    typed = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if typed is None or context is None or "Did you mean" in message:
        return message
    options = [name for param in context.command.params for name in param.opts]
    for option in options:
        initials = [word[0] for word in option.split("-") if word]
        if typed.strip("-") == "".join(initials):
            return f"{message} Did you mean {option}?"
    return message


def _in_options(message: str) -> str:
    """Return a message with the names of options in place of Python's arguments."""
    for name in inspect.signature(train).parameters:
        option = "MODEL" if name == "model" else "--" + name.replace("_", "-")
        message = message.replace(f"`{name}`", option)
        message = message.replace(f" {name}=", f" {option} ")
    return message


def _system_message(error: OSError) -> str:
    # HDF5 puts its whole state into an error's text; what the system says helps.
    if not error.errno:
        return str(error)
    file = error.filename2 or error.filename
    place = f": {file}" if file else ""
    return os.strerror(error.errno) + place


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
