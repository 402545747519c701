"""Which of Keras's APIs a model needs, and how to convert it to the other one."""

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_model_wars.checks import InputError


@dataclass(frozen=True)
class Reason:
    """Why a model is not a plain stack of layers: the ``kind``, the names of the ``layers``, and a ``text`` to show."""

    kind: str
    layers: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True)
class Verdict:
    """The simplest ``api`` that can express a model, and the ``reasons`` why a simpler one can't."""

    api: str
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """Return the API and all reasons in one line."""
        return self.api + ": " * bool(self.reasons) + "; ".join(map(str, self.reasons))


def which_api(model: keras.Model) -> Verdict:
    """Tell which API a model needs, ``"sequential"``, ``"functional"`` or ``"subclassing"``, and why.

    Reads the graphs of the model and of the models nested in it. A Functional model that is a plain chain gets
    ``"sequential"``; a Sequential model that uses a layer twice gets ``"functional"``: it can't be restored from a
    file. The kinds of reasons are ``inputs``, ``outputs``, ``branch``, ``merge``, ``shared``, ``operation`` (of
    ``keras.ops``), ``call`` (a layer called with more than its input) and ``subclass``. Raises an InputError for
    anything but a Keras model. Follows both articles.

    >>> print(which_api(build_wide_deep(hidden_units=(64, 32))))
    functional: 'image' feeds 'flatten' and 'bypass'; 'bypass' joins 'image' and 'reshape'
    """
    if not isinstance(model, keras.Model):
        raise InputError("`model` should be a Keras model", type(model).__name__)
    nested, reasons = _nested_models(model), []
    for part in nested:
        if not _has_graph(part):
            text = f"'{part.name}' is a {type(part).__name__}, whose layers are joined in the code of call()"
            reasons.append(Reason("subclass", (part.name,), text))
        elif isinstance(part, keras.Function):
            where = "" if part is model else f"in '{part.name}': "
            reasons += [
                Reason(kind, layers, where + text)
                for kind, layers, text in _graph_reasons(part)
            ]
    for layer, count in Counter(
        layer for used in nested.values() for layer in used
    ).items():
        if count > 1:
            text = f"'{layer.name}' is used {count} times"
            if any(
                isinstance(part, keras.Sequential) and layer in used
                for part, used in nested.items()
            ):
                text += (
                    ", which a Sequential model builds but does not restore from a file"
                )
            reasons.append(Reason("shared", (layer.name,), text))
    kinds = [reason.kind for reason in reasons]
    return Verdict(
        "subclassing"
        if "subclass" in kinds
        else "functional"
        if kinds
        else "sequential",
        tuple(reasons),
    )


def to_sequential(model: keras.Model) -> keras.Sequential:
    """Convert a model to a Sequential model with the same layers and weights; a Sequential one is returned as it is.

    Predictions are bit-identical, and training one model trains the other. Raises an InputError with the reasons of
    ``which_api`` if the model is no plain stack of layers. Follows "Keras Model Wars: Functional vs Sequential".

    >>> sequential = to_sequential(build_functional_twin())
    """
    verdict = which_api(model)
    if isinstance(model, keras.Sequential):
        return model
    if verdict.api != "sequential":
        raise InputError(
            "`model` should be a plain stack of layers to become Sequential", verdict
        )
    return keras.Sequential(
        [model.inputs[0], *(call.operation for call in _calls(model))], name=model.name
    )


def to_functional(model: keras.Model) -> keras.Model:
    """Convert a model to a Functional model with the same layers and weights; a Functional one is returned as it is.

    Predictions are bit-identical, and training one model trains the other. Raises an InputError for a subclassed model,
    whose graph is code, and for one that is not built. Follows "Keras Model Wars: Functional vs Sequential".

    >>> functional = to_functional(build_sequential())
    """
    verdict = which_api(model)
    if not _has_graph(model):
        raise InputError(
            "`model` should be Sequential or Functional to become Functional", verdict
        )
    if isinstance(model, keras.Function):
        return model
    if not model.built:
        raise InputError(
            "`model` should start with a keras.Input",
            "a Sequential model that is not built yet",
        )
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    return keras.Model(model.inputs[0], outputs, name=model.name)


def connections(model: keras.Model) -> list[tuple[keras.Operation, keras.Operation]]:
    """Return the layers that a Functional model joins, from and to, one pair for each time that it does."""
    return [
        (parent.operation, call.operation)
        for call in _calls(model)
        for parent in call.parent_nodes
    ]


def _calls(model: keras.Model) -> list[Any]:
    """Return the calls of layers in a Functional model's graph, as Keras's ``Node`` objects, in the data's order."""
    # Private, because nothing public tells which layer made a tensor from which others, unless it can be serialized.
    places = {operation: place for place, operation in enumerate(model.operations)}
    nodes = [
        (-depth, places[node.operation], node)
        for depth, nodes in model._nodes_by_depth.items()
        for node in nodes
    ]
    return [
        node
        for _, _, node in sorted(nodes, key=lambda entry: entry[:2])
        if not node.is_input
    ]


def _graph_reasons(model: keras.Model) -> Iterator[tuple[str, tuple[str, ...], str]]:
    calls = _calls(model)
    origins = {tensor: tensor.name for tensor in model.inputs}
    origins |= {
        tensor: call.operation.name for call in calls for tensor in call.outputs
    }
    # A Sequential model returns whatever its last layer returns, even several tensors.
    last = calls[-1] if calls and calls[-1].outputs == model.outputs else None
    for what, tensors, structure in (
        ("inputs", model.inputs, model.input),
        ("outputs", model.outputs, model.output),
    ):
        names = tuple(origins[tensor] for tensor in tensors)
        listed = ", ".join(map(repr, names))
        if len(names) > 1 and (what == "inputs" or not last):
            yield what, names, f"{len(names)} {what}: {listed}"
        elif isinstance(structure, dict):
            yield what, names, f"its {what} are named in a dict: {listed}"
    if not calls:
        yield "outputs", (), "there is no layer between its input and its output"
    for tensor, name in origins.items():
        users = [
            repr(call.operation.name)
            for call in calls
            for used in call.input_tensors
            if used is tensor
        ]
        users += ["an output" for output in model.outputs if output is tensor]
        if len(users) > 1:
            yield "branch", (name,), f"'{name}' feeds {_counted(users)}"
    for call in calls:
        name, sources = (
            call.operation.name,
            tuple(origins[tensor] for tensor in call.input_tensors),
        )
        if len(sources) > 1:
            yield (
                "merge",
                (name, *sources),
                f"'{name}' joins {_counted(map(repr, sources))}",
            )
        if len(call.outputs) > 1 and call is not last:
            yield (
                "outputs",
                (name,),
                f"'{name}' returns {len(call.outputs)} tensors that do not all leave the model",
            )
        if not isinstance(call.operation, keras.Layer):
            yield (
                "operation",
                (name,),
                f"'{name}' is an operation on tensors and not a layer",
            )
        elif extras := list(_extras(call)):
            yield "call", (name,), f"'{name}' is called with {_counted(extras)}"


def _extras(call: Any) -> Iterator[str]:
    """Name what a layer was called with besides the one tensor that a Sequential model would pass to it."""
    parameters = inspect.signature(call.operation.call).parameters
    named = {
        f"argument {place}": value
        for place, value in enumerate(call.arguments.args, start=1)
    }
    for name, value in (named | call.arguments.kwargs).items():
        tensors = sum(
            isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(value)
        )
        usual = isinstance(value, keras.KerasTensor) or value is getattr(
            parameters.get(name), "default", None
        )
        if not usual and tensors < 2:  # several are a merge, which has its own reason
            yield (
                f"{name} as a {type(value).__name__}"
                if tensors
                else f"{name}={value!r}"
            )


def _nested_models(model: keras.Model) -> dict[keras.Model, list[Any]]:
    """Return a model and every model in it, with the layers of its own graph, once per use."""
    found, queue = {}, [model]
    for part in queue:  # grows on the way
        found[part] = []
        if _has_graph(part):
            stacked = isinstance(part, keras.Sequential)
            found[part] = (
                part.layers if stacked else [call.operation for call in _calls(part)]
            )
        inner = [
            layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
            for layer in found[part]
        ]
        queue += [
            layer
            for layer in inner
            if isinstance(layer, keras.Model) and layer not in queue
        ]
    return found


def _has_graph(model: keras.Model) -> bool:
    """Tell whether Keras itself joins the model's layers: Sequential or Functional, without a call() of its own."""
    return isinstance(model, (keras.Sequential, keras.Function)) and type(
        model
    ).call.__module__.startswith("keras.")


def _counted(texts: Iterable[str]) -> str:
    each = [
        text if count == 1 else f"{text} ({count} times)"
        for text, count in Counter(texts).items()
    ]
    return " and ".join(filter(None, (", ".join(each[:-1]), each[-1])))
