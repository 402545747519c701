"""Train the model shared_layers: the same options as `keras-model-wars train shared_layers`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "shared_layers", *sys.argv[1:]])
