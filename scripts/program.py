"""Run a script's ``main`` as a command whose users' mistakes are one line each."""

from collections.abc import Callable

import typer

from keras_model_wars.__main__ import main as run_command


def run(main: Callable) -> None:
    """Call ``main`` with the command line's options; a mistake ends with status 2."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    run_command(command=app)
