"""Models: base path, versions, files, signatures, labels and warm-up of one model, as findings.

The checks follow the order in which a server would stumble: the base path, versions, labels, access, the graph,
operations, warm-up. A fault early in that order makes later checks of the same version meaningless, so these are left
out. Everything is read without TensorFlow; whatever needs its code to be known is left to the server.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tfs_workflow.checks.finding import Finding, exit_code, failed, failure, ok, warning
from tfs_workflow.checks.model import warmup_records
from tfs_workflow.checks.model.operations import operation_findings
from tfs_workflow.checks.model.preflight import check_labels, check_readable, check_versions, is_tflite, listed
from tfs_workflow.checks.model.variable_values import (
    check_variables_have_values,
    variables_without_value,
    without_value_text,
)
from tfs_workflow.errors import InvalidModelError, WorkflowError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.model_kinds import EXPORT_FIX
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, SERVE_TAG, Skipped
from tfs_workflow.formats.savedmodel_errors import is_version_name
from tfs_workflow.formats.signature_text import tensor_text
from tfs_workflow.protos.saved_model_pb2 import MetaGraphDef
from tfs_workflow.runtimes.spec import ModelSpec
from tfs_workflow.runtimes.spec_builder import wanted_versions


def model_findings(  # noqa: PLR0913  # each is another fact of the server
    model: ModelSpec,
    reader: tuple[int, int] | None = None,
    server_version: str = "",
    tags: frozenset[str] = frozenset({SERVE_TAG}),
    *,
    embedded: bool = False,
    tflite: bool = False,
) -> Iterator[Finding]:
    """Everything about one model.

    `reader` is the uid and gid that the server reads the files with, None for our own; `server_version` is
    TensorFlow's version in the server, empty where it is not known; `embedded` is true for our own server, `tflite`
    where the server prefers TensorFlow Lite models.
    """
    name = f"model {model.name}"
    try:
        found = savedmodel.versions(model.base_path, model.flat_version)
    except InvalidModelError as error:
        yield failed(f"{name}: base path", error)
        return
    present = [version.number for version in found.found]
    wanted = wanted_versions(model, present)
    yield ok(f"{name}: base path", f"{model.base_path} holds {listed(present)}")
    yield from _skipped(name, model.base_path, found.skipped)
    yield from attempt(f"{name}: versions", lambda: check_versions(model, wanted, present), f"served: {listed(wanted)}")
    if model.labels:
        labels = ", ".join(f"{label} = {version}" for label, version in model.labels)
        yield from attempt(f"{name}: labels", lambda: check_labels(model, wanted, present), labels)
    for version in found.found:
        if version.number in wanted:
            title = f"{name} v{version.number}"
            readable = list(attempt(f"{title}: readable", partial(check_readable, version.path, reader), _who(reader)))
            yield from readable
            if tflite and is_tflite(version.path):
                yield ok(f"{title}: files", "a TensorFlow Lite model, which prefer_tflite_model serves")
            elif reader is not None or not exit_code(readable):
                yield from _version_findings(title, version.path, server_version, tags, embedded=embedded)


def attempt(check: str, question: Callable[[], object], evidence: str) -> Iterator[Finding]:
    """The finding of a question that raises when the answer is bad.

    `evidence` is shown where nothing is raised. Only WorkflowError counts as a bad answer.
    """
    try:
        question()
    except WorkflowError as error:
        yield failed(check, error)
    else:
        yield ok(check, evidence)


def version_is_newer(written: str, server: str) -> bool:
    """Whether a model was written by a newer minor release than the server's; unknown versions are not newer."""
    release = re.compile(r"(\d+)\.(\d+)")
    ours, theirs = release.match(server), release.match(written)
    return bool(ours and theirs and tuple(map(int, theirs.groups())) > tuple(map(int, ours.groups())))


def _skipped(name: str, base_path: Path, skipped: tuple[Skipped, ...]) -> Iterator[Finding]:
    """What looks like a version and is none; a README beside the versions is nobody's mistake."""
    for entry in skipped:
        path = base_path / entry.name
        if entry.twin:
            fix = f"remove one of them; the server takes either, {entry.twin} here"
            yield warning(f"{name}: skipped", f"{path} is not served: {entry.reason}", fix)
        elif entry.name == "saved_model.pb":
            yield warning(
                f"{name}: skipped", f"{path} lies beside the versions and is not served", "remove it, or give it one"
            )
        elif path.is_file() and is_version_name(entry.name):
            yield warning(f"{name}: skipped", f"{path} is not served: {entry.reason}", "a version is a directory")
        elif any((path / file).is_file() for file in ("saved_model.pb", "saved_model.pbtxt")):
            yield warning(
                f"{name}: skipped",
                f"{path} is not served: {entry.reason}",
                "rename it to a plain number if it is a version",
            )


def _version_findings(
    name: str, directory: Path, server_version: str, tags: frozenset[str], *, embedded: bool
) -> Iterator[Finding]:
    try:
        graph = savedmodel.servable_graph(directory, tags)
    except InvalidModelError as error:
        yield failed(f"{name}: files", error)
        return
    size_bytes = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    yield ok(f"{name}: files", f"saved_model.pb parses, variables complete, {size_bytes:,} bytes")
    yield from _variable_findings(f"{name}: variables", directory, graph)
    signatures = {key: savedmodel.signature_of(graph.signature_def[key]) for key in sorted(graph.signature_def)}
    yield _signature_finding(name, {key: one for key, one in signatures.items() if not key.startswith("__")})
    yield from _writer(name, graph.meta_info_def.tensorflow_version, server_version)
    yield from operation_findings(f"{name}: operations", graph.graph_def, server_version, embedded=embedded)
    yield from _warmup(name, directory)


def _variable_findings(check: str, directory: Path, graph: MetaGraphDef) -> Iterator[Finding]:
    """Variables that are read and never get a value: a failure where that is so in every signature."""
    try:
        check_variables_have_values(directory, graph)
    except InvalidModelError as error:
        yield failed(check, error)
        return
    if found := variables_without_value(graph):
        yield warning(check, without_value_text(found), EXPORT_FIX)


def _who(reader: tuple[int, int] | None) -> str:
    return f"for uid {reader[0]}, which the server runs as" if reader else "for this user, as which the server runs"


def _signature_finding(name: str, signatures: dict[str, savedmodel.Signature]) -> Finding:
    check = f"{name}: signatures"
    if not signatures:
        fix = 'export it with model.export("DIR") in Keras, or a tf.Module with tf.saved_model.save(…, signatures=…)'
        return failure(check, "none, so that no request can be answered", fix, InvalidModelError)
    listing = "; ".join(f"{key}: {_signature_text(one)}" for key, one in signatures.items())
    if DEFAULT_SIGNATURE not in signatures:
        fix = f"ask with --signature {shlex.quote(next(iter(signatures)))}, or export one named {DEFAULT_SIGNATURE}"
        return warning(check, f"no {DEFAULT_SIGNATURE}; {listing}", fix)
    return ok(check, listing)


def _signature_text(signature: savedmodel.Signature) -> str:
    inputs = ", ".join(tensor_text(key, tensor) for key, tensor in signature.inputs.items())
    outputs = ", ".join(tensor_text(key, tensor) for key, tensor in signature.outputs.items())
    return f"{inputs} → {outputs}"


def _writer(name: str, written: str, server_version: str) -> Iterator[Finding]:
    check = f"{name}: TensorFlow"
    if not written:
        return
    if version_is_newer(written, server_version):
        evidence = f"written by {written}, the server has {server_version}: it may lack operations of the model"
        yield warning(check, evidence, "take a server at least as new (server.image), or export with its version")
    else:
        yield ok(check, f"written by {written}" + (f", the server has {server_version}" if server_version else ""))


def _warmup(name: str, version_dir: Path) -> Iterator[Finding]:
    check, path = f"{name}: warm-up", version_dir / savedmodel.WARMUP_FILE
    for stray in warmup_records.misplaced(version_dir):
        yield warning(check, f"{stray} is not where the server looks", f"move it to {path}")
    if path.exists():
        try:
            yield ok(check, f"{warmup_records.count_records(path)} requests")
        except InvalidModelError as error:
            yield failed(check, error)
