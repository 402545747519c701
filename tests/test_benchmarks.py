"""The benchmark trains the same model with every peer, names who is missing, and refuses to compare what differs."""

import importlib.util
import json
import sys

import keras
import numpy as np
import pytest

from conftest import ROOT
from keras_model_wars import models, scale_pixels

BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))
import peers  # noqa: E402
import speed  # noqa: E402

BAD_OPTIONS = [
    (
        ["--rounds", "0"],
        "--rounds and --steps should be above zero. Received: 0 and 300",
    ),
    (["--steps", "many"], "--steps: invalid int value: 'many'"),
    (
        ["--json", "missing/speed.json"],
        "--json should name a file in an existing folder. Received: missing",
    ),
    (["--data", "missing.npz"], "missing.npz should be an .npz file"),
]


@pytest.mark.skipif(
    sys.platform == "win32", reason="peak memory is read on Linux and macOS only"
)
def test_benchmark_compares_the_installed_peers_and_names_the_others(
    run_process, few_digits_file, tmp_path
):
    arguments = (
        "--data",
        few_digits_file,
        "--rounds",
        2,
        "--models",
        "sequential",
        "--json",
        "speed.json",
    )
    run = run_process("python", BENCHMARKS / "speed.py", *arguments, folder=tmp_path)
    assert run.status == 0, run.err
    report = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert run.out == speed.markdown(report) + "\n"
    assert report["digits"] == {"sequential": [344, 31]}
    measured = report["results"]["sequential"]
    for peer, (library, _) in peers.PEERS.items():
        if importlib.util.find_spec(library):
            epochs = report["measurements"]["sequential"][peer]["epochs"]
            assert [set(epoch["logs"]) for epoch in epochs] == [
                {"loss", "accuracy", "val_loss", "val_accuracy"}
            ] * 3
            assert epochs[2]["logs"]["loss"] == pytest.approx(
                measured["package"]["last_loss"], rel=0.03
            )
            assert measured[peer]["peak_memory_mib"] > 20
        else:
            assert f"left out: {peer}, because {library} is not installed" in run.out
            assert peer not in measured
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]


def test_table_of_the_readme_is_that_of_the_committed_measurements():
    report = json.loads(
        (BENCHMARKS / "results" / "peers.json").read_text(encoding="utf-8")
    )
    assert speed.markdown(report) in (BENCHMARKS / "README.md").read_text(
        encoding="utf-8"
    )
    for model, measured in report["measurements"].items():
        assert report["results"][model] == {
            peer: speed.medians(of_peer) for peer, of_peer in measured.items()
        }
    assert report["targets"] == speed.compare(report["results"])
    assert all(target.endswith(": met") for target in report["targets"])
    package, article = (
        {"epoch_seconds": s, "peak_memory_mib": m}
        for s, m in ((2.0, 140.0), (4.7, 100.0))
    )
    assert speed.compare({"sequential": {"package": package, "article": article}}) == [
        "sequential: 2.35 times the speed of article (target: at least 2.3): met",
        "sequential: 1.40 times the peak memory of article (target: at most 1.3): missed",
    ]


@pytest.mark.parametrize("loss", [0.631, 0.569, 0.0, float("nan"), float("inf")])
def test_run_ends_with_exit_code_1_where_a_peer_learns_something_else(
    loss, monkeypatch, tmp_path
):
    losses = {"package": 0.6, "article": 0.617, "pytorch": 0.583, "numpy": loss}
    reports = {
        peer: {"epoch_seconds": 1.0, "logs": {"loss": losses[peer]}} for peer in losses
    }
    monkeypatch.setattr(speed, "start_training", lambda peer, *_: lambda: reports[peer])
    with pytest.raises(
        SystemExit,
        match=r"^numpy does not learn what package does: .* within 3% of 0\.6000\. ",
    ):
        speed.measure("sequential", list(losses), tmp_path, 1)


def test_peer_that_fails_is_named_with_its_error(tmp_path):
    with pytest.raises(
        SystemExit,
        match=r"(?s)^numpy on sequential failed with exit code 1:\n.*weights\.npz",
    ):
        speed.measure("sequential", ["numpy"], tmp_path, 1)  # finds no digits there


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_bad_options_are_refused_in_one_line(options, message, capsys):
    with pytest.raises(SystemExit) as refused:
        speed.main(options)
    (line,) = capsys.readouterr().err.splitlines()
    assert refused.value.code == 2
    assert message in line


@pytest.mark.parametrize("model", ["sequential", "wide_deep"])
def test_numpy_takes_the_step_that_keras_takes(model, few_digits):
    (x, y), _ = few_digits
    x, y = scale_pixels(x[:32]), y[:32]
    network = getattr(models, f"build_{model}")(hidden_units=(64, 32))
    # With a learning rate of 1, the step is the gradient.
    network.compile(
        loss="sparse_categorical_crossentropy", optimizer=keras.optimizers.SGD(1.0)
    )
    weights = network.get_weights()
    loss = network.train_on_batch(x, y)
    loss_sum, _ = peers.numpy_step(
        x, y, weights, bypass=model == "wide_deep", learning_rate=1.0
    )
    assert loss_sum / 32 == pytest.approx(float(loss), abs=1e-5)
    for ours, theirs in zip(weights, network.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
