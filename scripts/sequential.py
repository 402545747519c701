"""Train the model sequential: the same options as `keras-model-wars train sequential`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "sequential", *sys.argv[1:]])
