"""What a file is that is given in place of a SavedModel, by its name and first bytes, and how to get a SavedModel.

People give what they have: a Keras file, a checkpoint, a file for phones or browsers, or what a download left in place
of the file. Each has another way to a SavedModel, so that "no saved_model.pb" alone helps nobody. First bytes count
before names, since a file may have any name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfs_workflow.errors import InvalidModelError

LFS_POINTER = b"version https://git-lfs"
# For a Keras model whose variables are in no checkpoint, as tf.saved_model.save leaves them (Keras 3).
EXPORT_FIX = 'export the Keras model again with model.export("DIR") in place of tf.saved_model.save(model, "DIR")'
# TensorFlow dropped these kernels in 2.9 and still lists the operations (its RELEASE.md; GHSA-h6gw-r52c-724r).
DROPPED_KERNELS = r"(Is)?BoostedTrees\w+"
DROPPED_SINCE = (2, 9)
DROPPED_FIX = (
    "export the model again, with a current TensorFlow Transform or as a Decision Forest; "
    "or serve it with an older image, such as server.image: tensorflow/serving:2.8.0"
)
# For operations that are not TensorFlow's own (model_servers/BUILD, SUPPORTED_TENSORFLOW_OPS).
LIBRARIES_FIX = (
    "those of TensorFlow Text and Decision Forests are in TensorFlow Serving's own image: set runtime: docker; "
    "others need a server that is built with them"
)
_HEAD_BYTES = 4096
_EXPORT = 'export the original model: model.export("DIR") in Keras'


@dataclass(frozen=True)
class ModelKind:
    """A kind of file: its name with an article, and the way to a SavedModel, where FILE stands for the path."""

    name: str
    fix: str

    def fix_for(self, path: Path) -> str:
        """The way on, with the path of the file in it."""
        return self.fix.replace("FILE", shlex.quote(str(path)))


_CONVERT = 'invoke convert FILE; or in Python: keras.saving.load_model("…").export("DIR")'
KERAS = ModelKind("a Keras model file", _CONVERT)
HDF5 = ModelKind("a Keras model or weights in HDF5", _CONVERT)
TFLITE = ModelKind("a TensorFlow Lite model, made for phones and small devices", _EXPORT)
TFJS = ModelKind("a TensorFlow.js model, made for browsers", _EXPORT)
ONNX = ModelKind("an ONNX model", "convert it: onnx2tf -i FILE -o DIR")
CHECKPOINT = ModelKind(
    "a TensorFlow checkpoint, which holds variables without signatures",
    'build the model in Python, load the checkpoint into it, then export it: model.export("DIR") in Keras, '
    "tf.compat.v1.saved_model.simple_save in TensorFlow 1",
)
FROZEN_GRAPH = ModelKind(
    "a frozen graph of TensorFlow 1 without signatures",
    "load it with tf.graph_util.import_graph_def in a tf.compat.v1.Session, then name inputs and outputs with "
    "tf.compat.v1.saved_model.simple_save",
)
POINTER = ModelKind("a git-lfs pointer in place of the file", "git lfs pull where it was cloned, or export again")
WEB_PAGE = ModelKind(
    "a web page, such as a sign-in or error page, in place of the file",
    "open the address in a browser, then give the file's own address; credentials go into ~/.netrc",
)

_BY_NAME = (
    (re.compile(r".*\.keras"), KERAS),
    (re.compile(r".*\.(h5|hdf5)"), HDF5),
    (re.compile(r".*\.tflite"), TFLITE),
    (re.compile(r".*\.onnx"), ONNX),
    (re.compile(r"checkpoint|.*\.ckpt(\W.*)?|.*\.meta|ckpt-\d+\..*"), CHECKPOINT),
)


def kind_of(path: Path, name: str = "") -> ModelKind | None:
    """The kind of a file that is none of a SavedModel's, None where it is not known; `name` replaces the path's.

    A file that cannot be read is known by its name alone.
    """
    name = (name or path.name).lower()
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        head = b""
    by_content = next((kind for kind, fits in _BY_CONTENT if fits(head, name)), None)
    return by_content or next((kind for pattern, kind in _BY_NAME if pattern.fullmatch(name)), None)


def other_model(path: Path) -> tuple[Path, ModelKind] | None:
    """The path, or the first file in it, that is a model or a download of another kind; None where there is none."""
    try:
        files = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
    except OSError:
        return None
    # Lazily: most directories need one or two files opened.
    known = ((file, kind_of(file)) for file in files)
    return next(((file, kind) for file, kind in known if kind), None)


def named(path: Path, evidence: str = "") -> InvalidModelError | None:
    """The error that names what is at the path, or in it, in place of a SavedModel; None where that is not known."""
    found = other_model(path)
    if found is None:
        return None
    file, kind = found
    what, seen = f"not a SavedModel but {kind.name}", "" if file == path and path.suffix != ".pb" else evidence
    return InvalidModelError(what, where=str(file), evidence=seen, fix=kind.fix_for(file))


def _is_keras_zip(head: bytes, _: str) -> bool:
    """Keras writes its metadata as the first entry (keras/src/saving/saving_lib.py)."""
    return head[:4] == b"PK\x03\x04" and head[30:].startswith((b"metadata.json", b"config.json"))


def _is_page(head: bytes, _: str) -> bool:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html")) or (text.startswith(b"<?xml") and b"<error>" in text)


def _is_tfjs(head: bytes, name: str) -> bool:
    return name.endswith(".json") and (b'"modelTopology"' in head or b'"weightsManifest"' in head)


def _is_graph_def(head: bytes, name: str) -> bool:
    """A GraphDef begins with a node: its length, then name and operation as text (graph.proto, node_def.proto)."""
    begin = re.match(rb"\x0a(?:[\x80-\xff]{0,4}[\x00-\x7f])\x0a(.)", head, re.DOTALL)
    if begin is None or not name.endswith((".pb", ".graphdef")):
        return False
    operation = head[begin.end() + begin[1][0] :]
    return re.match(rb"\x12[\x01-\x7f]_?[A-Z][A-Za-z0-9_>]", operation) is not None


_BY_CONTENT: tuple[tuple[ModelKind, Callable[[bytes, str], bool]], ...] = (
    (POINTER, lambda head, _: head.startswith(LFS_POINTER)),
    (WEB_PAGE, _is_page),
    (KERAS, _is_keras_zip),
    (HDF5, lambda head, _: head.startswith(b"\x89HDF\r\n\x1a\n")),
    (TFLITE, lambda head, _: head[4:8] == b"TFL3"),
    (TFJS, _is_tfjs),
    (FROZEN_GRAPH, _is_graph_def),
)
