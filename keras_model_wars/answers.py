"""What a model answers: probabilities, or logits that become probabilities."""

from typing import Any

import keras
import numpy as np
from scipy import special

from keras_model_wars.apis import made_by


def logit_outputs(model: keras.Model) -> list[bool]:
    """Tell of each output of a model whether it holds logits, not probabilities.

    It does if its last layer has no activation. What ``Activation("linear")`` returns,
    the usual way from float16 to float32, is what it was given.

    >>> logit_outputs(kmw.build_sequential())
    [False]
    """
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return [_is_linear(model.layers)]
    return [_is_linear(_layers_up_to(tensor)) for tensor in outputs]


def _layers_up_to(tensor: keras.KerasTensor) -> list[Any]:
    """Return the layer that an output comes from, after the single layers before it."""
    layers: list[Any] = []
    node = made_by(tensor)
    while len(node.input_tensors) == 1:
        layers.insert(0, node.operation)
        node = made_by(node.input_tensors[0])
    return layers or [node.operation]


def _is_linear(layers: list[Any]) -> bool:
    for layer in reversed(layers):
        is_linear = getattr(layer, "activation", None) is keras.activations.linear
        if not isinstance(layer, keras.layers.Activation) or not is_linear:
            inner = getattr(layer, "layers", [])
            return _is_linear(inner) if inner else is_linear
    return False


def as_probabilities(answers: np.ndarray, are_logits: bool) -> np.ndarray:
    """Return probabilities for a model's answers, (count, classes) or (count, 1).

    What lies outside of [0, 1] is taken for logits as well.

    >>> as_probabilities(np.array([[0.0, 0.0]]), are_logits=True)
    array([[0.5, 0.5]])
    """
    outside = bool(np.any((answers < -1e-6) | (answers > 1 + 1e-6)))
    if not are_logits and not outside:
        return answers
    if answers.shape[1] == 1:
        return special.expit(answers)
    are_sums = np.allclose(answers.sum(axis=1), 1, atol=0.01)
    return answers if are_sums and not outside else special.softmax(answers, axis=1)
