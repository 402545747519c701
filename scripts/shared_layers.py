"""Train the model shared_layers: the same options as `keras-model-wars train shared_layers`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("shared_layers")
