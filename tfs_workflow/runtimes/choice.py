"""Which runtime serves: the one that the YAML names, or for auto docker where it can be had, else embedded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfs_workflow.config.types import Config
from tfs_workflow.errors import FetchFailed, ToolMissing, WorkflowError
from tfs_workflow.runtimes.availability import native_binary, require_embedded


@dataclass(frozen=True)
class Choice:
    """The runtime, why it was chosen, and the digest of its image where it has one."""

    runtime: str
    reason: str
    image_digest: str = ""


def choose(config: Config, provide_image: Callable[[], str]) -> Choice:
    """Provide what the runtime needs and say which one it is; `provide_image` returns the image's digest.

    Only auto moves on, and only when docker cannot be had; then the reason holds what was in the way.
    """
    if config.runtime == "docker":
        return Choice("docker", "chosen in the YAML", provide_image())
    if config.runtime == "native":
        return Choice("native", f"chosen in the YAML: {native_binary(config.server.native_binary)}")
    if config.runtime == "embedded":
        require_embedded()
        return Choice("embedded", "chosen in the YAML")
    try:
        return Choice("docker", "an engine answers and has the image", provide_image())
    except (ToolMissing, FetchFailed) as error:
        return _embedded_instead(error)


def _embedded_instead(obstacle: WorkflowError) -> Choice:
    try:
        require_embedded()
    except ToolMissing as missing:
        raise ToolMissing(
            "neither docker nor the embedded server can be had",
            where="runtime: auto",
            evidence=f"docker: {_in_one_line(obstacle)}; embedded: {missing.what}",
            fix=f"{missing.fix}, or: {obstacle.fix}",
        ) from obstacle
    return Choice("embedded", _in_one_line(obstacle))


def _in_one_line(error: WorkflowError) -> str:
    where = f"{error.where}: " if error.where else ""
    return f"{where}{error.what}" + (f" ({error.evidence})" if error.evidence else "")
