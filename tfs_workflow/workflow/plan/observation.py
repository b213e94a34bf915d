"""What runs of a project, observed once, before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import ServerSpec

if TYPE_CHECKING:  # serve starts its server before it imports the client
    from tfs_workflow.client.interface import VersionStatus

Statuses = Mapping[str, Sequence["VersionStatus"]]


@dataclass(frozen=True)
class ObservedServer:
    """One server of the project, and each model's versions; None where it was not queried or does not answer.

    `models` maps each model to the status of its versions.
    """

    server: ModelServer
    models: Statuses | None = None

    @property
    def runs(self) -> bool:
        """Whether it had not ended when it was observed."""
        return self.server.exit_code is None


def observe(
    runtimes: Runtimes, project: str, names: Sequence[str], required: str = "", spec: ServerSpec | None = None
) -> tuple[ObservedServer, ...]:
    """The project's servers under the runtimes of these names, running or ended.

    Only the `required` runtime must answer; else ToolMissingError. With `spec`, a running server that was started
    from it
    is queried for the status of its models.
    """
    found = (server for _, server in runtimes.find(project, tuple(names), required))
    return tuple(ObservedServer(server, _statuses(server, spec)) for server in found)


def _statuses(server: ModelServer, spec: ServerSpec | None) -> Statuses | None:
    if spec is None or server.exit_code is not None or server.digest != spec.digest():
        return None
    from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415  # a first start has no server to query

    with (
        suppress(ServerNotReadyError),
        RestJsonClient(server.rest_url) as client,
    ):  # the wait for readiness explains a silent one
        return {model.name: client.status(model.name) for model in spec.models}
    return None
