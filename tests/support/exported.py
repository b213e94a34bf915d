"""Exports models of many kinds with TensorFlow, for tests of what makes requests for them.

Run as a script, it writes a base path for each kind below the directory that it is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def export_models(directory: Path) -> dict[str, Path]:
    """Base path by kind of model; TensorFlow runs in a process of its own."""
    script = Path(__file__)
    subprocess.run([sys.executable, str(script), str(directory)], check=True, capture_output=True)
    return {path.name: path for path in sorted(directory.iterdir())}


def _export(directory: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415  # seconds, and only in the script's own process

    def save(kind: str, function: Any, *specs: Any) -> None:
        module = tf.Module()
        module.call = tf.function(function, input_signature=specs)
        tf.saved_model.save(module, str(directory / kind / "1"), signatures=module.call)

    many, spec = [None], tf.TensorSpec
    features = {
        "age": tf.io.FixedLenFeature([2], tf.float32),
        "count": tf.io.FixedLenFeature([], tf.int64, default_value=7),
        "words": tf.io.VarLenFeature(tf.string),
        "weights": tf.io.RaggedFeature(tf.float32),
    }

    def of_examples(examples: Any) -> Any:
        parsed = tf.io.parse_example(examples, features)
        return {"y": tf.reduce_sum(parsed["age"], 1) + tf.cast(parsed["count"], tf.float32)}

    def brightness(image_bytes: Any) -> Any:
        def one(content: Any) -> Any:
            return tf.reduce_mean(tf.image.resize(tf.io.decode_jpeg(content, 3), [8, 8]))

        return {"y": tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)}

    save("examples", of_examples, spec(many, tf.string, name="examples"))
    save("image", brightness, spec(many, tf.string, name="image_bytes"))
    save("pixels", lambda x: {"y": tf.reduce_mean(x, [1, 2, 3])}, spec([None, 8, 8, 3], tf.float32, name="x"))
    save("ragged", lambda x: {"y": tf.reduce_sum(x, 1)}, tf.RaggedTensorSpec([None, None], tf.float32))
    save("scalars", lambda x, u: {"y": x + u}, spec([], tf.float32, name="x"), spec(None, tf.float32, name="u"))
    save("sparse", lambda x: {"y": tf.sparse.reduce_sum(x, 1)}, tf.SparseTensorSpec([None, 10], tf.float32))
    save("text", lambda s: {"y": tf.strings.length(s)}, spec(many, tf.string, name="s"))
    save("unknown_rank", lambda x: {"y": x * 2.0}, spec(None, tf.float32, name="x"))
    save("vector", lambda x: {"y": tf.reduce_sum(x, 1)}, spec([None, 3], tf.float32, name="x"))
    save("ids", lambda a, b: {"y": a + b}, spec(many, tf.int64, name="a"), spec(many, tf.int64, name="b"))


if __name__ == "__main__":
    _export(Path(sys.argv[1]))
