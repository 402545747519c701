"""Which API a model needs: every reason, alone and together, and the conversions that follow from it."""

import inspect

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from keras import layers

from keras_model_wars import models, to_functional, to_sequential, which_api

BUILDERS = [builder for name, builder in inspect.getmembers(models) if name.startswith("build_")]
SMALL = {"hidden_units": (8, 8)}


class Subclassed(keras.Model):
    def __init__(self, name="subclassed"):
        super().__init__(name=name)
        self.dense = layers.Dense(4)

    def call(self, x):
        return self.dense(x)


def inputs(name="input"):
    return keras.Input((4,), name=name)


def dense(name):
    return layers.Dense(4, name=name)


def kinds(model):
    return sorted({reason.kind for reason in which_api(model).reasons})


def reason(model, kind):
    (found,) = [reason for reason in which_api(model).reasons if reason.kind == kind]
    return found


def two_inputs():
    a, b = inputs("a"), inputs("b")
    return keras.Model([a, b], layers.Add(name="add")([a, b]))


def two_outputs():
    x = inputs()
    return keras.Model(x, [dense("left")(x), dense("right")(x)])


def branch_and_merge():
    x = inputs()
    return keras.Model(x, layers.Add(name="add")([x, dense("deep")(x)]))


def shared_in_functional():
    x, shared = inputs(), dense("shared")
    return keras.Model(x, shared(shared(x)))


def shared_in_sequential():
    shared = dense("shared")
    return keras.Sequential([inputs(), shared, shared])


def chain():
    x = inputs()
    return keras.Model(x, dense("second")(dense("first")(x)))


@pytest.mark.parametrize(
    ("builder", "api"),
    [
        (models.build_sequential, "sequential"),
        (models.build_added_sequential, "sequential"),
        (models.build_functional_twin, "sequential"),
        (models.build_wide_deep, "functional"),
        (models.build_two_input_two_output, "functional"),
        (models.build_shared_layers, "functional"),
    ],
)
def test_verdicts_of_the_packages_own_models(builder, api):
    assert which_api(builder(**SMALL)).api == api


def test_every_builder_has_a_verdict_here():
    assert len(BUILDERS) == 6


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (two_inputs, ["inputs", "merge"]),
        (two_outputs, ["branch", "outputs"]),
        (branch_and_merge, ["branch", "merge"]),
        (shared_in_functional, ["shared"]),
        (shared_in_sequential, ["shared"]),
        (chain, []),
    ],
)
def test_reasons_of_hand_made_graphs(build, expected):
    assert kinds(build()) == expected
    assert which_api(build()).api == ("functional" if expected else "sequential")


def test_reasons_name_the_layers():
    assert str(reason(two_inputs(), "inputs")) == "2 inputs: 'a', 'b'"
    assert str(reason(two_outputs(), "outputs")) == "2 outputs: 'left', 'right'"
    assert str(reason(branch_and_merge(), "branch")) == "'input' feeds 'deep' and 'add'"
    assert str(reason(branch_and_merge(), "merge")) == "'add' joins 'input' and 'deep'"
    assert str(reason(shared_in_functional(), "shared")) == "'shared' is used 2 times"
    assert reason(two_inputs(), "merge").layers == ("add", "a", "b")


def test_a_sequential_that_shares_a_layer_is_told_that_no_file_keeps_it():
    assert "file" in str(reason(shared_in_sequential(), "shared"))


def test_all_reasons_of_one_model_are_given_together():
    a, b, shared = inputs("a"), inputs("b"), dense("shared")
    left, right = shared(a), shared(b)
    merged = layers.Add(name="add")([left, right])
    model = keras.Model([a, b], [dense("first")(merged), dense("second")(merged)])
    assert kinds(model) == ["branch", "inputs", "merge", "outputs", "shared"]


def test_an_output_that_feeds_on_is_a_branch():
    x = inputs()
    middle = dense("middle")(x)
    model = keras.Model(x, [middle, dense("last")(middle)])
    assert str(reason(model, "branch")) == "'middle' feeds 'last' and an output"


def test_a_layer_that_takes_one_tensor_twice_is_a_merge():
    x = inputs()
    assert kinds(keras.Model(x, layers.Multiply(name="square")([x, x]))) == ["branch", "merge"]


def test_an_operation_on_tensors_is_no_layer():
    x = inputs()
    assert kinds(keras.Model(x, dense("dense")(x) + 1)) == ["operation"]


def test_a_layer_called_for_training_is_no_plain_call():
    x = inputs()
    assert "training=True" in str(reason(keras.Model(x, layers.Dropout(0.5, name="d")(x, training=True)), "call"))


def test_layers_with_flags_of_their_own_are_plain_calls():
    x = keras.Input((5, 4))
    y = layers.LSTM(3)(layers.BatchNormalization()(layers.Dropout(0.1)(x)))
    assert which_api(keras.Model(x, y)).api == "sequential"


def test_a_last_layer_with_several_tensors_is_a_plain_chain():
    x = keras.Input((5, 4))
    assert which_api(keras.Model(x, layers.LSTM(3, return_state=True)(x))).api == "sequential"


def test_a_middle_layer_with_several_tensors_is_not():
    x = keras.Input((5, 4))
    sequence, state, _ = layers.LSTM(3, return_state=True, name="lstm")(x)
    assert kinds(keras.Model(x, layers.Add()([sequence, state]))) == ["merge", "outputs"]
    assert kinds(keras.Model(x, layers.Dense(2)(sequence))) == ["outputs"]


def test_outputs_in_a_dict_need_the_functional_api():
    x = inputs()
    assert kinds(keras.Model(x, {"y": dense("dense")(x)})) == ["outputs"]


def test_no_layer_at_all_needs_the_functional_api():
    x = inputs()
    try:
        model = keras.Model(x, x)
    except ValueError as error:
        pytest.skip(f"Keras {keras.version()} builds no such model: {error}")
    assert kinds(model) == ["outputs"]


def test_nested_models_are_looked_into():
    nested = branch_and_merge()
    for model in (keras.Sequential([inputs(), nested]), keras.Model(x := inputs(), nested(x))):
        assert which_api(model).api == "functional"
        assert str(reason(model, "branch")).startswith(f"in '{nested.name}': ")
    assert which_api(keras.Sequential([inputs(), chain(), keras.Sequential([dense("last")])])).api == "sequential"


def test_models_in_wrappers_are_looked_into():
    model = keras.Sequential([keras.Input((3, 4)), layers.TimeDistributed(branch_and_merge())])
    assert kinds(model) == ["branch", "merge"]


def test_a_layer_shared_with_a_nested_model_is_shared():
    shared = dense("shared")
    nested = keras.Sequential([inputs(), shared])
    assert kinds(keras.Sequential([inputs(), shared, nested])) == ["shared"]


def test_a_subclassed_model_needs_subclassing_wherever_it_is():
    assert which_api(Subclassed()).api == "subclassing"
    verdict = which_api(keras.Sequential([inputs(), Subclassed("inner")]))
    assert verdict.api == "subclassing"
    assert "'inner'" in str(verdict)


def test_a_sequential_with_a_call_of_its_own_needs_subclassing():
    class Own(keras.Sequential):
        def call(self, x):
            return super().call(x) + 1

    assert which_api(Own([inputs(), dense("dense")])).api == "subclassing"


def test_an_unbuilt_sequential_has_a_verdict():
    shared = dense("shared")
    assert which_api(keras.Sequential([dense("dense")])).api == "sequential"
    assert which_api(keras.Sequential([shared, shared])).api == "functional"


def test_a_part_of_a_model_is_judged_by_itself():
    whole = branch_and_merge()
    assert which_api(keras.Model(whole.inputs, whole.get_layer("deep").output)).api == "sequential"


@pytest.mark.parametrize(
    ("application", "api"),
    [
        ("VGG16", "sequential"),
        ("MobileNet", "sequential"),
        ("ResNet50", "functional"),
        ("EfficientNetB0", "functional"),
    ],
)
def test_applications_of_keras_have_verdicts(application, api):
    assert which_api(getattr(keras.applications, application)(weights=None)).api == api


@pytest.mark.parametrize("convert", [which_api, to_sequential, to_functional])
def test_anything_but_a_model_is_a_type_error(convert):
    with pytest.raises(TypeError, match="should be a Keras model. Received: int"):
        convert(3)


def same_after_a_file(model, tmp_path, x):
    path = tmp_path / "model.keras"
    model.save(path)
    return np.array_equal(keras.saving.load_model(path)(x), model(x))


@pytest.mark.parametrize(
    "builder", [models.build_sequential, models.build_added_sequential, models.build_functional_twin]
)
def test_both_conversions_keep_layers_weights_and_predictions(builder, tmp_path):
    model = builder(**SMALL)
    x = np.random.default_rng(0).random((3, *model.input_shape[1:]), dtype="float32")
    functional = to_functional(model)
    sequential = to_sequential(functional)
    assert isinstance(functional, keras.Function)
    assert isinstance(sequential, keras.Sequential)
    for other in (functional, sequential, to_functional(sequential)):
        assert [layer.name for layer in other.layers if layer.name in "hidden_1 hidden_2 output"][0] == "hidden_1"
        assert np.array_equal(other(x), model(x))
        assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
        assert same_after_a_file(other, tmp_path, x)
    sequential.layers[-2].set_weights([w + 1 for w in sequential.layers[-2].get_weights()])
    assert np.array_equal(sequential(x), model(x))


def test_several_tensors_of_the_last_layer_survive_the_conversion():
    x = keras.Input((5, 4))
    model = keras.Model(x, layers.LSTM(3, return_state=True)(x))
    given = np.random.default_rng(0).random((2, 5, 4))
    converted = to_sequential(model)(given)
    assert len(converted) == 3
    assert all(np.array_equal(a, b) for a, b in zip(converted, model(given), strict=True))


def test_converting_leaves_the_verdict_of_the_original_alone():
    model = chain()
    to_sequential(model)
    to_sequential(model)
    assert which_api(model).api == "sequential"


def test_a_sequential_that_shares_a_layer_becomes_a_functional_that_a_file_keeps(tmp_path):
    model = shared_in_sequential()
    x = np.random.default_rng(0).random((3, 4), dtype="float32")
    functional = to_functional(model)
    assert np.array_equal(functional(x), model(x))
    assert same_after_a_file(functional, tmp_path, x)
    assert not same_after_a_file(model, tmp_path, x)


@pytest.mark.parametrize(
    "build", [two_inputs, two_outputs, branch_and_merge, shared_in_functional, shared_in_sequential]
)
def test_what_cannot_be_sequential_is_refused_with_the_reasons(build):
    model = build()
    with pytest.raises(ValueError, match="plain stack of layers") as refused:
        to_sequential(model)
    for found in which_api(model).reasons:
        assert str(found) in str(refused.value)


def test_what_cannot_be_functional_is_refused():
    with pytest.raises(ValueError, match="subclassing"):
        to_functional(Subclassed())
    with pytest.raises(ValueError, match=r"keras\.Input"):
        to_functional(keras.Sequential([dense("dense")]))


@st.composite
def graphs(draw):
    """Draw a model together with what is known of it: each step takes one tensor, or joins two, with a new or an old layer."""
    tensors = [inputs(f"input_{i}") for i in range(draw(st.integers(1, 2)))]
    count_inputs = len(tensors)
    used = {i: 0 for i in range(count_inputs)}
    old_layers, merges, uses = [], 0, []
    for step in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, len(tensors) - 1))
        if draw(st.booleans()):
            tensors.append(
                layers.Add(name=f"add_{step}")(
                    [tensors[first], tensors[second := draw(st.integers(0, len(tensors) - 1))]]
                )
            )
            used[first] += 1
            used[second] += 1
            merges += 1
        else:
            if not old_layers or draw(st.booleans()):
                old_layers.append(dense(f"dense_{step}"))
            layer = draw(st.sampled_from(old_layers))
            uses.append(layer.name)
            tensors.append(layer(tensors[first]))
            used[first] += 1
        used[len(tensors) - 1] = 0
    assume(all(used[i] for i in range(count_inputs)))  # not every Keras takes an input that leads nowhere
    outputs = [i for i, count in used.items() if not count and i >= count_inputs]
    expected = set()
    if count_inputs > 1:
        expected.add("inputs")
    if len(outputs) > 1:
        expected.add("outputs")
    if any(count > 1 for count in used.values()):
        expected.add("branch")
    if merges:
        expected.add("merge")
    if len(uses) > len(set(uses)):
        expected.add("shared")
    return keras.Model(tensors[:count_inputs], [tensors[i] for i in outputs]), sorted(expected)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_random_graphs_get_the_reasons_they_were_made_with(graph):
    model, expected = graph
    assert kinds(model) == expected
    assert which_api(model).api == ("functional" if expected else "sequential")
    if not expected:
        x = np.random.default_rng(0).random((2, 4), dtype="float32")
        assert np.array_equal(to_sequential(model)(x), model(x))
