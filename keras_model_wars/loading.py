"""Loading a model from a .keras file, without running code that may be in it."""

import os
import re
import zipfile

import keras

from keras_model_wars.arguments import file_path


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load a ``.keras`` file in Keras's safe mode, or raise a ValueError that says in one line why not.

    The model comes uncompiled. Files that are missing, truncated or of another kind are refused, and so are models that
    hold code (a ``Lambda``) or layers that this Python does not know.

    >>> model = load_model("runs/sequential/model.keras")
    """
    path = file_path("path", path)
    expected = f"{path} should be a model saved as a .keras file"
    if not path.is_file():
        raise ValueError(f"{expected}. Received: {'a folder' if path.is_dir() else 'no such file'}.")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise ValueError(f"{expected}. Received: a file that is none.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged or foreign archive breaks in h5py, zipfile, json or Keras, each with its own
        reason = " ".join(str(error).split())
        if "Lambda" in reason or "safe_mode" in reason:
            reason = "it holds code, which is not run here. Rebuild the model with layers of Keras's own"
        elif unknown := re.search(r"Could not locate (class '\w+')", reason):
            reason = f"it holds a layer that this Python does not know, {unknown[1]}"
        raise ValueError(f"{expected}. Received: one that can't be loaded: {reason[:300].rstrip('.')}.") from None
