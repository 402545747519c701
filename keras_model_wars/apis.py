"""Which of Keras's APIs a model needs, and how to convert it to the other one."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_model_wars.checks import InputError

NOT_RESTORED = "which a Sequential model builds but does not restore from a file"


@dataclass(frozen=True)
class Reason:
    """Say why a model is not a plain stack of layers.

    ``kind`` is one word, ``layers`` are the names of the layers, ``text`` is to show.
    """

    kind: str
    layers: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True)
class Verdict:
    """Hold the simplest ``api`` for a model, and why a simpler one is not enough."""

    api: str
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        """Return the API and all reasons in one line."""
        if not self.reasons:
            return self.api
        return f"{self.api}: {'; '.join(map(str, self.reasons))}"


@dataclass(frozen=True)
class Call:
    """One call of a layer or operation in a graph, as its author wrote it.

    Keras itself passes masks on; what it adds for that is left out.
    """

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]
    extras: list[str]


def which_api(model: keras.Model) -> Verdict:
    """Tell which API a model needs, and why.

    The API is ``"sequential"``, ``"functional"`` or ``"subclassing"``. Reads the graphs
    of the model and of the models nested in it. A Functional model that is a plain chain
    gets ``"sequential"``; a Sequential model that uses a layer twice, also inside of a
    wrapper, gets ``"functional"``: it can't be restored from a file. The kinds of
    reasons are ``inputs``, ``outputs``, ``branch``, ``merge``, ``shared``, ``operation``
    (of ``keras.ops``), ``call`` (a layer called with more than its input) and
    ``subclass``. Raises an InputError for anything but a Keras model. Follows both
    articles.

    >>> print(kmw.which_api(kmw.build_wide_deep(hidden_units=(64, 32))))
    functional: 'image' feeds 'flatten' and 'bypass'; 'bypass' joins 'image' and 'reshape'
    """
    if not isinstance(model, keras.Model):
        raise InputError(
            f"`model` should be a Keras model. Received: {type(model).__name__}"
        )
    nested = _nested_models(model)
    reasons = []
    for part in nested:
        where = "" if part is model else f"in '{part.name}': "
        for reason in _reasons_of(part):
            reasons.append(Reason(reason.kind, reason.layers, where + reason.text))
    reasons += _shared_layers(nested)
    kinds = {reason.kind for reason in reasons}
    if "subclass" in kinds:
        return Verdict("subclassing", tuple(reasons))
    return Verdict("functional" if kinds else "sequential", tuple(reasons))


def to_sequential(model: keras.Model) -> keras.Sequential:
    """Convert a model to a Sequential model with the same layers and weights.

    A Sequential model is returned as it is. Predictions are bit-identical, and training
    one model trains the other. Raises an InputError with the reasons of ``which_api`` if
    the model is no plain stack of layers, and for a model that trains in a way of its
    own or holds stateful layers, whose state both models would share. Follows "Keras
    Model Wars: Functional vs Sequential".

    >>> kmw.to_sequential(kmw.build_functional_twin()).output_shape
    (None, 10)
    """
    verdict = which_api(model)
    if isinstance(model, keras.Sequential):
        return model
    if verdict.api != "sequential":
        raise InputError(
            "`model` should be a plain stack of layers to become Sequential. "
            f"Received: {verdict}"
        )
    _check_convertible(model)
    layers = [call.operation for call in _calls(model)]
    return keras.Sequential([model.inputs[0], *layers], name=model.name)


def to_functional(model: keras.Model) -> keras.Model:
    """Convert a model to a Functional model with the same layers and weights.

    A Functional model is returned as it is. Predictions are bit-identical and have the
    same structure, and training one model trains the other. Raises an InputError for a
    subclassed model, whose graph is code, for one that is not built, and for a model
    that trains in a way of its own or holds stateful layers, whose state both models
    would share. Follows "Keras Model Wars: Functional vs Sequential".

    >>> kmw.to_functional(kmw.build_sequential()).output_shape
    (None, 10)
    """
    verdict = which_api(model)
    if not has_graph(model):
        raise InputError(
            "`model` should be Sequential or Functional to become Functional. "
            f"Received: {verdict}"
        )
    if isinstance(model, keras.Function):
        return model
    graph = sequential_graph(model)
    _check_convertible(model)
    return graph


def sequential_graph(model: keras.Sequential) -> keras.Model:
    """Return the Functional model that Keras makes of a Sequential one, to read it."""
    if not model.built or not getattr(model, "inputs", None):
        raise InputError(
            "`model` should start with a keras.Input. "
            "Received: a Sequential model without one"
        )
    structure = model.compute_output_spec(model.inputs[0])
    outputs = keras.tree.pack_sequence_as(structure, model.outputs)
    return keras.Model(model.inputs[0], outputs, name=model.name)


def has_graph(model: keras.Model) -> bool:
    """Tell whether Keras joins the model's layers, and not a call() of its own."""
    graph = isinstance(model, (keras.Sequential, keras.Function))
    return graph and is_keras(type(model).call)


def connections(model: keras.Model) -> list[tuple[keras.Operation, keras.Operation]]:
    """Return the layers that a Functional model joins, from and to, once per use."""
    origins = _origins(model)
    joined = []
    for call in _calls(model):
        for tensor in call.inputs:
            joined.append((origins[id(tensor)], call.operation))
    return joined


def _origins(model: keras.Model) -> dict[int, keras.Operation]:
    """Return the layer that each tensor of a graph comes from."""
    origins = {}
    for node in _nodes(model):
        for tensor in node.output_tensors:
            origins[id(tensor)] = node.operation
    return origins


def is_keras(code: Any) -> bool:
    """Tell whether a function or class is Keras's own."""
    return code.__module__.startswith("keras.")


# What an author may write anew; the converted model would have Keras's own.
OVERRIDABLE = (
    "__call__",
    "compile",
    "train_on_batch",
    "train_step",
    "test_step",
    "predict_step",
    "make_train_function",
    "make_test_function",
    "make_predict_function",
    "compute_loss",
    "compute_metrics",
    "fit",
    "evaluate",
    "predict",
)


def _check_convertible(model: keras.Model) -> None:
    for name in OVERRIDABLE:
        if name in vars(model) or not is_keras(getattr(type(model), name)):
            raise InputError(
                "`model` should train as Keras's own models do. "
                f"Received: a {type(model).__name__} with a {name} of its own, which "
                "the other model would not have"
            )
    held = _held_layers(model)
    stateful = [layer for layer in held if getattr(layer, "stateful", False)]
    changed = []
    if not all(is_keras(type(layer)) for layer in held):
        changed = _changed_by_a_call(model)
    if stateful or changed:
        names = [repr(layer.name) for layer in stateful] or changed
        raise InputError(
            "`model` should hold no stateful layers, whose state both models would "
            f"share. Received: {', '.join(names)}"
        )


def _changed_by_a_call(model: keras.Model) -> list[str]:
    """Return the variables that a call changes, as a layer that counts its calls does."""
    shape = [size or 32 for size in model.inputs[0].shape]
    before = [variable.numpy() for variable in model.non_trainable_variables]
    try:
        x = keras.ops.ones(shape, model.inputs[0].dtype)
        _, after = model.stateless_call(
            model.trainable_variables, model.non_trainable_variables, x, training=False
        )
    except Exception:  # layers that take no ones of this shape
        return []
    names = [variable.path for variable in model.non_trainable_variables]
    return [
        name
        for name, old, new in zip(names, before, after)
        if not np.array_equal(old, keras.ops.convert_to_numpy(new))
    ]


# Keras's graph. Private, because nothing public tells which layer made a tensor from
# which others, which mask Keras passes on, or which layers a layer holds; all that reads
# it stands here.


def _nodes(model: keras.Model) -> list[Any]:
    """Return a Functional model's nodes, in the order of the data."""
    places = {operation: place for place, operation in enumerate(model.operations)}
    ordered = []
    for depth, nodes in model._nodes_by_depth.items():
        for node in nodes:
            ordered.append((-depth, places[node.operation], node))
    ordered.sort(key=lambda entry: entry[:2])
    return [node for _, _, node in ordered]


def made_by(tensor: keras.KerasTensor) -> Any:
    """Return the node of the graph that a tensor comes from."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def inputs_of(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """Return the inputs that a tensor of a Functional model is computed from."""
    found = []
    waiting = [tensor]
    seen = set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        node = made_by(current)
        if node.is_input:
            found.append(current)
        waiting += node.input_tensors
    return found


def _inner_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer and the layers that it holds, in a wrapper or as attributes."""
    return list(layer._flatten_layers(include_self=True, recursive=True))


def _held_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers of a model's graphs, and those that they hold."""
    held = []
    for layers in _nested_models(model).values():
        for layer in layers:
            if isinstance(layer, keras.Layer):
                held += _inner_layers(layer)
    return held


def _is_keras_mask(value: Any, inputs: list[keras.KerasTensor]) -> bool:
    """Tell whether ``mask=value`` is what Keras itself passes for these inputs."""
    usual = [getattr(tensor, "_keras_mask", None) for tensor in inputs]
    passed = keras.tree.flatten(value)
    if len(passed) != len(usual):
        return all(mask is None for mask in passed)
    return all(_same_mask(mask, own) for mask, own in zip(passed, usual))


def _same_mask(mask: Any, own: Any) -> bool:
    """Tell whether two masks are computed alike: a file brings its own operations."""
    if mask is None or mask is own:
        return True
    if not isinstance(mask, keras.KerasTensor) or not isinstance(
        own, keras.KerasTensor
    ):
        return mask == own if not hasattr(mask, "shape") else False
    first, second = made_by(mask), made_by(own)
    if isinstance(first.operation, keras.Layer):
        return False
    if type(first.operation) is not type(second.operation):
        return False
    arguments = keras.tree.flatten([first.arguments.args, first.arguments.kwargs])
    others = keras.tree.flatten([second.arguments.args, second.arguments.kwargs])
    if len(arguments) != len(others):
        return False
    return all(_same_mask(a, b) for a, b in zip(arguments, others))


def _calls(model: keras.Model) -> list[Call]:
    """Return the calls in a Functional model's graph, in the order of the data."""
    nodes = [node for node in _nodes(model) if not node.is_input]
    for_masks: set[int] = set()
    for_layers: set[int] = {id(output) for output in model.outputs}
    calls = []
    for node in reversed(nodes):  # what is used comes after what uses it
        made = {id(tensor) for tensor in node.output_tensors}
        is_layer = isinstance(node.operation, keras.Layer)
        if not is_layer and made <= for_masks and not made & for_layers:
            for_masks.update(id(tensor) for tensor in node.input_tensors)
            continue
        call, masks = _read_call(node)
        calls.append(call)
        for_masks.update(id(mask) for mask in masks)
        for_layers.update(id(tensor) for tensor in call.inputs)
    calls.reverse()
    return calls


def _read_call(node: Any) -> tuple[Call, list[keras.KerasTensor]]:
    """Return a node as a Call, and the masks that Keras passes on in it."""
    arguments = dict(node.arguments.kwargs)
    for place, value in enumerate(node.arguments.args, start=1):
        arguments[f"argument {place}"] = value
    tensors = [tensor for tensor in node.input_tensors]
    masks: list[keras.KerasTensor] = []
    if "mask" in arguments and isinstance(node.operation, keras.Layer):
        mask_tensors = _tensors(arguments["mask"])
        rest = [t for t in tensors if not any(t is mask for mask in mask_tensors)]
        if _is_keras_mask(arguments["mask"], rest):
            masks = mask_tensors
            tensors = rest
            del arguments["mask"]
    extras = []
    parameters = inspect.signature(node.operation.call).parameters
    for name, value in arguments.items():
        default = getattr(parameters.get(name), "default", None)
        found = _tensors(value)
        usual = isinstance(value, keras.KerasTensor) or value is default
        # Several tensors are a merge, which has its own reason.
        if not usual and len(found) < 2:
            extras.append(
                f"{name} as a {type(value).__name__}" if found else f"{name}={value!r}"
            )
    return Call(node.operation, tensors, node.output_tensors, extras), masks


def _tensors(value: Any) -> list[keras.KerasTensor]:
    leaves = keras.tree.flatten(value)
    return [leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)]


# The reasons.


def _reasons_of(part: keras.Model) -> list[Reason]:
    """Return the reasons that lie in the graph of one model."""
    if not has_graph(part):
        text = (
            f"'{part.name}' is a {type(part).__name__}, whose layers are joined in the "
            "code of call()"
        )
        return [Reason("subclass", (part.name,), text)]
    if not isinstance(part, keras.Function):
        return []
    calls = _calls(part)
    names = {id(tensor): tensor.name for tensor in part.inputs}
    for call in calls:
        for tensor in call.outputs:
            names[id(tensor)] = call.operation.name
    # A Sequential model returns whatever its last layer returns, even several tensors.
    last = calls[-1] if calls else None
    if last is not None and not _are(last.outputs, part.outputs):
        last = None
    reasons = _ends(part, names, last)
    if not calls:
        text = "there is no layer between its input and its output"
        reasons.append(Reason("outputs", (), text))
    reasons += _branches(part, calls, names)
    for call in calls:
        reasons += _joints(call, names, call is last)
    return reasons


def _are(tensors: list[Any], others: list[Any]) -> bool:
    if len(tensors) != len(others):
        return False
    return all(a is b for a, b in zip(tensors, others))


def _ends(part: keras.Model, names: dict[int, str], last: Call | None) -> list[Reason]:
    reasons = []
    ends = (
        ("inputs", part.inputs, part.input, None),
        ("outputs", part.outputs, part.output, last),
    )
    for kind, tensors, structure, returned in ends:
        found = tuple(names[id(tensor)] for tensor in tensors)
        listed = ", ".join(map(repr, found))
        if len(found) > 1 and returned is None:
            reasons.append(Reason(kind, found, f"{len(found)} {kind}: {listed}"))
        elif isinstance(structure, dict) and not _returns_dict(returned):
            text = f"its {kind} are named in a dict: {listed}"
            reasons.append(Reason(kind, found, text))
    return reasons


def _returns_dict(call: Call | None) -> bool:
    if call is None or not isinstance(call.operation, keras.Layer):
        return False
    spec = call.operation.compute_output_spec(*call.inputs)
    return isinstance(spec, dict)


def _branches(
    part: keras.Model, calls: list[Call], names: dict[int, str]
) -> list[Reason]:
    users: dict[int, list[str]] = {tensor: [] for tensor in names}
    for call in calls:
        for tensor in call.inputs:
            users[id(tensor)].append(repr(call.operation.name))
    for output in part.outputs:
        users[id(output)].append("an output")
    reasons = []
    for tensor, found in users.items():
        if len(found) > 1:
            name = names[tensor]
            text = f"'{name}' feeds {_counted(found)}"
            reasons.append(Reason("branch", (name,), text))
    return reasons


def _joints(call: Call, names: dict[int, str], is_last: bool) -> list[Reason]:
    name = call.operation.name
    sources = tuple(names[id(tensor)] for tensor in call.inputs)
    reasons = []
    if len(sources) > 1:
        text = f"'{name}' joins {_counted(map(repr, sources))}"
        reasons.append(Reason("merge", (name, *sources), text))
    if len(call.outputs) > 1 and not is_last:
        text = (
            f"'{name}' returns {len(call.outputs)} tensors that do not all leave the "
            "model"
        )
        reasons.append(Reason("outputs", (name,), text))
    if not isinstance(call.operation, keras.Layer):
        text = f"'{name}' is an operation on tensors and not a layer"
        reasons.append(Reason("operation", (name,), text))
    elif call.extras:
        text = f"'{name}' is called with {_counted(call.extras)}"
        reasons.append(Reason("call", (name,), text))
    return reasons


def _shared_layers(nested: dict[keras.Model, list[Any]]) -> list[Reason]:
    """Return one reason for each layer that is used twice, also inside of another."""
    reasons = []
    uses = Counter(layer for layers in nested.values() for layer in layers)
    for layer, count in uses.items():
        if count > 1:
            text = f"'{layer.name}' is used {count} times"
            text += _not_restored(nested, layer)
            reasons.append(Reason("shared", (layer.name,), text))
    # A layer inside of a wrapper, or held by another, is used there.
    holders: dict[int, keras.Layer] = {}
    found = set()
    for layer in uses:
        if not isinstance(layer, keras.Layer):
            continue
        wrapped = _unwrapped(layer)
        # The layers of a nested model are among the uses already.
        held = [layer, wrapped] if wrapped in nested else _inner_layers(layer)
        for part in held:
            other = holders.setdefault(id(part), layer)
            pair = (other.name, layer.name)
            if other is not layer and pair not in found:
                found.add(pair)
                text = f"'{pair[0]}' and '{pair[1]}' share the layer '{part.name}'"
                text += _not_restored(nested, layer)
                reasons.append(Reason("shared", pair, text))
    return reasons


def _not_restored(nested: dict[keras.Model, list[Any]], layer: Any) -> str:
    for part, layers in nested.items():
        if isinstance(part, keras.Sequential) and layer in layers:
            return f", {NOT_RESTORED}"
    return ""


def _nested_models(model: keras.Model) -> dict[keras.Model, list[Any]]:
    """Return a model and every model in it, with the layers of its graph, per use."""
    found: dict[keras.Model, list[Any]] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop(0)
        if part in found:
            continue
        found[part] = _own_layers(part)
        for layer in found[part]:
            wrapped = _unwrapped(layer)
            if isinstance(wrapped, keras.Model):
                waiting.append(wrapped)
    return found


def _unwrapped(layer: Any) -> Any:
    """Return the layer within a wrapper, as TimeDistributed, or within several."""
    while isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    return layer


def _own_layers(part: keras.Model) -> list[Any]:
    if not has_graph(part):
        return []
    if isinstance(part, keras.Sequential):
        return part.layers
    return [call.operation for call in _calls(part)]


def _counted(texts: Iterable[str]) -> str:
    each = []
    for text, count in Counter(texts).items():
        each.append(text if count == 1 else f"{text} ({count} times)")
    if len(each) == 1:
        return each[0]
    return f"{', '.join(each[:-1])} and {each[-1]}"
