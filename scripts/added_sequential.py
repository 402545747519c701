"""Train the model added_sequential: the same options as `keras-model-wars train added_sequential`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "added_sequential", *sys.argv[1:]])
