"""Which runtime serves: the one that the YAML names; for auto docker where it is available, else embedded.

Falling back must not hide a mistake. Only `auto` falls back, only to embedded, and only where docker is missing or its
image cannot be had; a runtime that the YAML names is taken or the setup fails. The obstacle becomes the reason, which
setup shows and records, and the choice stays until `setup --update` (docs/decisions/0008-kept-fallback.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfs_workflow.config.types import Config
from tfs_workflow.errors import FetchFailedError, ToolMissingError, WorkflowError
from tfs_workflow.runtimes.kinds import FALLBACK, PREFERRED, RuntimeKind, runtime_kind
from tfs_workflow.runtimes.own_keys import refused_keys


@dataclass(frozen=True)
class Choice:
    """The runtime, why it was chosen, and the digest of its image where it has one.

    `without_engine` is true where no engine answered, which may change at any time.
    """

    runtime: str
    reason: str
    image_digest: str = ""
    without_engine: bool = False


def choose(config: Config, provide_image: Callable[[], str]) -> Choice:
    """Provide what the runtime needs and return the choice; `provide_image` returns the image's digest.

    Only auto falls back, and only when docker is not available, or cannot have a key that the YAML gives; then the
    reason holds the obstacle.

    Raises ToolMissingError where neither runtime is there, and what `provide_image` raises for a runtime that the YAML
    names.
    """
    if config.runtime != "auto":
        return _chosen(config, runtime_kind(config.runtime), provide_image)
    if refused := [key for key, _, _ in refused_keys(config, PREFERRED)]:
        FALLBACK.require(config.server.native_binary)
        return Choice(FALLBACK.name, f"it alone has {' and '.join(refused)}")
    try:
        return Choice(PREFERRED.name, "an engine answers and has the image", provide_image())
    # No engine, or no image. Anything else is a fault that embedded would only hide.
    except (ToolMissingError, FetchFailedError) as error:
        return _fallback(config, error)


def _chosen(config: Config, kind: RuntimeKind, provide_image: Callable[[], str]) -> Choice:
    found = kind.require(config.server.native_binary)
    reason = "chosen in the YAML" + (f": {found}" if found else "")
    return Choice(kind.name, reason, provide_image() if kind.has_image else "")


def _fallback(config: Config, obstacle: WorkflowError) -> Choice:
    try:
        FALLBACK.require(config.server.native_binary)
    except ToolMissingError as missing:
        raise ToolMissingError(
            "neither docker nor the embedded server can be had",
            where="runtime: auto",
            evidence=f"docker: {_in_one_line(obstacle)}; embedded: {missing.what}",
            fix=f"{missing.fix}, or: {obstacle.fix}",
        ) from obstacle
    # Whether an engine was there at all: without one, a later setup looks again whether one has been started.
    return Choice(FALLBACK.name, _in_one_line(obstacle), without_engine=isinstance(obstacle, ToolMissingError))


def _in_one_line(error: WorkflowError) -> str:
    where = f"{error.where}: " if error.where else ""
    return f"{where}{error.what}" + (f" ({error.evidence})" if error.evidence else "")
