"""Which API a model needs: every reason, alone and together, and the conversions that follow from it."""

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers

from keras_model_wars import InputError, models, to_functional, to_sequential, which_api


class Subclassed(keras.Model):
    def __init__(self, name="subclassed"):
        super().__init__(name=name)
        self.dense = layers.Dense(4)

    def call(self, x):
        return self.dense(x)


def inputs(name="input", shape=(4,)):
    return keras.Input(shape, name=name)


def dense(name):
    return layers.Dense(4, name=name)


def of_one_input(function, shape=(4,)):
    """Return a builder of the model whose outputs are what the function makes of its input."""
    return lambda: keras.Model(x := inputs(shape=shape), function(x), name="branched")


def two_inputs():
    both = [inputs("a"), inputs("b")]
    return keras.Model(both, layers.Add(name="add")(both))


def shared_in_sequential():
    return keras.Sequential([inputs(), shared := dense("shared"), shared])


SQUARE, DROPOUT = layers.Multiply(name="square"), layers.Dropout(0.5, name="dropout")
LSTM = layers.LSTM(3, return_state=True, name="lstm")
branch_and_merge = of_one_input(lambda x: layers.Add(name="add")([x, dense("deep")(x)]))
shared_in_functional = of_one_input(lambda x: (shared := dense("shared"))(shared(x)))
three_tensors_of_the_last_layer = of_one_input(lambda x: list(LSTM(x)), (5, 4))

# A builder, the kinds of its model's reasons, and what the verdict says.
FUNCTIONAL = (
    (
        two_inputs,
        "inputs merge",
        "functional: 2 inputs: 'a', 'b'; 'add' joins 'a' and 'b'",
    ),
    (
        of_one_input(lambda x: [dense("left")(x), dense("right")(x)]),
        "branch outputs",
        "2 outputs: 'left', 'right'; 'input' feeds 'left' and 'right'",
    ),
    (
        branch_and_merge,
        "branch merge",
        "'input' feeds 'deep' and 'add'; 'add' joins 'input' and 'deep'",
    ),
    (shared_in_functional, "shared", "functional: 'shared' is used 2 times"),
    (
        shared_in_sequential,
        "shared",
        "which a Sequential model builds but does not restore from a file",
    ),
    (
        lambda: keras.Sequential(
            [inputs(), shared := dense("shared"), keras.Sequential([inputs(), shared])]
        ),
        "shared",
        "'shared' is used 2 times",
    ),
    (
        lambda: keras.Sequential([shared := dense("shared"), shared]),
        "shared",
        "'shared' is used 2 times",
    ),
    (
        of_one_input(lambda x: [middle := dense("middle")(x), dense("last")(middle)]),
        "branch outputs",
        "'middle' feeds 'last' and an output",
    ),
    (
        of_one_input(lambda x: SQUARE([x, x])),
        "branch merge",
        "'square' joins 'input' (2 times)",
    ),
    (
        of_one_input(lambda x: dense("dense")(x) + 1),
        "operation",
        "is an operation on tensors",
    ),
    (
        of_one_input(lambda x: {"y": dense("named")(x)}),
        "outputs",
        "named in a dict: 'named'",
    ),
    (
        of_one_input(lambda x: DROPOUT(x, training=True)),
        "call",
        "called with training=True",
    ),
    (
        of_one_input(lambda x: layers.Add()(LSTM(x)[:2]), (5, 4)),
        "merge outputs",
        "returns 3 tensors",
    ),
    (
        lambda: keras.Sequential([inputs(), branch_and_merge()]),
        "branch merge",
        "in 'branched': 'input' feeds",
    ),
    (
        of_one_input(lambda x: (nested := branch_and_merge())(nested(x))),
        "branch merge shared",
        "functional: in 'branched': 'input' feeds 'deep' and 'add'; in 'branched': 'add' joins 'input' and 'deep'; 'bra",
    ),
    (
        of_one_input(lambda x: branch_and_merge()(x)),
        "branch merge",
        "in 'branched': 'add' joins",
    ),
    (
        lambda: keras.Sequential(
            [keras.Input((3, 4)), layers.TimeDistributed(branch_and_merge())]
        ),
        "branch merge",
        "in 'branched': 'input' feeds",
    ),
    pytest.param(
        of_one_input(lambda x: x),
        "outputs",
        "no layer between its input and its output",
        marks=pytest.mark.skipif(
            keras.version() < "3.13", reason="Keras 3.12 builds no such model"
        ),
    ),
)
PLAIN_CHAINS = (
    lambda: keras.Sequential([dense("dense")]),
    three_tensors_of_the_last_layer,
    lambda: keras.Sequential(
        [inputs(), of_one_input(dense("first"))(), keras.Sequential([dense("last")])]
    ),
    of_one_input(lambda x: layers.BatchNormalization()(layers.Dropout(0.1)(x))),
    lambda: keras.Model(
        (whole := branch_and_merge()).inputs, whole.get_layer("deep").output
    ),
    lambda: keras.applications.MobileNet(weights=None),
)


def test_verdicts_of_the_packages_own_models_and_the_layers_that_a_reason_names():
    apis = {
        name: which_api(build((8, 8))).api
        for name, build in vars(models).items()
        if name.startswith("build_")
    }
    plain, others = (
        "sequential added_sequential functional_twin",
        "wide_deep two_input_two_output shared_layers",
    )
    expected = dict.fromkeys(plain.split(), "sequential") | dict.fromkeys(
        others.split(), "functional"
    )
    assert apis == {f"build_{name}": api for name, api in expected.items()}
    reasons = [
        (reason.kind, reason.layers) for reason in which_api(two_inputs()).reasons
    ]
    assert reasons == [("inputs", ("a", "b")), ("merge", ("add", "a", "b"))]


@pytest.mark.parametrize(("build", "expected", "text"), FUNCTIONAL)
def test_every_reason_for_the_functional_api_is_found(build, expected, text):
    verdict = which_api(build())
    assert sorted({reason.kind for reason in verdict.reasons}) == expected.split()
    assert verdict.api == "functional"
    assert text in str(verdict)


@pytest.mark.parametrize("build", PLAIN_CHAINS)
def test_a_plain_chain_is_sequential(build):
    assert str(which_api(build())) == "sequential"


def test_layers_that_are_joined_in_code_need_subclassing():
    class Own(keras.Sequential):
        def call(self, x):
            return super().call(x) + 1

    for model in (
        Subclassed(),
        keras.Sequential([inputs(), Subclassed()]),
        Own([inputs(), dense("dense")]),
    ):
        assert which_api(model).api == "subclassing"
        assert "joined in the code of call()" in str(which_api(model))
    with pytest.raises(
        InputError,
        match=r"to become Functional.*subclassing: 'own' .*joined in the code",
    ):
        to_functional(Own([inputs(), dense("dense")], name="own"))


def same_after_a_file(model, tmp_path, x):
    model.save(tmp_path / "model.keras")
    return np.array_equal(
        keras.saving.load_model(tmp_path / "model.keras")(x), model(x)
    )


@pytest.mark.parametrize(
    "build",
    [
        models.build_added_sequential,
        models.build_functional_twin,
        three_tensors_of_the_last_layer,
    ],
)
def test_both_conversions_keep_layers_weights_and_predictions(build, tmp_path):
    model = build()
    x = np.random.default_rng(0).random((3, *model.input_shape[1:]), dtype="float32")
    functional = to_functional(model)
    sequential = to_sequential(functional)
    assert (type(functional), type(sequential)) == (
        type(branch_and_merge()),
        keras.Sequential,
    )
    assert (
        sequential.layers == functional.layers[1:]
    )  # a Sequential model does not list its input
    for other in (functional, sequential, to_functional(sequential)):
        assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
        assert same_after_a_file(other, tmp_path, x)
    sequential.set_weights([weights + 1 for weights in sequential.get_weights()])
    assert np.array_equal(sequential(x), model(x))


def test_a_sequential_comes_back_as_it_is_and_becomes_a_functional_that_a_file_keeps(
    tmp_path,
):
    for model in (
        shared_in_sequential(),
        keras.Sequential([inputs(), branch_and_merge()]),
        keras.Sequential(),
    ):
        assert to_sequential(model) is model
    model, x = (
        shared_in_sequential(),
        np.random.default_rng(0).random((3, 4), dtype="float32"),
    )
    assert np.array_equal(to_functional(model)(x), model(x))
    assert same_after_a_file(to_functional(model), tmp_path, x)
    assert not same_after_a_file(model, tmp_path, x)


@pytest.mark.parametrize(
    "build", [two_inputs, branch_and_merge, shared_in_functional, Subclassed]
)
def test_what_cannot_be_sequential_is_refused_with_the_reasons(build):
    with pytest.raises(InputError, match="plain stack of layers") as refused:
        to_sequential(model := build())
    assert str(refused.value).endswith(f"Received: {which_api(model)}.")


@st.composite
def graphs(draw):
    """Draw a model and the reasons it has: each step takes one tensor, or joins two, with a new or an old layer."""
    starts = [inputs(f"input_{i}") for i in range(draw(st.integers(1, 2)))]
    steps, pool = (
        draw(st.integers(1, 6)),
        [dense("first"), dense("second"), dense("third")],
    )
    tensors, taken, used = [*starts], [], []
    for step in range(steps):
        sources = draw(
            st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=2)
        )
        taken += sources
        if len(sources) == 2:
            tensors.append(
                layers.Add(name=f"add_{step}")([tensors[source] for source in sources])
            )
        else:
            used.append(draw(st.sampled_from(pool)))
            tensors.append(used[-1](tensors[sources[0]]))
    assume(
        set(range(len(starts))) <= set(taken)
    )  # not every Keras takes an input that leads nowhere
    outputs = [tensor for i, tensor in enumerate(tensors) if i not in taken]
    expected = {
        "branch": len(taken) > len(set(taken)),
        "inputs": len(starts) > 1,
        "merge": len(used) < steps,
        "outputs": len(outputs) > 1,
        "shared": len(used) > len(set(used)),
    }
    return keras.Model(starts, outputs), [
        kind for kind, there in expected.items() if there
    ]


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_random_graphs_get_the_reasons_they_were_made_with(graph):
    model, expected = graph
    verdict = which_api(model)
    assert sorted({reason.kind for reason in verdict.reasons}) == expected
    assert verdict.api == ("functional" if expected else "sequential")
    if not expected:
        x = np.random.default_rng(0).random((2, 4), dtype="float32")
        assert np.array_equal(to_sequential(model)(x), model([x]))
