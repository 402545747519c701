"""Train the model two_input_two_output: the same options as `keras-model-wars train two_input_two_output`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("two_input_two_output")
