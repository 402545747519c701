"""Train the model functional_twin: the same options as `keras-model-wars train functional_twin`."""

from keras_model_wars.cli import run_script

if __name__ == "__main__":
    run_script("functional_twin")
