"""Exports models that read a vocabulary from an asset, by TensorFlow 1 and 2.

Run as a script, it writes a base path for each below the directory that it is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

WORDS = ("one", "two", "three")


def export_tables(directory: Path) -> dict[str, Path]:
    """Base path by name: `tables_1`, and `tables_2` with the signatures `ids` and `lengths`, too.

    They answer a word with its place in the vocabulary, or with -1. TensorFlow runs in a process of its own.
    """
    subprocess.run([sys.executable, __file__, str(directory)], check=True, capture_output=True)
    return {path.name: path for path in sorted(directory.iterdir()) if path.is_dir()}


def _export(directory: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415  # seconds, and only in the script's own process

    directory.mkdir(parents=True)
    vocabulary = directory / "words.txt"
    vocabulary.write_text("\n".join(WORDS))
    _export_2(tf, str(vocabulary), directory / "tables_2" / "1")
    _export_1(tf, str(vocabulary), directory / "tables_1" / "1")


def _table(tf: Any, vocabulary: str) -> Any:
    words = tf.lookup.TextFileInitializer(
        vocabulary, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(words, -1)


def _export_2(tf: Any, vocabulary: str, version_dir: Path) -> None:
    module = tf.Module()
    module.table = _table(tf, vocabulary)
    module.offset = tf.Variable(0, dtype=tf.int64)
    text = tf.TensorSpec([None], tf.string, name="words")
    module.ids = tf.function(lambda words: {"ids": module.table.lookup(words) + module.offset}, [text])
    module.lengths = tf.function(lambda words: {"lengths": tf.strings.length(words)}, [text])
    signatures = {"serving_default": module.ids, "ids": module.ids, "lengths": module.lengths}
    tf.saved_model.save(module, str(version_dir), signatures=signatures)


def _export_1(tf: Any, vocabulary: str, version_dir: Path) -> None:
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        words = v1.placeholder(tf.string, [None], name="words")
        offset = v1.get_variable("offset", initializer=tf.constant(0, tf.int64), use_resource=False)
        ids = _table(tf, vocabulary).lookup(words) + offset
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(
            session, str(version_dir), {"words": words}, {"ids": ids}, legacy_init_op=v1.tables_initializer()
        )


if __name__ == "__main__":
    _export(Path(sys.argv[1]))
