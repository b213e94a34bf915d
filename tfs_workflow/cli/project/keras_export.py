"""Loads a Keras model file and exports it as a SavedModel; run as a script, in a process of its own.

Keras and TensorFlow take seconds to import and may end the process. The verb therefore never imports them.
"""

import sys


def main(file: str, directory: str) -> None:
    """Export without the optimizer: a server needs none, and custom losses then need no code."""
    import keras  # noqa: PLC0415  # so that the module itself can be imported without Keras

    keras.saving.load_model(file, compile=False).export(directory, verbose=False)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # noqa: BLE001  # the verb shows any error
        sys.exit(f"{type(error).__name__}: {error}")
