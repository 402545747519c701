"""Train the model functional_twin: the same options as `keras-model-wars train functional_twin`."""

import sys

from keras_model_wars.cli import main

if __name__ == "__main__":
    main(["train", "functional_twin", *sys.argv[1:]])
