"""Training within an enclosing tf.distribute strategy."""

import json

import pytest

# Virtual devices must be made before TensorFlow first runs, hence a process. 768 digits leave 704 to train and 64 to validate:
# batches of 32 share evenly between two devices, as they must for losses that are means of means.
PROGRAM = """
    import json
    import tensorflow as tf
    cpu, = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from keras_model_wars import train
    from keras_model_wars.data import _load_sample

    (x_train, y_train), (x_test, y_test) = _load_sample()
    data = (x_train[:768], y_train[:768]), (x_test[:64], y_test[:64])

    def losses(out):
        run = train("sequential", data=data, epochs=2, hidden_units=(32, 16), out=out, verbose=False)
        replicas = run.model.distribute_strategy.num_replicas_in_sync
        return replicas, [*run.history["loss"], *run.history["val_loss"], run.test_metrics["loss"]]

    one = losses("one")
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = losses("two")
    print(json.dumps([one, two]))
"""


def test_two_devices_of_a_mirrored_strategy_learn_what_one_learns(run_program, tmp_path):
    process = run_program(PROGRAM, folder=tmp_path)
    assert process.returncode == 0, process.stderr[-2000:]
    (one_replica, one), (two_replicas, two) = json.loads(process.stdout.splitlines()[-1])
    assert (one_replica, two_replicas) == (1, 2)
    assert two == pytest.approx(one, abs=1e-4)
