"""Reads layout, versions and signatures of a SavedModel without TensorFlow.

Setup and doctor examine models on machines without TensorFlow, and importing it would take longer than the whole
examination. A SavedModel is protobuf and files with known names, so it is read as that. The rules of what counts as a
version are those of TensorFlow Serving's file system source (file_system_storage_path_source.cc).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import model_kinds, savedmodel_errors

if TYPE_CHECKING:
    from tfs_workflow.formats.example_features import ParsedFeature
    from tfs_workflow.protos import saved_model_pb2

# ruff: noqa: PLC0415  # protobuf is slow to import, and who only looks for versions needs none of it

SERVE_TAG = "serve"
TAGS_FLAG = "saved_model_tags"
DEFAULT_SIGNATURE = "serving_default"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"
# Where a version keeps its recorded requests, and how many TensorFlow Serving accepts (saved_model_warmup_util.h).
WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_WARMUP_RECORDS = 1000
# Operations whose kernels end the process on an input of another rank: always, and where oneDNN is on.
RANK_CHECKED = ("MaxPool3D",)
RANK_CHECKED_BY_ONEDNN = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")
ONEDNN_VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_MOST_CACHED_BYTES = 128 << 20
_VARIABLE_OPS = ("VarHandleOp", "Variable", "VariableV2", "AutoReloadVariable")


@dataclass(frozen=True)
class Version:
    """One version directory; 00000123 is number 123."""

    number: int
    path: Path


@dataclass(frozen=True)
class Skipped:
    """An entry of a base path that is not served, and why; `twin` is the version that counts for the same number."""

    name: str
    reason: str
    twin: str = ""


@dataclass(frozen=True)
class Versions:
    """What a base path holds: versions by ascending number, and the entries that are none."""

    found: tuple[Version, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of a signature: its name in the graph, its type such as DT_FLOAT, and its shape.

    An unknown dimension is -1; the shape is None where even the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """A named function of a model: its method name and its tensors by their public names."""

    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def served_tags(flags: Mapping[str, object]) -> frozenset[str]:
    """The tags of the graph that a server with these flags loads; they follow its --saved_model_tags."""
    return frozenset(tag for tag in str(flags.get(TAGS_FLAG, SERVE_TAG)).split(",") if tag)


def only_tags(version_dir: Path) -> frozenset[str]:
    """The tags of a SavedModel's only graph where it has one without the tag `serve` alone, else {serve}.

    Raises InvalidModelError like read.
    """
    found = {frozenset(graph.meta_info_def.tags) for graph in read(version_dir).meta_graphs}
    return next(iter(found)) if len(found) == 1 else frozenset({SERVE_TAG})


def scan(base_path: Path) -> Versions:
    """What a base path holds; nothing when it is not there. Raises InvalidModelError when it cannot be read.

    Where two directories have the same number, such as 1 and 001, the last one by name counts.
    """
    try:
        entries = sorted(base_path.iterdir()) if base_path.is_dir() else []
    except OSError as error:
        raise savedmodel_errors.unreadable(base_path, error) from error
    found = {int(entry.name): Version(int(entry.name), entry) for entry in entries if _skip_reason(entry) is None}
    skipped = tuple(one for entry in entries if (one := _skipped(entry, found)))
    return Versions(tuple(found[number] for number in sorted(found)), skipped)


def is_flat(base_path: Path) -> bool:
    """Whether a base path is a SavedModel itself, without version directories; Keras's `model.export` writes one."""
    return savedmodel_errors.is_saved_model(base_path) and not scan(base_path).found


def versions(base_path: Path, flat_version: int | None = None) -> Versions:
    """Like scan, with at least one version; raises InvalidModelError with the likely mistake otherwise.

    With a `flat_version`, a base path that is a SavedModel itself counts as this one version.

    Ascending by number. The error names the likely mistake: a flat SavedModel, a name with letters, a file of another
    kind.
    """
    seen = scan(base_path)
    if seen.found:
        return seen
    if flat_version is not None and savedmodel_errors.is_saved_model(base_path):
        return Versions((Version(flat_version, base_path),), ())
    raise savedmodel_errors.no_version(base_path, [entry.name for entry in seen.skipped])


def signatures(version_dir: Path, tags: frozenset[str] = frozenset({SERVE_TAG})) -> dict[str, Signature]:
    """Signature name to signature of one version directory; raises InvalidModelError like servable_graph.

    Sorted by name; those that begin with `__` belong to TensorFlow and are left out.
    """
    graph = servable_graph(version_dir, tags)
    return {name: signature_of(graph.signature_def[name]) for name in sorted(graph.signature_def) if name[:2] != "__"}


def servable_graph(version_dir: Path, tags: frozenset[str] = frozenset({SERVE_TAG})) -> saved_model_pb2.MetaGraphDef:
    """The graph of one version directory that bears the tags.

    Raises InvalidModelError when saved_model.pb is missing, unreadable or corrupt, has no graph with the tags,
    or names variables that are not there.
    """
    graph = meta_graph(read(version_dir), tags, version_dir)
    _check_variables(version_dir, graph)
    return graph


def features(version_dir: Path, tags: frozenset[str] = frozenset({SERVE_TAG})) -> tuple[ParsedFeature, ...]:
    """The features that the model parses out of tf.Examples; empty where it parses none. Raises InvalidModelError."""
    from tfs_workflow.formats.example_features import parsed_features

    return parsed_features(meta_graph(read(version_dir), tags, version_dir).graph_def)


def read(version_dir: Path) -> saved_model_pb2.SavedModel:
    """The parsed saved_model.pb (or .pbtxt) of a version directory; raises InvalidModelError.

    It may be shared with other callers, and stays in memory for them unless it is large.
    """
    path = next((p for p in (version_dir / name for name in savedmodel_errors.GRAPH_FILES) if p.exists()), None)
    if path is None:
        raise savedmodel_errors.no_graph(version_dir)
    try:
        state = path.stat()
        if state.st_size > _MOST_CACHED_BYTES:
            return _parsed(path)
        return _cached(path, (state.st_ino, state.st_size, state.st_mtime_ns))
    except OSError as error:
        raise savedmodel_errors.unreadable(path, error) from error


@lru_cache(maxsize=4)
def _cached(path: Path, _: tuple[int, int, int]) -> saved_model_pb2.SavedModel:
    """The parsed file in this state: `serve` reads it five times. Larger ones would be kept while the server loads."""
    return _parsed(path)


def _parsed(path: Path) -> saved_model_pb2.SavedModel:
    content = path.read_bytes()
    model = _parse(path, content)
    if not model.meta_graphs or model_kinds.kind_of(path):
        raise savedmodel_errors.corrupt(path, f"{len(content)} bytes hold no graph")
    return model


def meta_graph(
    model: saved_model_pb2.SavedModel, tags: frozenset[str], version_dir: Path
) -> saved_model_pb2.MetaGraphDef:
    """The graph that bears exactly these tags; raises InvalidModelError when there is none."""
    for graph in model.meta_graphs:
        if frozenset(graph.meta_info_def.tags) == tags:
            return graph
    there = "; ".join("{" + ", ".join(sorted(g.meta_info_def.tags)) + "}" for g in model.meta_graphs)
    raise InvalidModelError(
        f"no graph with the tags {{{', '.join(sorted(tags))}}}",
        where=str(version_dir),
        evidence=f"the SavedModel's graphs bear: {there}",
        fix=f"export the model for serving, or name the graph's tags: server.flags: {{{TAGS_FLAG}: …}}",
    )


def _check_variables(version_dir: Path, graph: saved_model_pb2.MetaGraphDef) -> None:
    """Raises InvalidModelError when the graph has variables but their files are missing, incomplete or other ones."""
    if not ops(graph.graph_def).isdisjoint(_VARIABLE_OPS):
        savedmodel_errors.check_variable_files(version_dir / "variables")


def lacks_variables(version_dir: Path) -> bool:
    """Whether the graph in saved_model.pb has variables whose files are not all there; found without parsing it."""
    path = version_dir / "saved_model.pb"
    try:
        content = path.read_bytes()
        names = {entry.name for entry in (version_dir / "variables").iterdir()}
    except FileNotFoundError:
        names = set()
        content = path.read_bytes() if path.is_file() else b""
    except OSError:  # the load explains it
        return False
    has_variables = _operations(_VARIABLE_OPS).search(content) is not None
    return has_variables and bool(savedmodel_errors.missing_variable_files(names))


def ops(graph: saved_model_pb2.GraphDef) -> set[str]:
    """The names of all operations in a graph and its functions."""
    found = {node.op for node in graph.node}
    return found.union(node.op for function in graph.library.function for node in function.node_def)


@cache
def _operations(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Finds them in what holds a serialized graph, without parsing it: in a NodeDef they are field 2, with a length."""
    texts = (re.escape(bytes([len(name)]) + name.encode()) for name in names)
    return re.compile(b"\x12(?:" + b"|".join(texts) + b")")


def rank_checked_operation(content: bytes | memoryview, onednn: str) -> str:
    """The operation of a serialized graph that ends the process on an input of another rank; empty without one.

    `onednn` is the value of TF_ENABLE_ONEDNN_OPTS, empty where it is not set, which means on.
    """
    is_off = onednn.lower() in ("0", "false")
    ending = RANK_CHECKED if is_off else RANK_CHECKED + RANK_CHECKED_BY_ONEDNN
    found = _operations(ending).search(content)
    return found[0][2:].decode() if found else ""


def signature_of(definition: saved_model_pb2.SignatureDef) -> Signature:
    """The signature that a message describes."""
    inputs = {name: _tensor(definition.inputs[name]) for name in sorted(definition.inputs)}
    outputs = {name: _tensor(definition.outputs[name]) for name in sorted(definition.outputs)}
    return Signature(definition.method_name, inputs, outputs)


def _skipped(entry: Path, found: Mapping[int, Version]) -> Skipped | None:
    if reason := _skip_reason(entry):
        return Skipped(entry.name, reason)
    twin = found[int(entry.name)].path.name
    return Skipped(entry.name, f"{twin} is the same version", twin) if twin != entry.name else None


def _skip_reason(entry: Path) -> str | None:
    if not savedmodel_errors.is_version_name(entry.name):
        return "not a plain number"
    return None if entry.is_dir() else "not a directory"


def _parse(path: Path, content: bytes) -> saved_model_pb2.SavedModel:
    from google.protobuf.message import DecodeError

    from tfs_workflow.protos import saved_model_pb2

    try:
        return saved_model_pb2.SavedModel.FromString(content) if path.suffix == ".pb" else _parse_text(content)
    except (DecodeError, ValueError) as error:
        raise savedmodel_errors.corrupt(path, f"{len(content)} bytes: {error}") from error


def _parse_text(content: bytes) -> saved_model_pb2.SavedModel:
    from google.protobuf import text_format

    from tfs_workflow.protos import saved_model_pb2

    try:
        return text_format.Parse(content.decode(), saved_model_pb2.SavedModel(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ValueError(str(error)) from error


def _tensor(info: saved_model_pb2.TensorInfo) -> TensorSpec:
    from tfs_workflow.protos import tensor_pb2

    shape = None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim)
    return TensorSpec(info.name, tensor_pb2.DataType.Name(info.dtype), shape)
