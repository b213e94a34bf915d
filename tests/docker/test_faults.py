"""Faults on the way on a real Docker engine."""

from tests.support.faults import Faults


class TestDocker(Faults):
    """Interrupted, killed and broken in a container."""
