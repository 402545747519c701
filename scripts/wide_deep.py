"""Train the model wide_deep: the same options as `keras-model-wars train wide_deep`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("wide_deep")
