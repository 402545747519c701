"""Train the model two_input_two_output: the same options as `keras-model-wars train two_input_two_output`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "two_input_two_output", *sys.argv[1:]])
