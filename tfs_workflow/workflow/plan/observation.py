"""What runs of a project, observed once, before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.lookup import Runtimes
from tfs_workflow.runtimes.spec import MODEL_CONFIG, ServerSpec
from tfs_workflow.state.records import ServedRecord

if TYPE_CHECKING:  # serve starts its server before it imports the client
    from tfs_workflow.client.interface import VersionStatus

Statuses = Mapping[str, Sequence["VersionStatus"]]


@dataclass(frozen=True)
class ObservedServer:
    """One server of the project, and each model's versions; None where it was not queried or does not answer.

    `models` maps each model to the status of its versions. `is_configured` is False where the workspace's file of
    models is not that of the wanted spec.
    """

    server: ModelServer
    models: Statuses | None = None
    is_configured: bool = True

    @property
    def runs(self) -> bool:
        """Whether it had not ended when it was observed; a trial that a killed verb left does not count."""
        return self.server.exit_code is None and not self.server.on_trial


def observe(  # noqa: PLR0913  # each is another condition of the same observation
    runtimes: Runtimes,
    project: str,
    names: Sequence[str],
    required: str = "",
    *,
    spec: ServerSpec | None = None,
    served: ServedRecord | None = None,
) -> tuple[ObservedServer, ...]:
    """The project's servers under the runtimes of these names, running or ended.

    Only the `required` runtime must answer; else ToolMissingError. With `spec`, a running server that serves it is
    queried for the status of its models.
    """
    found = (as_served(server, served) for _, server in runtimes.find(project, tuple(names), required))
    return tuple(_observed(runtimes, server, spec) for server in found)


def as_served(server: ModelServer, served: ServedRecord | None) -> ModelServer:
    """The server with the digest of what it serves now; it bears that of its start, before any switch."""
    has_switched = served is not None and served.id == server.id and served.digest
    return replace(server, digest=served.digest) if served and has_switched else server


def _observed(runtimes: Runtimes, server: ModelServer, spec: ServerSpec | None) -> ObservedServer:
    if spec is None or server.exit_code is not None or server.digest != spec.digest():
        return ObservedServer(server)
    return ObservedServer(server, _statuses(server, spec), is_configured(runtimes, spec))


def is_configured(runtimes: Runtimes, spec: ServerSpec) -> bool:
    """Whether the workspace's file of models is that of the spec."""
    try:
        text = (runtimes.config_dir / MODEL_CONFIG).read_text(encoding="utf-8")
    except OSError:
        return False
    return text == runtimes.get(spec.runtime).model_config(spec)


def _statuses(server: ModelServer, spec: ServerSpec) -> Statuses | None:
    from tfs_workflow.client.rest_json import RestJsonClient  # noqa: PLC0415  # a first start has no server to query

    with (
        suppress(ServerNotReadyError),
        RestJsonClient(server.rest_url, credentials=server.credentials()) as client,
    ):  # the wait for readiness explains a silent one
        return {model.name: client.status(model.name) for model in spec.models}
    return None
