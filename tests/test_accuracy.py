"""The six models learn: their test accuracy stays above a threshold.

Correct models pass with any seed. One without softmax, with sigmoid units, with pixels
that are not scaled or labels in another order does not.
"""

import pytest

import keras_model_wars as kmw


def lowest_accuracy(run):
    """Return the test accuracy, of two outputs the lower one."""
    metrics = run.test_metrics
    return min(metrics[name] for name in metrics if name.endswith("accuracy"))


@pytest.mark.parametrize(
    ("model", "learning_rate", "threshold"),
    [
        ("sequential", 0.1, 0.85),
        ("wide_deep", 0.1, 0.85),
        ("two_input_two_output", 0.1, 0.8),
        ("added_sequential", 0.1, 0.85),
        ("functional_twin", 0.1, 0.85),
        ("shared_layers", 0.01, 0.77),
    ],
)
def test_model_learns_the_sample(model, learning_rate, threshold):
    run = kmw.train(
        model,
        epochs=5,
        learning_rate=learning_rate,
        hidden_units=(64, 32),
        data="sample",
        verbose=False,
    )
    assert lowest_accuracy(run) > threshold


@pytest.mark.full
@pytest.mark.parametrize(
    ("model", "threshold"),
    [
        ("sequential", 0.965),
        ("wide_deep", 0.965),
        ("two_input_two_output", 0.93),
        ("added_sequential", 0.965),
        ("functional_twin", 0.965),
        ("shared_layers", 0.95),
    ],
)
def test_model_learns_mnist_as_the_articles_did(model, threshold, full_mnist):
    run = kmw.train(model, data=full_mnist, verbose=False)
    assert lowest_accuracy(run) > threshold
