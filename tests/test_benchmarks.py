"""The benchmark trains the same model with every peer and refuses to compare what differs."""

import importlib.util
import sys

import keras
import numpy as np
import pandas as pd
import pytest

import keras_model_wars as kmw
from conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))
import peers  # noqa: E402
import speed  # noqa: E402

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the benchmark runs on Linux only"
)


def test_all_installed_peers_learn_the_same_and_the_others_are_named(
    run_process, few_digits_file, tmp_path
):
    options = ["--data", few_digits_file, "--rounds", 2, "--only", "sequential"]
    program = BENCHMARKS / "speed.py"

    result = run_process(
        "python", program, *options, "--csv", "peers.csv", folder=tmp_path
    )

    assert result.status == 0, result.err
    rows = pd.read_csv(tmp_path / "peers.csv")
    for peer in peers.PEERS:
        library = speed.LIBRARIES.get(peer, "numpy")
        if importlib.util.find_spec(library) is None:
            assert f"left out: {peer}, because {library} is not installed" in result.out
            continue
        of_peer = rows[rows["peer"] == peer]
        assert of_peer["epoch"].tolist() == [1, 2, 3]
        assert (of_peer["val_accuracy"] > 0.05).all()
        assert (of_peer["peak_memory_mib"] > 20).all()
        assert f"| {peer} " in result.out
    last = rows[rows["epoch"] == 3]["loss"]
    assert last.max() / last.min() < 1.03
    assert [path.name for path in tmp_path.iterdir()] == ["peers.csv"]


def test_table_shows_medians_without_the_first_epoch_relative_to_the_package():
    seconds = {"package": [9.0, 2.0, 1.0, 3.0], "numpy": [1.0, 5.0, 6.0, 4.0]}
    rows = []
    for peer, of_epochs in seconds.items():
        for epoch, one in enumerate(of_epochs, start=1):
            row = {"model": "sequential", "peer": peer, "epoch": epoch}
            rows.append(
                row | {"seconds": one, "peak_memory_mib": 70, "loss": 1 / epoch}
            )

    lines = speed.table(pd.DataFrame(rows)).splitlines()

    cells = [line.replace(" ", "").strip("|").split("|") for line in lines[2:]]
    expected = ["70", "1.0000", "0.2500"]
    assert cells[0] == ["sequential", "package", "2.00", "1.00", *expected]
    assert cells[1] == ["sequential", "numpy", "5.00", "2.50", *expected]


@pytest.mark.parametrize("loss", [0.631, 0.569, 0.0, float("nan"), float("inf")])
def test_a_peer_that_learns_something_else_ends_the_benchmark(loss):
    package = {"model": "sequential", "peer": "package", "loss": 0.6}
    close = {"model": "sequential", "peer": "article", "loss": 0.617}
    other = {"model": "sequential", "peer": "numpy", "loss": loss}
    speed.check_losses([package, close])
    with pytest.raises(SystemExit, match=r"^numpy does not learn what package does"):
        speed.check_losses([package, close, other])


def test_a_peer_that_fails_is_named(tmp_path, capfd):
    with pytest.raises(SystemExit, match="numpy failed on sequential"):
        speed.measure("sequential", ["numpy"], tmp_path, rounds=1)
    assert "weights.npz" in capfd.readouterr().err


@pytest.mark.parametrize("model", ["sequential", "wide_deep"])
def test_numpy_takes_the_step_that_keras_takes(model, few_digits):
    (x, y), _ = few_digits
    x, y = kmw.scale_pixels(x[:32]), y[:32]
    network = getattr(kmw, f"build_{model}")(hidden_units=(64, 32))
    # With a learning rate of 1, the step is the gradient.
    optimizer = keras.optimizers.SGD(1.0)
    network.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer)
    weights = network.get_weights()
    loss = network.train_on_batch(x, y)

    loss_sum, _ = peers.numpy_step(
        x, y, weights, bypass=model == "wide_deep", learning_rate=1.0
    )

    assert loss_sum / 32 == pytest.approx(float(loss), abs=1e-5)
    for ours, theirs in zip(weights, network.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
