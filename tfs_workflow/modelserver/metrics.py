"""What the server counts, under TensorFlow Serving's metric names, in Prometheus' text format."""

from __future__ import annotations

from tfs_workflow.modelserver.status import Code


class Metrics:
    """Counts nothing: the server without --monitoring_config_file."""

    def request(self, model: str, api: str, entrypoint: str, code: Code, latency_s: float) -> None:
        """A request has been answered."""

    def load(self, path: str, succeeded: bool, latency_s: float) -> None:
        """A version has been loaded, or has not."""

    def batch(self, model: str, size: int, queueing_s: float) -> None:
        """A batch has been formed."""

    def page(self) -> bytes:
        """All metrics in text format."""
        return b""
