"""Writes one small model in every form that Keras and TensorFlow save models in, for tests of what is a SavedModel.

Run as a script, it writes them below the directory that it is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

# The SavedModels that can be served, of those that `write_models` writes.
GOOD = ("export", "module", "lookup", "tf1_resource", "tf1_reference", "untracked_constant")


def write_models(directory: Path) -> Path:
    """The directory, filled; TensorFlow runs in a process of its own."""
    subprocess.run([sys.executable, __file__, str(directory)], check=True, capture_output=True)
    return directory


def _write(directory: Path) -> None:
    import keras  # noqa: PLC0415  # seconds, and only in the script's own process
    import tensorflow as tf  # noqa: PLC0415

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    model.save(directory / "model.keras")
    model.save(directory / "model.h5")
    model.export(directory / "export")
    tf.saved_model.save(model, str(directory / "saved_by_tensorflow"))
    (directory / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    tf.train.Checkpoint(model=model).save(str(directory / "checkpoint2" / "ckpt"))
    _write_modules(directory, tf)
    _write_graphs(directory, tf)


def _write_modules(directory: Path, tf: Any) -> None:
    """Modules with a variable that the checkpoint restores, and with a table that an initializer fills."""
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    module.call = tf.function(lambda x: {"y": x * module.weight}, input_signature=[spec])
    tf.saved_model.save(module, str(directory / "module"), signatures=module.call)

    table = tf.Module()
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([1, 2]))
    table.table = tf.lookup.StaticHashTable(pairs, -1)
    table.scale = tf.Variable(2)
    words = tf.TensorSpec([None], tf.string, name="s")
    table.call = tf.function(lambda s: {"y": table.table.lookup(s) * table.scale}, input_signature=[words])
    tf.saved_model.save(table, str(directory / "lookup"), signatures=table.call)

    constant = tf.Module()
    constant.call = tf.function(lambda x: {"y": x * 2.0}, input_signature=[spec])
    tf.saved_model.save(constant, str(directory / "untracked_constant"), signatures=constant.call)


def _write_graphs(directory: Path, tf: Any) -> None:
    """What TensorFlow 1 wrote: SavedModels with both kinds of variable, a checkpoint, and a frozen graph."""
    v1 = tf.compat.v1
    for name, resource in (("tf1_resource", True), ("tf1_reference", False)):
        with tf.Graph().as_default(), v1.Session() as session:
            variable = v1.get_variable("v", [2], use_resource=resource)
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            y = tf.identity(x * variable, name="y")
            session.run(v1.global_variables_initializer())
            v1.saved_model.simple_save(session, str(directory / name), {"x": x}, {"y": y})
            if not resource:
                (directory / "checkpoint1").mkdir()
                v1.train.Saver().save(session, str(directory / "checkpoint1" / "model.ckpt"), global_step=100)
                frozen = v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["y"])
                (directory / "frozen.pb").write_bytes(frozen.SerializeToString())


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
