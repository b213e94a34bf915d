"""The server's own counters before and after a load, and how much they grew."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from tfs_workflow.client.access.rest_session import rest_session, verification
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.spec import METRICS_PATH

_TIMEOUT_S = 5.0
# Of a histogram the sum and the count; its buckets are for a monitoring system.
_GROWING = ("_total", "_sum", "_count")


def counters(server: ModelServer) -> dict[str, float]:
    """Each counter by its name with labels; empty where the server publishes none (`server.metrics`)."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  # most servers publish none

    credentials = server.credentials()
    with rest_session(server.rest_url, credentials) as session:
        try:
            answer = session.get(server.rest_url + METRICS_PATH, timeout=_TIMEOUT_S, verify=verification(credentials))
        except requests.RequestException:
            return {}
    if answer.status_code != 200:
        return {}
    samples = [one for family in text_string_to_metric_families(answer.text) for one in family.samples]
    return {_name(one.name, one.labels): one.value for one in samples if one.name.endswith(_GROWING)}


def growth(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What grew, and by how much."""
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    return {name: value for name, value in grown.items() if value > 0}


def _name(name: str, labels: Mapping[str, str]) -> str:
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{text}}}" if text else name
