"""Train the model added_sequential: the same options as `keras-model-wars train added_sequential`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("added_sequential")
