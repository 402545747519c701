"""Keras's Sequential and Functional API as two well-read articles explain them: built, drawn, trained and checked.

Public names are loaded on first use, so that importing the package does not wait for TensorFlow.
"""

import importlib
from typing import Any

_MODULES = {
    "models": "build_sequential build_wide_deep build_two_input_two_output "
    "build_added_sequential build_functional_twin build_shared_layers",
    "mnist": "load_mnist",
    "splits": "scale_pixels split_validation split_two_inputs make_pairs",
    "experiments": "EXPERIMENTS",
    "training": "Run train",
    "plotting": "plot_samples plot_model plot_neurons plot_learning_curves plot_article_comparison plot_mistakes",
    "article_logs": "article_log compare_with_article seed_histories prediction_interval how_typical",
    "article_claims": "claims changes",
    "keras_pitfalls": "scoreboard pitfalls",
    "apis": "which_api to_sequential to_functional",
    "predicting": "load_model prepare_image predict_digits plot_predictions",
    "drawing": "draw_digit",
    "checks": "InputError",
}
_WITHOUT_KERAS = (
    "mnist",
    "splits",
    "experiments",
    "article_logs",
    "predicting",
    "checks",
)
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOME[name] not in _WITHOUT_KERAS:
        importlib.import_module(f"{__name__}.checks").import_keras()
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
