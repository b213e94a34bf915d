"""Reloads the configuration of a running server: models, versions and labels change, and no request fails.

The configuration file is written before each call, so that a server that ends and starts again comes back with what was
reloaded, and not with what it was started with. The call alone proves little: TensorFlow Serving answers it when the
new models serve, and changes versions at its next look at the base paths. So the models are watched until they are as
wanted. When something fails, the former file and configuration return.

A call can last for ever: where a model of the first configuration failed, the real server waits for it in each reload
(tensorflow/serving#1565). Therefore each call has a deadline, and a reload that could not be undone is recorded, so
that the next `serve` replaces the server (docs/decisions/0017-reload.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from tfs_workflow.client.control.unary_call import CallRefusedError, unary_call
from tfs_workflow.client.interface import ServerUnreachableError
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.errors import ServerNotReadyError, WorkflowError
from tfs_workflow.health.diagnosis import ended_version
from tfs_workflow.health.unloading import wait_until_unloaded
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.services import RELOAD_CONFIG
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.spec import ModelSpec
from tfs_workflow.state.atomic_file import write_errors, write_whole
from tfs_workflow.workflow.plan.observation import Statuses
from tfs_workflow.workflow.plan.reload_steps import Change, Versions

# A roll-back brings nothing that must be loaded, and may follow an interrupt, whose clean-up has 10 s.
UNDO_TIMEOUT_S = 8.0


@dataclass(frozen=True)
class Reload:
    """The reload of one server, whose configuration file lies at `path`; `former` is the text to return to.

    `wait` returns once the given versions are AVAILABLE, and raises ServerNotReadyError where they cannot be.
    `start_again` starts a server that the reload has ended, with the former configuration; False where it still runs.
    `undone` is called after a failure once the former configuration serves again.
    """

    server: ModelServer
    path: Path
    timeout_s: float
    former: str
    wait: Callable[[Versions], Statuses]
    start_again: Callable[[], bool]
    undone: Callable[[], None]

    def run(self, steps: Sequence[str], change: Change) -> Statuses:
        """Take each step, and return once the wanted versions are AVAILABLE, the labels answer and the rest is gone.

        `steps` are the texts of the configuration file. Raises ServerNotReadyError, which says whether the former
        configuration serves again.
        """
        with self._undone_on_failure(change.serving):
            for text in steps:
                self._configure(text, self.timeout_s)
                statuses = self.wait(change.wanted)
            with RestJsonClient(self.server.rest_url, credentials=self.server.credentials()) as client:
                _check_labels(client, change.after.models)
                wait_until_unloaded(change.removed(), client, self.timeout_s)
        return statuses

    def _configure(self, text: str, timeout_s: float) -> None:
        """Write the file, and have the server take it; ServerNotReadyError where it refuses."""
        with write_errors(self.path):
            write_whole(self.path, text)
        request = apis.ReloadConfigRequest()
        text_format.Parse(text, request.config)
        if refusal := self._refusal(request, timeout_s):
            found = ended_version(*refusal)
            raise found.error(f"the server refused the configuration: {found.cause}", where=self.server.project)

    def _refusal(self, request: apis.ReloadConfigRequest, timeout_s: float) -> tuple[str, str] | None:
        """Code and text of the server's error, which it gives in the answer or as that of the call."""
        try:
            address, credentials = (self.server.host, self.server.grpc_port), self.server.credentials()
            answer = unary_call(address, RELOAD_CONFIG, request, timeout_s, credentials)
        except CallRefusedError as error:
            return "the call failed", error.evidence
        status = answer.status
        return (apis.Code.Name(status.error_code), status.error_message) if status.error_code else None

    @contextmanager
    def _undone_on_failure(self, serving: Versions) -> Iterator[None]:
        try:
            yield
        except WorkflowError as error:
            error.what += f"; {self._undo(serving)}"
            raise
        except BaseException:
            self._undo(serving)
            raise

    def _undo(self, serving: Versions) -> str:
        """Return to the former configuration; in words, whether it serves again."""
        started_s = time.monotonic()
        try:
            self._return_to(serving)
        except WorkflowError as error:
            return f"the former configuration could not be restored ({error.what}), and the next serve replaces it"
        self.undone()
        return f"the former configuration serves again, after {time.monotonic() - started_s:.1f} s"

    def _return_to(self, serving: Versions) -> None:
        # One that does not answer has ended, perhaps by the new model: `wait` finds out.
        with suppress(ServerUnreachableError):
            self._configure(self.former, UNDO_TIMEOUT_S)
        try:
            self.wait(serving)
        except ServerNotReadyError:
            if not self.start_again():
                raise


def available(client: RestJsonClient, models: Sequence[ModelSpec]) -> dict[str, list[int]]:
    """The versions of each model that are AVAILABLE now; empty where the server does not answer."""
    try:
        return {m.name: [v.version for v in client.status(m.name) if v.state.value == "AVAILABLE"] for m in models}
    except ServerNotReadyError:
        return {}


def _check_labels(client: RestJsonClient, models: Sequence[ModelSpec]) -> None:
    """Raise ServerNotReadyError unless each label leads to its version."""
    for model in models:
        for label, version in model.labels:
            found = client.served_version(model.name, label)
            if found != version:
                raise ServerNotReadyError(
                    f"label {label} leads to version {found} instead of {version}", where=f"models.{model.name}"
                )
