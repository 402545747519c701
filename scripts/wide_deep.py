"""Train the model wide_deep: the same options as `keras-model-wars train wide_deep`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "wide_deep", *sys.argv[1:]])
