"""Training: what ``train`` returns and records, and what it refuses before the first epoch."""

import json
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from conftest import assert_same_run
from keras_model_wars import (
    Experiment,
    InputError,
    Splits,
    prepare_digits,
    train,
    training,
)

SMALL = {"epochs": 1, "verbose": False}


def build(*last, inputs=(28, 28)):
    return keras.Sequential([keras.Input(inputs), layers.Flatten(), *last])


def build_mine(units=16):
    return build(layers.Dense(units, "relu"), layers.Dense(10, "softmax"))


def build_compiled():
    model = build_mine()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train_own(builder, data, **settings):
    experiment = Experiment("mine", "My model", builder)
    return train(experiment, data=data, **(SMALL | settings))


def record_of(run):
    return json.loads((run.folder / "run.json").read_text())


def test_a_run_holds_model_history_and_test_metrics(small_runs):
    run = small_runs["sequential"]
    metrics = ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert run.history.columns.tolist() == metrics
    assert run.history.index.tolist() == [1, 2]
    assert set(run.test_metrics) == {"accuracy", "loss"}
    assert run.model.count_params() == 784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10


def test_two_outputs_have_metrics_each(small_runs):
    run = small_runs["two_input_two_output"]
    assert {"output_a_accuracy", "output_b_accuracy", "loss"} < set(run.test_metrics)


def test_a_builder_is_trained_as_it_is(few_digits):
    assert train(build_mine, data=few_digits, **SMALL).model.count_params() == 12_730


def prepare_sorted(mnist):
    (x_train, y_train), test, _ = prepare_digits(mnist)
    order = np.argsort(y_train)
    return Splits((x_train[order], y_train[order]), test, test)


def prepare_one_hot(mnist):
    return Splits(*[(x, np.eye(10)[y]) for x, y in prepare_digits(mnist)])


@pytest.mark.filterwarnings("ignore:A picture is missing")
@pytest.mark.parametrize(
    ("prepare", "loss"),
    [
        (prepare_sorted, "sparse_categorical_crossentropy"),
        (prepare_one_hot, "categorical_crossentropy"),
    ],
)
def test_ten_classes_are_counted_in_any_labels(prepare, loss, few_digits, tmp_path):
    own = Experiment("mine", "Mine", build_mine, prepare, loss=loss)
    run = train(own, data=few_digits, out=tmp_path, **SMALL)
    assert record_of(run)["classes"] == 10


def test_another_run_that_started_meanwhile_keeps_its_folder(few_digits, tmp_path):
    def build_slowly():
        (tmp_path / "run.json").write_text("of another run")
        return build_mine()

    with pytest.raises(InputError, match="which holds run.json"):
        train_own(build_slowly, few_digits, out=tmp_path)
    assert (tmp_path / "run.json").read_text() == "of another run"


def test_the_same_seed_gives_the_same_bits_and_another_does_not(few_digits):
    runs = [train_own(build_mine, few_digits, seed=seed) for seed in (0, 0, 1)]
    assert_same_run(runs[0], runs[1])
    assert runs[0].test_metrics != runs[2].test_metrics


def test_it_trains_as_fit_does_on_the_same_batches(few_digits):
    run = train_own(build_mine, few_digits, epochs=2, learning_rate=0.1)
    keras.utils.set_random_seed(0)
    splits = prepare_digits(few_digits)
    (x_train, y_train), validation, test = splits
    model = build_mine()
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    for epoch in (0, 1):
        order = np.random.default_rng((0, epoch)).permutation(len(x_train))
        model.fit(
            x_train[order],
            y_train[order],
            shuffle=False,
            validation_data=validation,
            verbose=0,
        )
    expected = model.evaluate(*test, verbose=0, return_dict=True)
    assert run.test_metrics == pytest.approx(expected, rel=1e-5)


def test_the_record_tells_how_the_run_was_made(small_runs):
    record = record_of(small_runs["shared_layers"])
    assert record["settings"] == {
        "model": "shared_layers",
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "optimizer": "SGD",
        "loss": "binary_crossentropy",
        "seed": 3,
        "hidden_units": [16, 8],
    }
    assert (record["data"], record["classes"]) == ("375 images", 2)
    assert record["api"] == "functional"
    assert record["versions"]["keras"] == keras.version()
    assert record["test"] == small_runs["shared_layers"].test_metrics


def test_a_finished_run_has_all_its_files(small_runs):
    files = {path.name for path in small_runs["sequential"].folder.iterdir()}
    assert files == {
        "model.keras",
        "history.csv",
        "run.json",
        "summary.txt",
        "diagram.png",
        "learning_curves.png",
        "mistakes.png",
    }
    summary = (small_runs["sequential"].folder / "summary.txt").read_text("utf-8")
    assert "Total params: 12,786" in summary


def test_what_a_reader_sees_while_it_trains(few_digits, capsys):
    train_own(build_mine, few_digits, verbose=2)
    printed = capsys.readouterr().out
    assert "Total params: 12,730" in printed
    assert "Digits: 375 images" in printed
    assert "val_accuracy" in printed


def test_a_compiled_model_keeps_its_optimizer_loss_and_metrics(few_digits, tmp_path):
    run = train_own(build_compiled, few_digits, out=tmp_path)
    assert isinstance(run.model.optimizer, keras.optimizers.Adam)
    settings = record_of(run)["settings"]
    assert (settings["optimizer"], settings["learning_rate"]) == ("Adam", 0.001)
    assert "momentum" not in settings


def test_the_learning_rate_of_a_compiled_model_can_be_set(few_digits, tmp_path):
    run = train_own(build_compiled, few_digits, out=tmp_path, learning_rate=0.5)
    assert float(run.model.optimizer.learning_rate) == 0.5
    assert record_of(run)["settings"]["learning_rate"] == 0.5


def test_many_batches_run_at_once_also_in_a_compiled_model(few_digits):
    run = train_own(build_compiled, few_digits)
    assert run.model.steps_per_execution == 11


def test_keywords_go_to_the_builder(few_digits):
    assert train_own(build_mine, few_digits, units=8).model.count_params() == 6370


def test_a_builder_that_returns_no_model_is_refused(few_digits):
    with pytest.raises(InputError, match="should return a Keras model. Received: None"):
        train_own(lambda: None, few_digits)


def build_small_images():
    return build(layers.Dense(10), inputs=(14, 14))


def build_three_classes():
    return build(layers.Dense(3, "softmax"))


def build_used_twice():
    shared = layers.Dense(784)
    ten_pixels = [layers.Reshape((784, 1)), layers.Cropping1D((0, 774))]
    return build(shared, shared, *ten_pixels, layers.Flatten(), layers.Softmax())


REFUSED = {
    "Keras says: Input 0 .*expected axis -1": build_small_images,
    "Keras says: .*outside the valid range of": build_three_classes,
    "uses a layer twice": build_used_twice,
}


@pytest.mark.parametrize(("message", "builder"), REFUSED.items())
def test_a_model_that_does_not_fit_is_refused_before_anything_is_written(
    message, builder, few_digits, tmp_path
):
    with pytest.raises(InputError, match=message):
        train_own(builder, few_digits, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_sigmoid_unit_for_ten_digits_is_refused(few_digits):
    def build_one():
        model = build(layers.Dense(1, "sigmoid"))
        model.compile("adam", "binary_crossentropy")
        return model

    with pytest.raises(InputError, match="an output for each class.*one"):
        train_own(build_one, few_digits)


def test_a_loss_that_is_not_finite_is_refused(few_digits):
    def build_infinite():
        constant = keras.initializers.Constant(np.inf)
        return build(layers.Dense(10, "softmax", kernel_initializer=constant))

    with pytest.raises(InputError, match="finite loss. Received: nan"):
        train_own(build_infinite, few_digits)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_outputs_that_are_no_probabilities_are_warned_of(activation, few_digits):
    def build_without_softmax():
        return build(layers.Dense(10, activation))

    with pytest.warns(UserWarning, match="softmax.*from_logits=True"):
        train_own(build_without_softmax, few_digits)


def test_logits_are_welcome_where_the_loss_expects_them(few_digits):
    def build_logits():
        model = build(layers.Dense(10))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, metrics=["accuracy"])
        return model

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train_own(build_logits, few_digits)


def test_a_lambda_layer_is_warned_of_with_what_to_use(few_digits, tmp_path):
    def build_lambda():
        double = layers.Lambda(lambda x: 2 * x)
        return build(double, layers.Dense(10, "softmax"))

    with pytest.warns(UserWarning, match="can't be resumed.*Rescaling"):
        train_own(build_lambda, few_digits, out=tmp_path)


class Subclassed(keras.Model):
    """As tutorials write it: ``__init__`` takes no keywords."""

    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.last = layers.Dense(10, "softmax")

    def call(self, x):
        return self.last(self.flatten(x))


def test_a_class_that_keras_can_not_load_trains_with_a_warning(few_digits, tmp_path):
    with pytest.warns(UserWarning, match=r"can't be resumed.*\*\*kwargs"):
        run = train_own(Subclassed, few_digits, out=tmp_path)
    assert record_of(run)["test"] == run.test_metrics


def test_a_picture_that_fails_does_not_cost_the_run(few_digits, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise IndexError("no picture")

    monkeypatch.setattr(training, "plot_mistakes", fail)
    with pytest.warns(UserWarning, match="A picture is missing: no picture"):
        run = train_own(build_mine, few_digits, out=tmp_path)
    assert "test" in record_of(run)


def test_a_run_that_diverges_ends_all_the_same(few_digits, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = train_own(build_mine, few_digits, out=tmp_path, learning_rate=1e30)
    assert record_of(run)["test"]["loss"] is None
