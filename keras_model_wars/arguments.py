"""Checking what callers pass, in Keras's manner: what was expected and what came."""

import numbers
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def whole_number(name: str, value: Any, lowest: int = 1, highest: int | None = None) -> int:
    """Return a whole number from ``lowest`` to ``highest`` as an int, or raise a ValueError."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < lowest or (highest is not None and value > highest):
        upper = f" to {highest:,}" if highest is not None else " up"
        raise ValueError(f"`{name}` should be a whole number from {lowest:,}{upper}. Received: {name}={value!r}.")
    return int(value)


def positive_number(name: str, value: Any) -> float:
    """Return a finite number above zero as a float, or raise a ValueError."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 < value <= sys.float_info.max:
        raise ValueError(f"`{name}` should be a finite number above zero. Received: {name}={value!r}.")
    return float(value)


def file_path(name: str, value: Any) -> Path:
    """Return the path of a file or folder, or raise a TypeError."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`{name}` should be a path. Received: {name}={value!r}.")
    return Path(value)


def array(name: str, value: Any, expected: str, kinds: str = "biuf") -> np.ndarray:
    """Return an array of numbers of one of the NumPy ``kinds``, or raise a ValueError that says what was ``expected``."""
    try:
        numbers_ = np.asarray(value)
    except (ValueError, TypeError, OverflowError):  # ragged, or no array at all
        raise ValueError(f"`{name}` should be {expected}. Received: a ragged {type(value).__name__}.") from None
    if numbers_.dtype.kind not in kinds:
        raise ValueError(
            f"`{name}` should be {expected}. Received: {type(value).__name__} with dtype={numbers_.dtype}."
        )
    return numbers_
