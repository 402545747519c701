"""Which API a model needs, with every reason, and the conversions that follow."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_model_wars import InputError, models, to_functional, to_sequential, which_api


def functional(build, shape=(4,), dtype="float32"):
    """Return the Functional model whose outputs ``build`` makes of its input."""
    inputs = keras.Input(shape, name="input", dtype=dtype)
    return keras.Model(inputs, build(inputs), name="mine")


def stack(*parts, shape=(4,)):
    return keras.Sequential([keras.Input(shape, name="input"), *parts])


def dense(name):
    return layers.Dense(4, name=name)


def kinds(model):
    return sorted({reason.kind for reason in which_api(model).reasons})


def bypass(x):
    return layers.Add(name="add")([x, dense("deep")(x)])


API = {
    "sequential": "sequential",
    "wide_deep": "functional",
    "two_input_two_output": "functional",
    "added_sequential": "sequential",
    "functional_twin": "sequential",
    "shared_layers": "functional",
}


@pytest.mark.parametrize("name", API)
def test_api_of_the_articles_models(name):
    model = getattr(models, f"build_{name}")((8, 8))
    assert which_api(model).api == API[name]


def test_several_inputs_and_a_merge():
    both = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    model = keras.Model(both, layers.Add(name="add")(both))
    expected = "functional: 2 inputs: 'a', 'b'; 'add' joins 'a' and 'b'"
    assert str(which_api(model)) == expected
    found = [(reason.kind, reason.layers) for reason in which_api(model).reasons]
    assert found == [("inputs", ("a", "b")), ("merge", ("add", "a", "b"))]


def test_several_outputs_and_a_branch():
    model = functional(lambda x: [dense("left")(x), dense("right")(x)])
    assert kinds(model) == ["branch", "outputs"]
    assert "2 outputs: 'left', 'right'; 'input' feeds 'left' and 'right'" in str(
        which_api(model)
    )


def test_a_bypass_is_a_branch_and_a_merge():
    verdict = str(which_api(functional(bypass)))
    assert "'input' feeds 'deep' and 'add'; 'add' joins 'input' and 'deep'" in verdict


def test_one_tensor_joined_with_itself():
    model = functional(lambda x: layers.Multiply(name="square")([x, x]))
    assert "'square' joins 'input' (2 times)" in str(which_api(model))


def test_a_hidden_layer_that_is_an_output_too():
    def build(x):
        middle = dense("middle")(x)
        return [middle, dense("last")(middle)]

    assert "'middle' feeds 'last' and an output" in str(which_api(functional(build)))


def test_an_operation_on_tensors():
    model = functional(lambda x: dense("dense")(x) + 1)
    assert kinds(model) == ["operation"]


def test_an_output_named_in_a_dict():
    model = functional(lambda x: {"y": dense("named")(x)})
    assert "its outputs are named in a dict: 'named'" in str(which_api(model))


def test_a_layer_called_with_more_than_its_input():
    model = functional(lambda x: layers.Dropout(0.5)(x, training=True))
    assert "is called with training=True" in str(which_api(model))


def test_tensors_that_do_not_all_leave_the_model():
    def build(x):
        return layers.Add()(layers.LSTM(3, return_state=True)(x)[:2])

    model = functional(build, shape=(5, 4))
    assert kinds(model) == ["merge", "outputs"]


def test_reasons_in_a_nested_model_say_where():
    nested = stack(functional(bypass))
    wrapped = stack(layers.TimeDistributed(functional(bypass)), shape=(3, 4))
    assert "in 'mine': 'add' joins" in str(which_api(nested))
    assert "in 'mine': 'add' joins" in str(which_api(wrapped))


def sequential_with_twice():
    shared = dense("shared")
    return stack(shared, shared)


def nested_with_twice():
    shared = dense("shared")
    return stack(shared, stack(shared))


def functional_with_twice():
    shared = dense("shared")
    return functional(lambda x: shared(shared(x)))


def unbuilt_with_twice():
    shared = dense("shared")
    return keras.Sequential([shared, shared])


def in_a_wrapper():
    shared = dense("shared")
    return stack(layers.TimeDistributed(shared), shared, shape=(3, 4))


def one_cell_in_two_rnns():
    cell = layers.LSTMCell(4)
    return stack(
        layers.RNN(cell, return_sequences=True), layers.RNN(cell), shape=(3, 4)
    )


class Holder(layers.Layer):
    """Hold another layer."""

    def __init__(self, held):
        super().__init__(name="holder")
        self.held = held

    def build(self, shape):
        self.held.build(shape)

    def call(self, x):
        return self.held(x)


def in_another_layer():
    shared = dense("shared")
    return stack(Holder(shared), shared)


def without_weights():
    shared = layers.Dropout(0.1, name="shared")
    return stack(layers.TimeDistributed(shared), shared, shape=(3, 4))


def as_an_activation():
    shared = layers.LeakyReLU(name="shared")
    return stack(layers.Dense(4, activation=shared), shared)


def unbuilt_in_a_wrapper():
    shared = dense("shared")
    return keras.Sequential([layers.TimeDistributed(shared), shared])


SHARING = [
    without_weights,
    as_an_activation,
    unbuilt_in_a_wrapper,
    sequential_with_twice,
    nested_with_twice,
    functional_with_twice,
    unbuilt_with_twice,
    in_a_wrapper,
    one_cell_in_two_rnns,
    in_another_layer,
]


@pytest.mark.parametrize("build", SHARING)
def test_a_layer_that_is_used_twice_is_shared(build):
    model = build()
    assert kinds(model) == ["shared"]
    said = "does not restore from a file" in str(which_api(model))
    assert said == isinstance(model, keras.Sequential)


def test_a_model_that_two_wrappers_hold_is_shared():
    inner = stack(dense("dense"))
    wrapped = [layers.TimeDistributed(inner), layers.TimeDistributed(inner)]
    assert kinds(stack(*wrapped, shape=(3, 4))) == ["shared"]


def test_reasons_within_two_wrappers_are_found():
    inner = functional(bypass)
    wrapped = layers.TimeDistributed(layers.TimeDistributed(inner))
    assert kinds(stack(wrapped, shape=(2, 3, 4))) == ["branch", "merge"]


def embedded(x, mask_zero=True):
    return layers.Embedding(10, 4, mask_zero=mask_zero)(x)


def embedding_and_lstm(x):
    return layers.LSTM(3)(embedded(x))


def mask_through_several_layers(x):
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(embedded(x))
    x = layers.TimeDistributed(dense("each"))(x)
    return layers.GRU(2)(layers.Dropout(0.1)(x))


def mask_and_pooling(x):
    return layers.GlobalAveragePooling1D()(embedded(x))


MASKED = [embedding_and_lstm, mask_through_several_layers, mask_and_pooling]


@pytest.mark.parametrize("build", MASKED)
def test_a_mask_that_keras_passes_on_is_no_reason(build, tmp_path):
    model = functional(build, shape=(5,), dtype="int32")
    assert str(which_api(model)) == "sequential"
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert str(which_api(loaded)) == "sequential"


def test_masking_of_values_is_no_reason():
    model = functional(lambda x: layers.LSTM(3)(layers.Masking()(x)), shape=(5, 3))
    assert str(which_api(model)) == "sequential"


@pytest.mark.parametrize("build", MASKED)
def test_a_chain_with_a_mask_is_converted_and_back(build):
    model = functional(build, shape=(5,), dtype="int32")
    x = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 0]])
    sequential = to_sequential(model)
    back = to_sequential(to_functional(sequential))
    np.testing.assert_array_equal(sequential(x), model(x))
    np.testing.assert_array_equal(back(x), model(x))


def test_a_mask_that_the_author_passes_is_a_reason():
    def build(x):
        mask = keras.ops.not_equal(x, 0)
        return layers.LSTM(3, name="lstm")(embedded(x, mask_zero=False), mask=mask)

    model = functional(build, shape=(5,), dtype="int32")
    assert kinds(model) == ["branch", "merge", "operation"]


def test_a_mask_of_a_merge_is_no_reason_of_its_own():
    inputs = [keras.Input((5,), name=name) for name in "ab"]
    merged = layers.Concatenate(name="both")([embedded(x) for x in inputs])
    model = keras.Model(inputs, layers.LSTM(2)(merged))
    assert kinds(model) == ["inputs", "merge"]


PLAIN = [
    lambda: keras.Sequential([dense("dense")]),
    lambda: stack(functional(dense("first")), stack(dense("last"))),
    lambda: functional(lambda x: layers.BatchNormalization()(layers.Dropout(0.1)(x))),
    lambda: stack(layers.Bidirectional(layers.LSTM(3)), shape=(3, 4)),
    lambda: stack(layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)]), shape=(3, 4)),
    lambda: functional(
        lambda x: list(layers.LSTM(3, return_state=True)(x)), shape=(5, 4)
    ),
    lambda: keras.applications.MobileNet(weights=None),
]


@pytest.mark.parametrize("build", PLAIN)
def test_a_plain_chain_is_sequential(build):
    assert str(which_api(build())) == "sequential"


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = dense("dense")

    def call(self, x):
        return self.dense(x)


class OwnCall(keras.Sequential):
    def call(self, x):
        return super().call(x) + 1


class OwnTraining(keras.Sequential):
    def train_step(self, data):
        return {}


SUBCLASSED = [
    Subclassed,
    lambda: stack(Subclassed()),
    lambda: OwnCall([keras.Input((4,)), dense("dense")]),
]


@pytest.mark.parametrize("build", SUBCLASSED)
def test_layers_that_are_joined_in_code_need_subclassing(build):
    verdict = which_api(build())
    assert verdict.api == "subclassing"
    assert "joined in the code of call()" in str(verdict)


@pytest.mark.parametrize("convert", [which_api, to_sequential, to_functional])
@pytest.mark.parametrize("model", [None, 5, "sequential", layers.Dense(4)])
def test_what_is_no_model_is_refused(convert, model):
    with pytest.raises(InputError, match="`model` should be a Keras model. Received"):
        convert(model)


def test_conversions_share_weights_and_predict_bit_for_bit_the_same():
    twin = models.build_functional_twin((16, 8))
    sequential = to_sequential(twin)
    functional = to_functional(sequential)
    x = np.random.default_rng(0).random((4, 28, 28), dtype="float32")
    expected = twin.predict(x, verbose=0)
    np.testing.assert_array_equal(sequential.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(functional.predict(x, verbose=0), expected)
    sequential.set_weights([weight + 1 for weight in sequential.get_weights()])
    np.testing.assert_array_equal(functional(x), twin(x))


def test_a_model_of_the_wanted_kind_is_returned_as_it_is():
    sequential = models.build_sequential((4, 4))
    functional = models.build_wide_deep((4, 4))
    assert to_sequential(sequential) is sequential
    assert to_functional(functional) is functional


class Answer(layers.Layer):
    """Return the answer in a structure."""

    def __init__(self, structure):
        super().__init__()
        self.structure = structure

    def call(self, x):
        return keras.tree.map_structure(lambda _: x, self.structure)


STRUCTURES = [{"b": 0, "a": 1}, (0, 1), [0, 1], {"only": 0}, 0, {"a": (0, 1)}]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_to_functional_keeps_the_structure_of_the_output(structure):
    model = stack(dense("dense"), Answer(structure))
    converted = to_functional(model)
    before, after = model(np.ones((2, 4))), converted(np.ones((2, 4)))
    keras.tree.assert_same_structure(before, after)
    for ours, theirs in zip(keras.tree.flatten(before), keras.tree.flatten(after)):
        np.testing.assert_array_equal(ours, theirs)


def test_sharing_is_refused_for_sequential_with_the_reason():
    with pytest.raises(InputError, match="to become Sequential.*is used 2 times"):
        to_sequential(functional_with_twice())


def test_code_is_refused_for_functional():
    with pytest.raises(InputError, match="to become Functional.*joined in the code"):
        to_functional(Subclassed())


def test_a_way_of_training_of_its_own_is_not_dropped_in_silence():
    model = OwnTraining([keras.Input((4,)), dense("dense")])
    with pytest.raises(InputError, match="OwnTraining with a train_step of its own"):
        to_functional(model)


class TwiceAsMuch(keras.Sequential):
    def __call__(self, x, **keywords):
        return 2 * super().__call__(x, **keywords)


def test_call_of_ones_own_is_not_dropped():
    with pytest.raises(InputError, match="TwiceAsMuch with a __call__ of its own"):
        to_functional(TwiceAsMuch([keras.Input((4,)), dense("dense")]))


def stateful():
    return layers.LSTM(3, stateful=True, name="lstm")


@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional, Holder])
def test_stateful_layers_are_refused_because_both_models_would_share_them(wrap):
    inputs = keras.Input((3, 4), batch_size=2)
    with pytest.raises(InputError, match="hold no stateful layers"):
        to_functional(keras.Sequential([inputs, wrap(stateful())]))


class Counting(layers.Layer):
    """A layer that answers with the number of its calls."""

    def build(self, shape):
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * self.calls


class Shifted(layers.Layer):
    """A layer with a constant, which no call changes."""

    def build(self, shape):
        self.shift = self.add_weight(shape=(4,), initializer="ones", trainable=False)

    def call(self, x):
        return x + self.shift


class Looked(layers.Layer):
    """A layer that looks up words, and takes no numbers."""

    def call(self, words):
        return words


def test_own_layers_are_converted_if_they_take_only_their_own_input():
    words = layers.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot")
    inputs = keras.Input((), dtype="string")
    model = keras.Sequential([inputs, Looked(), words, dense("dense")])
    assert isinstance(to_functional(model), keras.Model)


def test_own_layer_that_changes_with_every_call_is_refused():
    model = stack(dense("dense"), Counting())
    with pytest.raises(InputError, match="no stateful layers.*Received: .*calls"):
        to_functional(model)
    assert model.layers[-1].calls == 0


def test_own_layer_with_a_constant_is_converted():
    x = np.ones((2, 4), dtype="float32")
    model = stack(Shifted(), dense("dense"))
    np.testing.assert_array_equal(to_functional(model)(x), model(x))


def test_a_model_that_is_not_built_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"start with a keras\.Input"):
        to_functional(keras.Sequential([dense("dense"), Counting()]))


def test_sharing_survives_a_file_only_as_functional(tmp_path):
    model = to_functional(sequential_with_twice())
    model.save(tmp_path / "model.keras")
    x = np.ones((2, 4), dtype="float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
