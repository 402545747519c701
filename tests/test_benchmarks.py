"""The benchmark trains the same model with every peer, and refuses to compare others."""

import sys

import pandas as pd
import pytest

from conftest import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import peers  # noqa: E402
import speed  # noqa: E402

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the benchmark runs on Linux only"
)


@pytest.mark.slow
def test_all_installed_peers_learn_the_same(run_process, few_digits_file, tmp_path):
    options = ["--data", few_digits_file, "--rounds", 1, "--only", "sequential"]
    program = ROOT / "benchmarks" / "speed.py"
    result = run_process(
        "python", program, *options, "--csv", "peers.csv", folder=tmp_path
    )
    assert result.status == 0, result.err
    last = pd.read_csv(tmp_path / "peers.csv").set_index("peer").query("epoch == 2")
    for peer in peers.PEERS:
        assert peer in last.index or f"left out: {peer}" in result.out
    assert {"package", "article", "numpy"} <= set(last.index)
    assert last["loss"].max() < 1.03 * last["loss"].min()


def test_table_shows_medians_without_the_first_epoch_relative_to_the_package():
    columns = {
        "model": "sequential",
        "peer": ["package"] * 3 + ["numpy"] * 3,
        "epoch": [1, 2, 3] * 2,
        "seconds": [9, 2, 4, 1, 6, 6],
        "peak_memory_mib": 70,
        "loss": 0.5,
    }
    table = " ".join(speed.table(pd.DataFrame(columns)).split())
    assert "| package | 3.00 | 1.00 | 70 | 0.5000 |" in table
    assert "| numpy | 6.00 | 2.00 | 70 | 0.5000 |" in table


@pytest.mark.parametrize("loss", [0.631, 0.569, float("nan")])
def test_a_peer_that_learns_something_else_ends_the_benchmark(loss):
    peers_and_losses = [("package", 0.6), ("article", 0.617), ("numpy", loss)]
    rows = [
        {"model": "sequential", "peer": peer, "loss": first}
        for peer, first in peers_and_losses
    ]
    speed.check_losses(rows[:2])
    with pytest.raises(SystemExit, match="^numpy does not learn what package does"):
        speed.check_losses(rows)
