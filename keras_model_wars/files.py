"""Writing files whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_model_wars.arguments import file_path

PICTURE_FORMATS = (".png", ".svg", ".pdf")


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and rename it into place when that went well.

    The temporary file keeps the ending, by which Keras, matplotlib and Graphviz choose their format. If writing fails,
    an old file at ``path`` stays whole and nothing half written is left.

    >>> with replacing("history.csv") as temporary:
    ...     temporary.write_text("epoch,loss")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_picture_path(path: str | os.PathLike | None) -> None:
    """Raise a TypeError or ValueError if a picture can't be written to ``path`` for its ending."""
    if path is not None and file_path("to_file", path).suffix.lower() not in PICTURE_FORMATS:
        raise ValueError(f"The picture's file should end in {', '.join(PICTURE_FORMATS)}. Received: {path}.")


def check_folder(folder: Path) -> None:
    """Raise a ValueError if nothing can be written to ``folder``, there already or yet to be made."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ValueError(f"`out` should be a folder that can be written. Received: {folder}.")


def _umask() -> int:
    # There is no way to read it but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
