"""The types of the YAML's keys about quality: what a model must answer, and how fast."""

from __future__ import annotations

from pydantic import Field

from tfs_workflow.config.source_types import Frozen


class Slo(Frozen):
    """How fast a model must answer; a latency says nothing without the load that it is for."""

    p99_ms: float = Field(gt=0, allow_inf_nan=False, description="Longest latency of 99 % of the requests, in ms.")
    rate: float = Field(gt=0, allow_inf_nan=False, description="Requests per second at which that must hold.")
