"""Keras's Sequential and Functional API, as two well-read articles explain them, built, drawn, trained and checked.

The public names are loaded when they are first used, so that importing the package does not wait for TensorFlow.
"""

import importlib
from typing import Any

_MODULES = {
    "models": (
        "build_sequential",
        "build_wide_deep",
        "build_two_input_two_output",
        "build_added_sequential",
        "build_functional_twin",
        "build_shared_layers",
    ),
    "data": ("load_mnist", "scale_pixels", "split_validation", "split_two_inputs", "make_pairs"),
    "training": ("Run", "train"),
    "plotting": ("plot_samples", "plot_model", "plot_neurons", "plot_learning_curves", "plot_article_comparison"),
    "verdict": ("which_api", "to_sequential", "to_functional"),
    "article_claims": ("claims", "changes"),
    "loading": ("load_model",),
    "preparing": ("prepare_image",),
    "predicting": ("predict_digits", "plot_predictions"),
    "article": ("article_log", "compare_with_article"),
    "experiments": ("EXPERIMENTS",),
}
_WITHOUT_KERAS = ("data", "preparing", "article", "experiments")
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOME[name] not in _WITHOUT_KERAS:
        from keras_model_wars.startup import import_keras

        import_keras()
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
