"""Train the model sequential: the same options as `keras-model-wars train sequential`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("sequential")
