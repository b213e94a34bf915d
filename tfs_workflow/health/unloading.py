"""Waits until versions that are not wanted any more are gone: requests to them have ended by then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from tfs_workflow.client.interface import State
from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.health.readiness import NotYetReadyError, StatusSource


def wait_until_unloaded(
    removed: Mapping[str, Sequence[int]],
    source: StatusSource,
    timeout_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once each of these versions has ended, or its model is unknown.

    The pauses grow from 10 to 50 ms. Raises ServerNotReadyError after `timeout_s`.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(NotYetReadyError),
        wait=wait_exponential(multiplier=0.01, exp_base=1.01, max=0.05),
        stop=stop_before_delay(timeout_s),
        sleep=sleep,
        reraise=True,
    )
    try:
        for model, versions in removed.items():
            retrying(_require_unloaded, source, model, versions)
    except NotYetReadyError as last:
        raise ServerNotReadyError(
            f"not unloaded after {timeout_s:g} s: {last}", fix="invoke logs shows what it still does"
        ) from last


def _require_unloaded(source: StatusSource, model: str, versions: Sequence[int]) -> None:
    for version in source.status(model):
        if version.version in versions and version.state is not State.END:
            raise NotYetReadyError(f"{model}: version {version.version} {version.state.value}")
