"""What every runtime can do: find, start, observe and stop the server of one project.

A server must be found again by another process, after a crash, and without a record. So every server bears its project,
its spec and its workspace from the moment it is created: as labels on a container, as environment variables of a
process. No record is needed to find it, and neither names nor process ids are guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from tfs_workflow.runtimes.spec import ServerSpec

if TYPE_CHECKING:
    from tfs_workflow.client.access.credentials import Credentials

# The labels of everything that is started; a process has them as environment variables (process_runtime.py).
# By this one a server is found.
PROJECT_LABEL = "tfs-workflow.project"
# The digest of its spec, which shows whether it is the wanted one.
DIGEST_LABEL = "tfs-workflow.spec"
# These two show who claims it: without them an orphan on a shared engine could be another machine's server.
WORKSPACE_LABEL = "tfs-workflow.workspace"
MACHINE_LABEL = "tfs-workflow.machine"
VERSION_LABEL = "tfs-workflow.version"
# The reference as the YAML names it: the container itself runs by digest.
IMAGE_LABEL = "tfs-workflow.image"
EXPOSE_LABEL = "tfs-workflow.expose"


@dataclass(frozen=True)
class ModelServer:
    """A model server with the project's label, running or ended.

    `exit_code` is None while it runs; one that waits to be restarted does not run. `restarts` counts how often the
    engine restarted it. `image` and `image_digest` (its id on the engine) are empty where no image is involved.
    `workspace` and `machine` are those that claim it; `superseded` is one whose successor is starting, and `on_trial`
    one that is tried beside the server that it may replace. `certificate` and `token_file` are the paths that it was
    started with, of TLS and a token.
    """

    runtime: str
    id: str
    project: str
    digest: str
    rest_port: int
    grpc_port: int
    started_at: datetime
    exit_code: int | None = None
    out_of_memory: bool = False
    image: str = ""
    image_digest: str = ""
    exposed: bool = False
    host: str = "127.0.0.1"
    restarts: int = 0
    workspace: str = ""
    machine: str = ""
    superseded: bool = False
    certificate: str = ""
    token_file: str = ""
    on_trial: bool = False

    @property
    def reads_copies(self) -> bool:
        """Whether it runs on another machine, on copies of the files (docs/decisions/0010-an-engine-elsewhere.md)."""
        return self.host != "127.0.0.1"

    @property
    def rest_url(self) -> str:
        """The address that REST paths are appended to."""
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self.rest_port}"

    def credentials(self) -> Credentials:
        """What its clients must show and trust; raises ConfigError where a file of these cannot be read."""
        # Here and not above: while the client is imported, the server starts.
        from tfs_workflow.client.access.credentials import Credentials, read_token  # noqa: PLC0415

        return Credentials(read_token(self.token_file) if self.token_file else "", self.certificate)

    @property
    def grpc_target(self) -> str:
        """The address for a gRPC channel."""
        return f"{self.host}:{self.grpc_port}"


@dataclass(frozen=True)
class ImageIdentity:
    """An image on the engine: its id there, and its registry digest, which is the id where it was built there."""

    id: str = ""
    digest: str = ""

    def is_pinned_by(self, digest: str) -> bool:
        """Whether this is the image that setup recorded; one that was built here may have been pushed since.

        An image that was built here is recorded by its id, and has a registry digest once it is pushed: both are
        compared.
        """
        return digest in (self.id, self.digest)


class Runtime(Protocol):
    """One way to run a model server.

    Errors of an engine or of the operating system are raised as WorkflowError, an unreachable engine as
    ToolMissingError.
    """

    name: str

    def find(self, project: str | None) -> list[ModelServer]:
        """Every server with the project's label (None: any project's), running or ended, newest first."""

    def switch(self, server: ModelServer, spec: ServerSpec, timeout_s: float) -> ModelServer | None:
        """Have the running server serve the spec with another engine; no request is lost. None where it cannot.

        Raises ServerNotReadyError where the other engine does not come up; then the server serves as before.
        """

    def start(self, spec: ServerSpec) -> ModelServer:
        """Start a server, labelled from birth; nothing is left behind when it raises."""

    def model_config(self, spec: ServerSpec) -> str:
        """The configuration file of the models, with the base paths that the server sees."""

    def trial(self, spec: ServerSpec) -> AbstractContextManager[ModelServer | None]:
        """A server of the spec beside the running one for the block, on ports of its own; None where that cannot be."""

    def replacing(self, old: ModelServer) -> AbstractContextManager[None]:
        """Stop the old server while its successor starts in the block; restart it if that raises, else remove it."""

    def refresh(self, server: ModelServer) -> ModelServer:
        """The same server as it is now; its exit code is set once it ended, also if it was restarted since."""

    def resolve_image(self, reference: str) -> ImageIdentity:
        """The image that a reference names now; empty where it names none, or no image is involved."""

    def logs(self, server: ModelServer, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The server's log lines, oldest first, without line ends; with `follow`, until it ends."""

    def stop(self, server: ModelServer, timeout_s: int) -> None:
        """Stop and remove it; no error when it is already gone."""
