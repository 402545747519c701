"""The six models learn what they always learned: two epochs against a committed table.

After a change that is meant to change a history, run this file to write the table.
"""

from pathlib import Path

import pandas as pd
import pytest

import keras_model_wars as kmw

TABLE = Path(__file__).with_name("histories.csv")


def history_of(model):
    """Train for two epochs; the last row holds the test metrics."""
    run = kmw.train(
        model, epochs=2, hidden_units=(64, 32), data="sample", verbose=False
    )
    test = pd.DataFrame(run.test_metrics, index=["test"])
    return pd.concat([run.history.rename(str), test])


# Other processors change the last digits.
@pytest.mark.parametrize("model", kmw.EXPERIMENTS)
def test_history_and_test_metrics_are_those_in_the_table(model):
    expected = pd.read_csv(TABLE, index_col=["model", "epoch"]).loc[model]
    history = history_of(model)
    pd.testing.assert_frame_equal(
        history, expected[history.columns], rtol=1e-5, check_names=False
    )


if __name__ == "__main__":
    tables = {model: history_of(model) for model in kmw.EXPERIMENTS}
    table = pd.concat(tables, names=["model", "epoch"])
    table.to_csv(TABLE, float_format="%.7g")
