"""Runs that are killed, stopped, resumed, extended and replaced."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from conftest import assert_same_run
from keras_model_wars import Experiment, InputError, load_model, train, training
from keras_model_wars.runs import RUN_FILES, RunRecord, finished_runs

SMALL = {"epochs": 4, "hidden_units": (16, 8), "verbose": False}
# The settings of the small runs in conftest.py.
LIKE_THEM = {"seed": 3, "hidden_units": (16, 8), "verbose": False}


class Killed(BaseException):
    """End a training at once, as a kill does: nothing is written after it."""


def train_until_killed(model, data, folder, *, epoch, file=None, **settings):
    """Train, and die in ``epoch`` before ``file`` is written, or at its start."""
    begin_epoch = RunRecord.on_epoch_begin
    replace = Path.replace
    now = []

    def begin(self, number, logs=None):
        now[:] = [number]
        begin_epoch(self, number, logs)
        if number == epoch and file is None:
            raise Killed

    def replace_or_die(self, target):
        if now == [epoch] and target.name == file:
            raise Killed
        replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecord, "on_epoch_begin", begin)
        patch.setattr(Path, "replace", replace_or_die)
        with pytest.raises(Killed):
            train(model, data=data, out=folder, **(SMALL | settings))


@pytest.fixture(autouse=True, scope="module")
def no_pictures(small_runs):
    """Write a few bytes for every picture: what they show is tested elsewhere."""

    def write(*arguments, **_):
        arguments[-1].write_bytes(b"picture")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("plot_model", "plot_learning_curves", "plot_mistakes"):
            patch.setattr(training, name, write)
        yield


@pytest.fixture(scope="module")
def whole_runs(few_digits):
    """Runs that nothing disturbed."""
    models = ("sequential", "shared_layers", "two_input_two_output")
    return {model: train(model, data=few_digits, **SMALL) for model in models}


@pytest.fixture
def folder(small_runs, tmp_path):
    """A copy of a finished run of two epochs."""
    return shutil.copytree(small_runs["sequential"].folder, tmp_path / "run")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def record(folder):
    return json.loads((folder / "run.json").read_text())


def write_record(folder, **changes):
    (folder / "run.json").write_text(json.dumps(record(folder) | changes))


def assert_ends_as(run, whole):
    """Assert that a run and its files are those of one that nothing disturbed."""
    assert_same_run(run, whole)
    assert record(run.folder)["test"] == whole.test_metrics
    assert (run.folder / "history.csv").read_text() == whole.history.to_csv()
    assert len(record(run.folder)["seconds_per_epoch"]) == len(whole.history)
    assert set(content(run.folder)) <= set(RUN_FILES)


# Plain SGD, two outputs, and SGD whose momentum must come back too.
KILLS = [
    ("sequential", 2, "model.keras"),
    ("two_input_two_output", 2, "history.csv"),
    ("shared_layers", 2, None),
    ("shared_layers", 2, "run.json"),
    ("shared_layers", 2, "history.csv"),
    ("shared_layers", 2, "model.keras"),
    ("shared_layers", 0, "model.keras"),
]


@pytest.mark.parametrize(("model", "epoch", "file"), KILLS)
def test_a_killed_run_ends_after_resume_as_one_that_was_not(
    model, epoch, file, few_digits, tmp_path, whole_runs
):
    train_until_killed(model, few_digits, tmp_path, epoch=epoch, file=file)
    # What a kill in the middle of writing leaves.
    (tmp_path / f".model-{'0a' * 16}.keras").write_bytes(b"half")
    run = train(model, data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_ends_as(run, whole_runs[model])


def test_a_resumed_run_trains_only_what_is_left(few_digits, tmp_path):
    train_until_killed("sequential", few_digits, tmp_path, epoch=2)
    write_record(tmp_path, seconds_per_epoch=[1000, 2000])
    train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert record(tmp_path)["seconds_per_epoch"][:2] == [1000, 2000]


def test_a_full_disk_leaves_the_epoch_before_whole(few_digits, tmp_path, whole_runs):
    save = keras.Model.save

    def save_or_fail(self, file):
        save(self, file)
        if int(self.optimizer.iterations) > 11:  # one epoch's batches
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "save", save_or_fail)
        with pytest.raises(OSError, match="No space"):
            train("shared_layers", data=few_digits, out=tmp_path, **SMALL)
    assert not list(tmp_path.glob(".*")), "nothing half written is left"
    run = train("shared_layers", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_ends_as(run, whole_runs["shared_layers"])


def test_a_finished_run_is_extended_bit_for_bit(few_digits, tmp_path, whole_runs):
    shorter = SMALL | {"epochs": 2}
    train("shared_layers", data=few_digits, out=tmp_path, **shorter)
    run = train("shared_layers", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert_ends_as(run, whole_runs["shared_layers"])


def test_extending_a_run_first_removes_its_old_end(few_digits, folder):
    train_until_killed("sequential", few_digits, folder, epoch=2, resume=True, seed=3)
    assert "test" not in record(folder)
    assert "mistakes.png" not in content(folder)
    assert "learning_curves.png" not in content(folder)


def test_resume_without_epochs_finishes_what_lacks_its_end(
    few_digits, folder, small_runs
):
    found = record(folder)
    del found["test"]
    (folder / "run.json").write_text(json.dumps(found))
    (folder / "mistakes.png").unlink()
    run = train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)
    assert_ends_as(run, small_runs["sequential"])
    assert (folder / "mistakes.png").exists()


REFUSED = {
    "`seed` should be 3.*Received: seed=1": {"seed": 1},
    "`digits` should be '375": {"data": "sample"},
    "`epochs` should be at least 2.*Received: epochs=1": {"epochs": 1},
    "`batch_size` should be 32.*Received: batch_size=16": {"batch_size": 16},
    "`learning_rate` should be 0.01.*learning_rate=0.1": {"learning_rate": 0.1},
    r"`hidden_units` should be \[16, 8\].*\[16, 9\]": {"hidden_units": (16, 9)},
    "`model` should be 'sequential'.*functional_twin": {"model": "functional_twin"},
    "without a run.*--resume.*--overwrite": {"resume": False},
    "should not be used together": {"overwrite": True},
    "should be an .npz": {"resume": False, "overwrite": True, "data": "missing.npz"},
}


@pytest.mark.parametrize(("message", "changed"), REFUSED.items())
def test_what_does_not_fit_the_run_is_refused_and_changes_nothing(
    message, changed, few_digits, folder
):
    before = content(folder)
    settings = {"model": "sequential", "data": few_digits, "resume": True, **LIKE_THEM}
    with pytest.raises(InputError, match=message):
        train(**(settings | changed), out=folder)
    assert content(folder) == before


def test_a_wrong_width_removes_nothing(few_digits, folder):
    before = content(folder)
    with pytest.raises(ValueError, match="unpack"):
        train(
            "sequential", data=few_digits, out=folder, overwrite=True, hidden_units=(8,)
        )
    assert content(folder) == before


def test_a_setting_that_the_run_did_not_have_should_be_left_out(few_digits, folder):
    settings = record(folder)["settings"]
    del settings["hidden_units"]
    write_record(folder, settings=settings)
    with pytest.raises(InputError, match="`hidden_units` should be left out"):
        train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_resume_and_overwrite_need_a_folder(few_digits, option):
    with pytest.raises(InputError, match="should come with `out`"):
        train("sequential", data=few_digits, **{option: True})


@pytest.mark.parametrize("epoch", [0, 1])
def test_overwrite_never_mixes_two_runs(epoch, few_digits, folder, whole_runs):
    (folder / "article_comparison.csv").write_text("of a run on the full set")
    (folder / "notes.txt").write_text("not a file of the run")
    train_until_killed("sequential", few_digits, folder, epoch=epoch, overwrite=True)
    assert "article_comparison.csv" not in content(folder)
    assert (folder / "notes.txt").read_text() == "not a file of the run"
    (folder / "notes.txt").unlink()
    run = train("sequential", data=few_digits, out=folder, resume=True, **SMALL)
    assert_ends_as(run, whole_runs["sequential"])


@pytest.mark.parametrize("name", ["model.keras", "history.csv", "summary.txt"])
def test_files_that_no_run_has_left_are_not_replaced(few_digits, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds {name}, which training would replace"):
        train("sequential", data=few_digits, out=tmp_path, **SMALL)
    assert content(tmp_path) == {name: b"mine"}


DAMAGED = {
    "run.json": "{",
    "history.csv": "epoch,loss\n1,\x00x",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named_with_what_to_do(few_digits, folder, name):
    (folder / name).write_text(DAMAGED[name])
    with pytest.raises(InputError, match=f"{name} should .*--overwrite"):
        train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)


def test_a_missing_history_is_named_with_what_to_do(few_digits, folder):
    (folder / "history.csv").unlink()
    with pytest.raises(InputError, match="history.csv should .*--overwrite"):
        train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)


@pytest.mark.parametrize("seconds", [None, 5, ["x"]])
def test_damaged_seconds_are_named(few_digits, folder, seconds):
    write_record(folder, seconds_per_epoch=seconds)
    with pytest.raises(InputError, match="run.json should be the record of a run"):
        train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)


def build_mine(activation="relu", second="hidden"):
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation),
            keras.layers.Dense(8, name=second),
            keras.layers.Dense(10, "softmax"),
        ]
    )


def train_mine(data, folder, builder=build_mine, **settings):
    mine = Experiment("mine", "My model", builder, epochs=1)
    return train(mine, data=data, out=folder, verbose=False, **settings)


def test_a_run_of_ones_own_is_resumed(few_digits, tmp_path):
    train_mine(few_digits, tmp_path / "a")
    run = train_mine(few_digits, tmp_path / "a", resume=True, epochs=2)
    whole = train_mine(few_digits, tmp_path / "b", epochs=2)
    assert_same_run(run, whole)


def test_a_changed_architecture_is_refused_with_what_differs(few_digits, tmp_path):
    def build_changed():
        return build_mine(activation="tanh")

    train_mine(few_digits, tmp_path)
    before = content(tmp_path)
    message = "activation='relu', as in the run .*Received: activation='tanh'"
    with pytest.raises(InputError, match=message):
        train_mine(few_digits, tmp_path, build_changed, resume=True, epochs=2)
    assert content(tmp_path) == before


def test_another_number_of_layers_is_refused(few_digits, tmp_path):
    def build_shorter():
        return keras.Sequential(
            [
                keras.Input((28, 28)),
                keras.layers.Flatten(),
                keras.layers.Dense(10, "softmax"),
            ]
        )

    train_mine(few_digits, tmp_path)
    with pytest.raises(InputError, match="should have 5 layers.*Received: 3"):
        train_mine(few_digits, tmp_path, build_shorter, resume=True, epochs=2)


def test_finished_runs_are_those_with_a_result(small_runs, tmp_path):
    for name, text in (("stopped", "{}"), ("damaged", "{"), ("file", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    shutil.copytree(small_runs["wide_deep"].folder, tmp_path / "wide_deep")
    assert finished_runs(tmp_path) == [tmp_path / "wide_deep"]


def test_load_model_takes_a_folder_and_a_file(small_runs):
    run = small_runs["sequential"]
    expected = run.model.predict(np.zeros((1, 28, 28)), verbose=0)
    for path in (run.folder, str(run.folder / "model.keras")):
        loaded = load_model(path)
        assert not loaded.compiled
        np.testing.assert_array_equal(
            loaded.predict(np.zeros((1, 28, 28)), verbose=0), expected
        )


def test_load_model_compiled_has_its_optimizer(small_runs):
    loaded = load_model(small_runs["shared_layers"].folder, compile=True)
    assert loaded.optimizer.momentum == 0.9
    assert int(loaded.optimizer.iterations) > 0


def test_a_model_that_is_not_there_is_refused_with_how_to_train(tmp_path):
    with pytest.raises(InputError, match="no such file .*keras-model-wars train"):
        load_model(tmp_path / "runs" / "sequential")


def test_a_folder_without_a_model_is_not_called_missing(tmp_path):
    with pytest.raises(InputError, match="a folder without a model"):
        load_model(tmp_path)


def test_a_run_that_was_stopped_early_is_said_to_be_resumed(folder):
    (folder / "model.keras").unlink()
    with pytest.raises(InputError, match="train sequential --out .*run --resume"):
        load_model(folder)


def test_an_old_h5_file_is_said_to_be_saved_as_keras(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF")
    with pytest.raises(InputError, match=r'another kind.*model\.save\("model\.keras"'):
        load_model(tmp_path / "model.h5")


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_truncated_file_is_damaged(folder, kept):
    file = folder / "model.keras"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match="a damaged one"):
        load_model(file)


def save(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_code_in_a_file_is_not_run(tmp_path):
    function = keras.layers.Lambda(lambda x: x)
    file = save(keras.Sequential([keras.Input((4,)), function]), tmp_path)
    with pytest.raises(InputError, match="should hold no code. Received: a Lambda"):
        load_model(file)


def test_a_class_of_ones_own_is_named_with_what_to_do(tmp_path):
    class Doubling(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    file = save(keras.Sequential([keras.Input((4,)), Doubling()]), tmp_path)
    with pytest.raises(InputError, match="Doubling.*register_keras_serializable"):
        load_model(file)


def test_a_sequential_model_that_shares_a_wrapped_layer_is_not_loaded(tmp_path):
    shared = keras.layers.Dense(4)
    wrapped = keras.layers.TimeDistributed(shared)
    file = save(keras.Sequential([keras.Input((3, 4)), wrapped, shared]), tmp_path)
    with pytest.raises(InputError, match="uses a layer twice, .*to_functional"):
        load_model(file)


def test_a_run_that_could_not_be_restored_is_refused_before_training(
    few_digits, tmp_path
):
    def build_twice():
        shared = keras.layers.Dense(784)
        ends = [keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
        return keras.Sequential(
            [keras.Input((28, 28)), ends[0], shared, shared, ends[1]]
        )

    with pytest.raises(InputError, match="can't be restored.*used 2 times"):
        train_mine(few_digits, tmp_path, build_twice)
    assert not content(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "history.csv"])
def test_resume_does_not_replace_files_that_no_run_has_left(few_digits, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="which training would replace"):
        train("sequential", data=few_digits, out=tmp_path, resume=True, **SMALL)
    assert content(tmp_path) == {name: b"mine"}


def test_numpys_numbers_and_functions_are_recorded_as_they_are(few_digits, tmp_path):
    def build_any(activation):
        return build_mine(activation)

    settings = {"learning_rate": np.float32(0.25), "activation": keras.activations.relu}
    train_mine(few_digits, tmp_path, build_any, **settings)
    assert record(tmp_path)["settings"]["learning_rate"] == 0.25
    assert record(tmp_path)["settings"]["activation"] == "relu"


def test_a_builders_argument_does_not_hide_a_setting(few_digits):
    def build_with(momentum=0.5):
        return build_mine()

    with pytest.raises(InputError, match="other names .*Received: momentum"):
        train_mine(few_digits, None, build_with, momentum=0.1)


def build_nested():
    inner = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)])
    ends = [keras.Input((28, 28)), keras.layers.TimeDistributed(keras.layers.Dense(3))]
    return keras.Sequential([*ends, inner, keras.layers.Dense(10, "softmax")])


def test_a_nested_model_without_names_is_resumed_in_one_process(few_digits, tmp_path):
    train_mine(few_digits, tmp_path, build_nested)
    run = train_mine(few_digits, tmp_path, build_nested, resume=True, epochs=2)
    assert len(run.history) == 2


def test_two_layers_of_one_name_in_different_places_are_two_layers(tmp_path):
    wrapped = keras.layers.TimeDistributed(keras.layers.Dense(4, name="d"))
    model = keras.Sequential([keras.Input((3, 4)), wrapped])
    model.add(keras.layers.Dense(4, name="d"))
    x = np.ones((1, 3, 4))
    loaded = load_model(save(model, tmp_path))
    np.testing.assert_array_equal(loaded(x), model(x))


def test_a_nested_model_that_could_not_be_restored_is_refused(few_digits, tmp_path):
    def build_nested_sharing():
        shared = keras.layers.Dense(4)
        inputs = keras.Input((28, 28))
        x = keras.layers.Dense(4)(keras.layers.Flatten()(inputs))
        x = keras.Sequential([keras.Input((4,)), shared, shared])(x)
        return keras.Model(inputs, keras.layers.Dense(10, "softmax")(x))

    with pytest.raises(InputError, match="can't be restored"):
        train_mine(few_digits, tmp_path, build_nested_sharing)


def test_overwrite_does_not_replace_files_that_no_run_has_left(few_digits, tmp_path):
    (tmp_path / "model.keras").write_text("mine")
    with pytest.raises(InputError, match="which training would replace"):
        train("sequential", data=few_digits, out=tmp_path, overwrite=True, **SMALL)
    assert content(tmp_path) == {"model.keras": b"mine"}


def test_a_damaged_checkpoint_is_named_with_what_to_do(few_digits, folder):
    (folder / "model.keras").write_bytes(b"damaged")
    with pytest.raises(InputError, match="model.keras should .*--overwrite"):
        train("sequential", data=few_digits, out=folder, resume=True, **LIKE_THEM)
