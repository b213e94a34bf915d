"""Compares a model's operations with those of the server; the list of one TensorFlow release is in the package.

A graph names its operations, and a server without one of them fails at the load, often after a long download. The list
of one TensorFlow release is in the package, since a query to TensorFlow would import it. A server of another release
may differ, so that only for our own server, of exactly this release, is a missing operation a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tfs_workflow.checks.finding import Finding, failure, ok, warning
from tfs_workflow.errors import InvalidModelError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.model_kinds import DROPPED_FIX, DROPPED_KERNELS, DROPPED_SINCE, LIBRARIES_FIX
from tfs_workflow.protos.saved_model_pb2 import GraphDef

# Written by tools/list_operations.py.
LISTING = Path(__file__).with_name("operations.txt")
_IMAGE_LIBRARIES = "TensorFlow Text or Decision Forests"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Known:
    """The operations of one TensorFlow release; `graph_version` is TF_GRAPH_DEF_VERSION, its number as a consumer."""

    release: str
    graph_version: int
    names: frozenset[str]


@cache
def known() -> Known:
    """The list that comes with us."""
    head, *names = LISTING.read_text(encoding="utf-8").splitlines()
    release, graph_version = head.split()
    return Known(release, int(graph_version), frozenset(names))


def operation_findings(check: str, graph: GraphDef, server_version: str, *, embedded: bool) -> Iterator[Finding]:
    """Operations that the server does not have (#1155, #2267).

    A failure only where the list is the server's own: `embedded`, and of this very release. Other servers may know
    more, through newer releases and custom operations, or less.
    """
    listed = known()
    exact = embedded and server_version == listed.release
    if exact and graph.versions.min_consumer > listed.graph_version:
        evidence = (
            f"needs a TensorFlow of graph version {graph.versions.min_consumer}, this one is {listed.graph_version}"
        )
        yield failure(check, evidence, "update TensorFlow, or export with this release", InvalidModelError)
        return
    # A function of the graph is called by its name, like an operation.
    own = {function.signature.name for function in graph.library.function}
    used = savedmodel.ops(graph) - own
    if dropped := sorted(name for name in used if re.fullmatch(DROPPED_KERNELS, name)):
        yield _dropped(check, dropped, server_version)
        return
    unknown = sorted(used - listed.names)
    if not unknown:
        same = f"all in TensorFlow {listed.release}"
        yield ok(check, f"{len(used)} operations, {same}" + ("" if exact else ", as far as our list tells"))
        return
    if exact:
        evidence = f"TensorFlow {listed.release} does not know {_shown(unknown)}"
        yield failure(check, evidence, LIBRARIES_FIX, InvalidModelError)
    else:
        evidence = f"not in TensorFlow {listed.release}: {_shown(unknown)}; {_IMAGE_LIBRARIES}, or your own?"
        yield warning(check, evidence, "see that the server has them; it says 'Op type not registered' if not")


def _dropped(check: str, names: Sequence[str], server_version: str) -> Finding:
    """The finding for operations that are listed and cannot be computed, since TensorFlow dropped their kernels."""
    since = ".".join(map(str, DROPPED_SINCE))
    evidence = f"TensorFlow has no kernels for {_shown(names)} since {since}"
    release = re.match(r"(\d+)\.(\d+)", server_version)
    if release is None:
        return warning(check, evidence, DROPPED_FIX)
    if tuple(map(int, release.groups())) < DROPPED_SINCE:
        return ok(check, f"{evidence}; the server has {server_version}")
    return failure(check, f"{evidence}, the server has {server_version}", DROPPED_FIX, InvalidModelError)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "")
