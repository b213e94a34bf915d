"""Waits until every wanted version is AVAILABLE, or until waiting cannot help.

A probe of the model status endpoint has three outcomes: not yet, AVAILABLE, or hopeless. Only the first is retried. A
retry costs a request on a local connection, so the first ones follow each other closely. Reading the container's state
and its log costs more and is therefore done less often. A model that was AVAILABLE once is not requested again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from tfs_workflow.client.interface import ServerUnreachableError, State, VersionStatus
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.health.diagnosis import diagnose, ended_version, hopeless, overdue

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from tfs_workflow.sources.transfer import Progress

LOG_INTERVAL_S = 1.0
EXIT_CODE_INTERVAL_S = 0.1


class StatusSource(Protocol):
    """A client that returns a model's status; raises ServerUnreachableError while nothing listens."""

    def status(self, model: str) -> list[VersionStatus]:
        """The states of a model's versions."""


class Observed(Protocol):
    """The server process behind the endpoint: its exit code and its log."""

    def exit_code(self) -> int | None:
        """None while the server runs."""

    def out_of_memory(self) -> bool:
        """Whether the memory limit ended it, as the engine reports."""

    def lines(self) -> list[str]:
        """Its last log lines."""


class NotYetReadyError(Exception):  # one of the three outcomes, not a failure
    """Retry; the message is the last observed state."""


def wait_until_available(  # noqa: PLR0913  # what to wait for, and how
    wanted: Mapping[str, Sequence[int]],
    source: StatusSource,
    server: Observed,
    timeout_s: float,
    *,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, list[VersionStatus]]:
    """Return each model's status once every wanted version is AVAILABLE.

    The first request is sent at once; the pauses grow from 10 to 50 ms, by a hundredth each time. Before each retry,
    `progress` is called for every model with "loading NAME", the seconds waited and `timeout_s`. Raises
    ServerNotReadyError with a diagnosis when the server ended, when waiting cannot help, and after `timeout_s`.
    """
    probe = _Probe(wanted, source, server)
    retrying = Retrying(
        retry=retry_if_exception_type(NotYetReadyError),
        wait=wait_exponential(multiplier=0.01, exp_base=1.01, max=0.05),
        stop=stop_before_delay(timeout_s),
        before_sleep=None if progress is None else _reporting(probe, progress, timeout_s),
        sleep=sleep,
        reraise=True,
    )
    try:
        return retrying(probe)
    except NotYetReadyError as last:
        probe.raise_if_ended()
        raise _timed_out(last, server, timeout_s) from last


def _reporting(probe: _Probe, progress: Progress, timeout_s: float) -> Callable[[RetryCallState], None]:
    """The hook that reports each model of the probe: the whole time once it is AVAILABLE, which fills its bar."""

    def report(state: RetryCallState) -> None:
        waited_s = int(state.seconds_since_start or 0)
        for model in probe.wanted:
            progress(f"loading {model}", round(timeout_s) if model in probe.available else waited_s, round(timeout_s))

    return report


class _Probe:
    """Requests the status of every model that was not yet AVAILABLE."""

    def __init__(self, wanted: Mapping[str, Sequence[int]], source: StatusSource, server: Observed) -> None:
        self.wanted = wanted
        self.source = source
        self.server = server
        self.available: dict[str, list[VersionStatus]] = {}
        self.log_read_at = time.monotonic()
        self.exit_code_read_at = 0.0

    def __call__(self) -> dict[str, list[VersionStatus]]:
        for model in self.wanted.keys() - self.available.keys():
            try:
                versions = self.source.status(model)
            except ServerUnreachableError as error:
                self._raise_if_hopeless()
                raise NotYetReadyError("nothing answers yet") from error
            if not all_available(model, versions, self.wanted[model]):
                self._raise_if_hopeless()
                raise NotYetReadyError(f"{model}: {_states(versions)}")
            self.available[model] = versions
        return self.available

    def _raise_if_hopeless(self) -> None:
        """Check the process and its log at intervals: both cost more than a request, and neither result is lost."""
        now = time.monotonic()
        if now - self.exit_code_read_at > EXIT_CODE_INTERVAL_S:
            self.exit_code_read_at = now
            self.raise_if_ended()
        if now - self.log_read_at > LOG_INTERVAL_S:
            self.log_read_at = now
            if found := hopeless(self.server.lines()):
                raise found.error()

    def raise_if_ended(self) -> None:
        """Raise ServerNotReadyError with the diagnosis once the server has ended."""
        exit_code = self.server.exit_code()
        if exit_code is not None:
            found = diagnose(self.server.lines(), exit_code, self.server.out_of_memory())
            raise found.error(f"the server ended: {found.cause}")


def all_available(model: str, versions: Sequence[VersionStatus], wanted: Sequence[int]) -> bool:
    """Whether every wanted version is AVAILABLE.

    Raises ServerNotReadyError when one of them ended, since waiting cannot help.
    """
    by_number = {status.version: status for status in versions}
    for version in wanted:
        status = by_number.get(version)
        if status is not None and status.state is State.END:
            found = ended_version(status.error_code, status.error_message)
            raise found.error(f"version {version} ended instead of becoming AVAILABLE: {found.cause}", where=model)
    return all(v in by_number and by_number[v].state is State.AVAILABLE for v in wanted)


def _timed_out(last: NotYetReadyError, server: Observed, timeout_s: float) -> ServerNotReadyError:
    found = overdue(server.lines())
    return found.error(f"not AVAILABLE after {timeout_s:g} s (last: {last}): {found.cause}")


def _states(versions: Sequence[VersionStatus]) -> str:
    return ", ".join(f"version {v.version} {v.state.value}" for v in versions) or "no version yet"
