"""Run a script's ``main`` as a command whose users' mistakes are one line each."""

import sys
from collections.abc import Callable

import typer

from keras_model_wars.checks import InputError


def run(main: Callable) -> None:
    """Call ``main`` with the command line's options; a mistake ends with status 2."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    try:
        app(standalone_mode=False)
        return
    except typer.Abort:  # Ctrl-C
        sys.exit(130)
    except typer.TyperException as error:
        message = error.format_message()
    except (InputError, OSError) as error:
        message = str(error)
    print("error:", *message.split(), file=sys.stderr)
    sys.exit(2)
