"""The benchmark measures the same training in every peer, names who is missing, and refuses to compare what differs."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))
peers = importlib.import_module("peers")
settings = importlib.import_module("settings")
speed = importlib.import_module("speed")


def test_run_prints_a_table_and_writes_all_of_it_as_json(run_process, few_digits_file, tmp_path):
    arguments = ("--data", few_digits_file, "--rounds", 1, "--models", "sequential")
    run = run_process("python", BENCHMARKS / "speed.py", *arguments, "--json", "speed.json", folder=tmp_path)

    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    results = report["results"]["sequential"]
    for peer, (library, _) in peers.PEERS.items():
        if importlib.util.find_spec(library):
            assert f"| sequential | {peer} " in run.stdout
            assert f"sequential, first epoch, {peer}: " in run.stderr
            assert results[peer]["epoch_seconds"] > 0
            assert results[peer]["peak_memory_mib"] > 20
            assert results[peer]["first_loss"] == pytest.approx(results["package"]["first_loss"], rel=0.03)
        else:
            assert f"left out: {peer}, because {library} is not installed" in run.stdout
            assert report["left_out"][peer] == library
            assert peer not in results
    assert "sequential, round 1 of 1, seconds: package " in run.stderr
    assert report["digits"] == {"sequential": [344, 31]}
    assert "target: at least 2.0" in run.stdout
    assert "--rounds 1 --models sequential" in run.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]


def test_peers_without_their_library_are_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda library: None if library in ("torch", "jax") else "found")

    found, left_out = speed.available(peers.PEERS)
    assert (found, left_out) == (["package", "article", "numpy"], {"pytorch": "torch", "keras_jax": "jax"})


@pytest.mark.parametrize(
    ("measured", "page"),
    [
        ("peers", "README.md"),
        ("settings_sequential", "benchmarks/README.md"),
        ("settings_wide_deep", "benchmarks/README.md"),
    ],
)
def test_tables_of_speed_are_those_of_the_committed_measurements(measured, page):
    report = json.loads((BENCHMARKS / "results" / f"{measured}.json").read_text(encoding="utf-8"))

    assert speed.markdown(report) in (BENCHMARKS.parent / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("loss", [0.631, 0.569, 0.0, float("nan"), float("inf")])
def test_peer_that_learns_otherwise_is_named(loss):
    (sentence,) = speed.deviations({"package": 0.6, "article": 0.61, "pytorch": loss, "numpy": 0.59})

    assert sentence.startswith("pytorch: the loss of the first epoch should be within 3% of the package's 0.6000.")


def test_peers_that_learn_the_same_pass():
    assert speed.deviations({"package": 0.6, "article": 0.617, "numpy": 0.583}) == []


def test_run_ends_with_exit_code_1_where_a_peer_learns_otherwise(monkeypatch, capsys):
    losses = {"package": 0.6, "article": 0.6, "numpy": 0.7}

    class Training:
        def __init__(self, way, *_):
            self.first_loss = losses[way]

        def wait_for_epoch(self):
            pass

        def stop(self):
            print("stopped", file=sys.stderr)

    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # the benchmark sets it, and the monkeypatch takes it back
    monkeypatch.setattr(speed, "available", lambda _: (list(losses), {}))
    monkeypatch.setattr(speed, "prepare", lambda *_: (344, 31))
    monkeypatch.setattr(speed, "Training", Training)

    assert speed.main(["--rounds", "2"]) == 1
    out, err = capsys.readouterr()
    assert "sequential: they don't learn the same. numpy: the loss" in err
    assert "round 1" not in err
    assert err.count("stopped") == 3
    assert out == ""


def test_way_that_fails_is_named_with_what_it_said(tmp_path):
    training = speed.Training("numpy", "sequential", tmp_path, 2)  # finds no digits there

    with pytest.raises(SystemExit, match=r"(?s)numpy failed on sequential with exit code 1:\n.*digits\.npz"):
        training.wait_for_epoch()
    training.stop()


@pytest.mark.slow
def test_settings_learn_what_the_package_learns(run_process, few_digits_file, tmp_path):
    arguments = ("--data", few_digits_file, "--rounds", 1, "--models", "sequential", "--settings")
    run = run_process("python", BENCHMARKS / "speed.py", *arguments, "--json", "speed.json", folder=tmp_path)

    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    results = report["results"]["sequential"]
    assert list(results) == list(settings.SETTINGS)
    assert report["targets"] == []
    # Those that only change who computes when give the same loss to the bit.
    losses = {way: (result["first_loss"], result["last_loss"]) for way, result in results.items()}
    others = {way for way in losses if losses[way] != losses["package"]}
    assert "mixed_bfloat16" in others
    assert others <= {"mixed_bfloat16", "xla"}


def test_json_without_a_folder_is_refused_before_anything_is_measured(tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        speed.main(["--json", str(tmp_path / "missing" / "speed.json")])

    assert refused.value.code == 2
    assert "--json should name a file in a folder that exists" in capsys.readouterr().err


def test_digits_that_are_not_there_are_refused_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # the benchmark sets it, and the monkeypatch takes it back

    assert speed.main(["--data", str(tmp_path / "none.npz")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("Received: no such file.\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many", "²"])
def test_number_of_rounds_that_is_none_is_refused(number, capsys):
    with pytest.raises(SystemExit) as refused:
        speed.main(["--rounds", number])

    assert refused.value.code == 2
    assert "should be a whole number, 1 or more. Received: " + number in capsys.readouterr().err


def test_medians_keep_start_warm_up_and_steady_state_apart():
    epochs = [
        {"epoch_seconds": seconds, "saving_seconds": seconds / 10, "logs": {"loss": seconds}}
        for seconds in (5.0, 1.0, 3.0)
    ]

    result = speed.medians({"start_seconds": 4.0, "epochs": epochs, "peak_memory_mib": 100.0})
    assert (result["start_seconds"], result["warm_up_seconds"], result["epoch_seconds"]) == (4.0, 3.0, 2.0)
    assert (result["saving_seconds"], result["first_loss"], result["last_loss"]) == (pytest.approx(0.2), 5.0, 3.0)


def test_targets_are_held_against_the_results():
    package = {"epoch_seconds": 2.0, "peak_memory_mib": 140.0}
    article = {"epoch_seconds": 5.0, "peak_memory_mib": 100.0}

    compared = speed.compare({"sequential": {"package": package, "article": article}})
    assert [(target["quantity"], target["measured"], target["met"]) for target in compared] == [
        ("speed", 2.5, True),
        ("peak memory", 1.4, False),
    ]


def test_wide_deep_takes_as_many_digits_as_its_steps_hold(few_digits_file, tmp_path, monkeypatch):
    build = importlib.import_module("keras_model_wars.models").build_wide_deep
    monkeypatch.setattr("keras_model_wars.build_wide_deep", lambda: build(hidden_units=(64, 32)), raising=False)

    assert speed.prepare("wide_deep", tmp_path, str(few_digits_file), steps=3) == (96, 8)
    (x_train, y_train), (x_valid, y_valid) = peers.load_digits(tmp_path)
    assert (len(x_train), len(y_train), len(x_valid), len(y_valid)) == (96, 96, 8, 8)
    assert (x_train.dtype, x_train.max()) == (np.float32, 1)
    kernel, bias = peers.load_weights(tmp_path)[:2]
    assert np.abs(kernel).max() <= (6 / (784 + 64)) ** 0.5
    assert not bias.any()


@pytest.mark.parametrize("model", ["sequential", "wide_deep"])
def test_numpy_takes_the_step_that_keras_takes(model, few_digits):
    import keras

    from keras_model_wars.data import scale_pixels
    from keras_model_wars.experiments import EXPERIMENTS

    (x, y), _ = few_digits
    x, y = scale_pixels(x[:32]), y[:32]
    keras.utils.set_random_seed(0)
    network = EXPERIMENTS[model].build(hidden_units=(64, 32))
    # With a learning rate of 1 the step is the gradient.
    network.compile(loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.SGD(1.0))
    before, weights = network.get_weights(), network.get_weights()

    keras_loss = network.train_on_batch(x, y)
    loss_sum, _ = peers.numpy_step(x, y, weights, bypass=model == "wide_deep", learning_rate=1.0)

    assert loss_sum / 32 == pytest.approx(float(keras_loss), abs=1e-5)
    for ours, theirs, start in zip(weights, network.get_weights(), before):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
        assert ours.dtype == np.float32
        assert np.abs(ours - start).max() > 1e-3
