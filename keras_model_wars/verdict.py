"""Which of Keras's APIs a model needs, and the same model in the other one."""

import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras


@dataclass(frozen=True)
class Reason:
    """Why a plain stack of layers is not enough: a ``kind``, the names of the ``layers``, and a ``text`` that tells it."""

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
        """Return the api and every reason in a line."""
        return self.api + (": " + "; ".join(map(str, self.reasons)) if self.reasons else "")


def which_api(model: keras.Model) -> Verdict:
    """Tell which API a model needs: ``"sequential"``, ``"functional"`` or ``"subclassing"``, and why.

    Reads the model's graph and those of the models nested in it; runs and compiles nothing. A Functional model that is a
    plain chain gets ``"sequential"``; a Sequential one that uses a layer twice gets ``"functional"``, because it can't be
    saved and loaded back. The reasons' kinds are ``inputs``, ``outputs``, ``branch``, ``merge``, ``shared``, ``operation``
    (a function of ``keras.ops``, which is no layer), ``call`` (a layer called with more than its input) and ``subclass``.
    Raises a TypeError for anything but a Keras model.

    >>> print(which_api(build_wide_deep(hidden_units=(64, 32))))
    functional: 'image' feeds 'flatten' and 'bypass'; 'bypass' joins 'image' and 'reshape'

    Follows both articles: when each API is the right one.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` should be a Keras model. Received: {type(model).__name__}.")
    reasons: list[Reason] = []
    uses: Counter[int] = Counter()
    names: dict[int, str] = {}
    in_sequential: set[int] = set()
    for nested in _nested_models(model):
        where = "" if nested is model else f"in '{nested.name}': "
        if not _has_graph(nested):
            text = f"'{nested.name}' is a {type(nested).__name__}, whose layers are joined in the code of call()"
            reasons.append(Reason("subclass", (nested.name,), text))
            continue
        layers = _used_layers(nested)
        uses.update(map(id, layers))
        names.update((id(layer), layer.name) for layer in layers)
        if isinstance(nested, keras.Sequential):
            in_sequential.update(map(id, layers))
        else:
            reasons += [Reason(kind, layers, where + text) for kind, layers, text in _graph_reasons(nested)]
    for layer, count in uses.items():
        if count > 1:
            text = f"'{names[layer]}' is used {count} times"
            if layer in in_sequential:
                text += ", which a Sequential builds but does not get back from a file"
            reasons.append(Reason("shared", (names[layer],), text))
    if any(reason.kind == "subclass" for reason in reasons):
        return Verdict("subclassing", tuple(reasons))
    return Verdict("functional" if reasons else "sequential", tuple(reasons))


def to_sequential(model: keras.Model) -> keras.Sequential:
    """Return the same layers and weights as a Sequential model.

    Its predictions equal the model's to the bit. Both models share their layers: what one learns, the other knows. A
    Sequential model that is one already comes back as it is. Raises a ValueError with the reasons of ``which_api`` where
    a plain stack of layers can't express the model, a TypeError for anything but a Keras model.

    >>> to_sequential(build_functional_twin()).layers[1].name
    'hidden_1'

    Follows "Keras Model Wars: Functional vs Sequential".
    """
    verdict = which_api(model)
    if verdict.api != "sequential":
        raise ValueError(f"`model` should be a plain stack of layers to become Sequential. Received: {verdict}.")
    if isinstance(model, keras.Sequential):
        return model
    return keras.Sequential([model.inputs[0], *_used_layers(model)], name=model.name)


def to_functional(model: keras.Model) -> keras.Model:
    """Return the same layers and weights as a Functional model.

    Its predictions equal the model's to the bit. Both models share their layers: what one learns, the other knows. A
    Functional model comes back as it is. Raises a ValueError for a subclassed model, whose graph is code, and for a
    Sequential one whose input is not known yet; a TypeError for anything but a Keras model.

    >>> to_functional(build_sequential()).get_layer("hidden_1").units
    256

    Follows "Keras Model Wars: Functional vs Sequential".
    """
    verdict = which_api(model)
    if not _has_graph(model):
        raise ValueError(f"`model` should be Sequential or Functional to become Functional. Received: {verdict}.")
    if isinstance(model, keras.Function):
        return model
    if not model.built:
        raise ValueError("`model` should know its input. Received: an unbuilt Sequential; start it with a keras.Input.")
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    return keras.Model(model.inputs[0], outputs, name=model.name)


class _Call(NamedTuple):
    """One call of a layer in a graph: which tensors went in and came out."""

    layer: keras.Operation
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]
    extras: tuple[str, ...]


def _calls(model: keras.Model) -> tuple[list[_Call], dict[int, str]]:
    """Return a Functional model's calls, inputs first, and for every tensor, by id, the layer that it comes from.

    The one place that reads what is private in Keras: no public name tells which layer made a tensor from which
    others. ``get_config`` does, but not for layers that can't be serialized.
    """
    calls: dict[int, _Call] = {}
    origins: dict[int, str] = {}
    stack = [(tensor, False) for tensor in reversed(model.outputs)]
    inputs = {id(tensor) for tensor in model.inputs}
    while stack:
        tensor, followed = stack.pop()
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        origins[id(tensor)] = layer.name
        if id(tensor) in inputs or id(node) in calls:
            continue
        if followed:
            calls[id(node)] = _Call(layer, node.input_tensors, node.outputs, tuple(_extras(layer, node.arguments)))
        else:
            stack.append((tensor, True))
            stack += [(source, False) for source in reversed(node.input_tensors)]
    origins.update((id(tensor), tensor._keras_history[0].name) for tensor in model.inputs)
    return list(calls.values()), origins


def _extras(layer: keras.Operation, arguments: Any) -> Iterator[str]:
    """Name what a layer was called with besides the one tensor that a Sequential would hand it."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(layer.call).parameters.items()}
    named = {f"argument {place}": value for place, value in enumerate(arguments.args, start=1)} | arguments.kwargs
    for name, value in named.items():
        if isinstance(value, keras.KerasTensor) or value is None or value is defaults.get(name):
            continue
        tensors = [leaf for leaf in keras.tree.flatten(value) if isinstance(leaf, keras.KerasTensor)]
        if len(tensors) < 2:  # several are a merge, which has its own reason
            yield f"{name} as a {type(value).__name__}" if tensors else f"{name}={value!r}"


def _graph_reasons(model: keras.Model) -> Iterator[tuple[str, tuple[str, ...], str]]:
    calls, origins = _calls(model)
    consumers: dict[int, list[str]] = defaultdict(list)
    for call in calls:
        for tensor in call.inputs:
            consumers[id(tensor)].append(f"'{call.layer.name}'")
    last = calls[-1].outputs if calls else []
    # A Sequential model returns whatever its last layer returns, be it several tensors.
    whole_last = [id(tensor) for tensor in model.outputs] == [id(tensor) for tensor in last]

    for what, tensors, many in (
        ("inputs", model.inputs, len(model.inputs) > 1),
        ("outputs", model.outputs, len(model.outputs) > 1 and not whole_last),
    ):
        layers = tuple(origins[id(tensor)] for tensor in tensors)
        if many:
            yield what, layers, f"{len(layers)} {what}: {_listed(layers)}"
        elif isinstance(model.input if what == "inputs" else model.output, dict):
            yield what, layers, f"its {what} are named in a dict: {_listed(layers)}"
    if not calls:
        yield "outputs", (), "no layer lies between its input and its output"
    for tensor in {id(t): t for call in calls for t in [*call.inputs, *call.outputs]}.values():
        used = consumers[id(tensor)] + ["an output"] * sum(output is tensor for output in model.outputs)
        if len(used) > 1:
            name = origins[id(tensor)]
            yield "branch", (name,), f"'{name}' feeds {_counted(used)}"
    for call in calls:
        name = call.layer.name
        if len(call.inputs) > 1:
            sources = tuple(origins[id(tensor)] for tensor in call.inputs)
            joined = _counted([f"'{source}'" for source in sources])
            yield "merge", (name, *sources), f"'{name}' joins {joined}"
        if len(call.outputs) > 1 and not (call is calls[-1] and whole_last):
            yield "outputs", (name,), f"'{name}' returns {len(call.outputs)} tensors that do not all leave the model"
        if not isinstance(call.layer, keras.Layer):
            yield "operation", (name,), f"'{name}' is an operation on tensors and no layer"
        elif call.extras:
            yield "call", (name,), f"'{name}' is called with {_counted(call.extras)}"


def _used_layers(model: keras.Model) -> list[Any]:
    """Return the layers of a model's own graph, one for each time that it is used, in the order of the data."""
    if isinstance(model, keras.Sequential):
        return model.layers
    return [call.layer for call in _calls(model)[0]]


def _nested_models(model: keras.Model) -> Iterator[keras.Model]:
    """Yield a model and every model in it, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        nested = waiting.pop(0)
        if id(nested) in seen:
            continue
        seen.add(id(nested))
        yield nested
        if _has_graph(nested):
            inner = (
                layer.layer if isinstance(layer, keras.layers.Wrapper) else layer for layer in _used_layers(nested)
            )
            waiting += [layer for layer in inner if isinstance(layer, keras.Model)]


def _has_graph(model: keras.Model) -> bool:
    """Say whether Keras itself joins the model's layers: Sequential or Functional, with no call() of somebody's own."""
    own = [cls for cls in type(model).__mro__ if not cls.__module__.startswith("keras.")]
    return isinstance(model, (keras.Sequential, keras.Function)) and not any("call" in vars(cls) for cls in own)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _counted(texts: Sequence[str]) -> str:
    each = [text if count == 1 else f"{text} ({count} times)" for text, count in Counter(texts).items()]
    return " and ".join(filter(None, (", ".join(each[:-1]), each[-1])))
