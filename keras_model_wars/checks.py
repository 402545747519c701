"""Say what a user got wrong, and write files atomically."""

import numbers
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PictureFile = str | os.PathLike | None


class InputError(ValueError):
    """A user's mistake, in one sentence: what was expected and received, what to do.

    The command prints it in one line and ends with exit status 2.

    >>> raise kmw.InputError("`epochs` should be a positive integer. Received: 0")
    Traceback (most recent call last):
    ...
    keras_model_wars.checks.InputError: `epochs` should be a positive integer. ...
    """


def check_integer(name: str, value: Any, *, lowest: int, highest: int) -> None:
    """Raise an InputError for anything but an integer from ``lowest`` to ``highest``.

    >>> check_integer("seed", 3, lowest=0, highest=9)
    """
    is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_integer or not lowest <= value <= highest:
        raise InputError(
            f"`{name}` should be an integer from {lowest} to {highest:,}. "
            f"Received: {name}={value!r}."
        )


def picture_path(path: PictureFile) -> PictureFile:
    """Return ``path``, or raise an InputError if its extension is no picture's.

    Checked before a picture is made: Graphviz and matplotlib know different formats.

    >>> picture_path("diagram.svg")
    'diagram.svg'
    """
    if path is None or Path(path).suffix.lower() in (".png", ".svg", ".pdf"):
        return path
    raise InputError(
        f"The picture's file should end in .png, .svg or .pdf. Received: {path}"
    )


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; rename it on success.

    The temporary file keeps the extension, by which Keras, matplotlib and Graphviz
    choose their format. If writing fails, an existing file at ``path`` stays whole and
    nothing half written is left.

    >>> with replacing("notes.txt") as temporary:
    ...     _ = temporary.write_text("whole or not there")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.stem}-{uuid.uuid4().hex}{path.suffix}"
    temporary = path.with_name(name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
