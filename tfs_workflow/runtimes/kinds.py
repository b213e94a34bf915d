"""What each kind of runtime is, as facts: no code elsewhere compares a runtime's name.

Comparisons with "docker" spread through a code base, and each new runtime has to find them all. Each was a question
about one property, so the properties are named here: `kind.is_container` explains itself where the comparison did not
(docs/decisions/0016-facts-of-runtimes-and-state.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from tfs_workflow.errors import ToolMissingError
from tfs_workflow.runtimes.availability import native_binary, require_embedded

# The user and the group `nobody` on every Linux.
NOBODY = (65534, 65534)


@dataclass(frozen=True)
class RuntimeKind:
    """One kind of runtime.

    `has_image` and `has_binary` say what of the YAML it runs: `server.image` or `server.native_binary`. A server with
    `own_code` is always our embedded one; in an image it may be. `always_exposed` is a server that listens on every
    interface whatever its flags. `require` raises ToolMissingError where this machine lacks what it runs, and
    returns the path of the binary, else "".
    """

    name: str
    is_container: bool = False
    has_image: bool = False
    has_binary: bool = False
    own_code: bool = False
    always_exposed: bool = False
    require: Callable[[str], str] = lambda binary: ""  # noqa: ARG005  # an engine is tried where it is used

    def is_available(self, binary: str = "") -> bool:
        """Whether this machine has what it runs; `binary` as for `require`."""
        try:
            self.require(binary)
        except ToolMissingError:
            return False
        return True

    def reader(self) -> tuple[int, int] | None:
        """Uid and gid that the server reads the models with; None for this process's own.

        A container never runs as root: where root starts it, its process is `nobody`, and the models must be readable
        for that user (container.py).
        """
        return NOBODY if self.is_container and os.getuid() == 0 else None


def _require_embedded(binary: str) -> str:  # noqa: ARG001  # the embedded server has none
    require_embedded()
    return ""


DOCKER = RuntimeKind("docker", is_container=True, has_image=True)
EMBEDDED = RuntimeKind("embedded", own_code=True, require=_require_embedded)
NATIVE = RuntimeKind("native", has_binary=True, always_exposed=True, require=native_binary)
KINDS = (DOCKER, EMBEDDED, NATIVE)
# What `runtime: auto` takes, and what it falls back to where the first one is not available.
PREFERRED, FALLBACK = DOCKER, EMBEDDED


def runtime_kind(name: str) -> RuntimeKind:
    """The kind of this name, which is one of the YAML's other than auto."""
    return _BY_NAME[name]


_BY_NAME = {kind.name: kind for kind in KINDS}
