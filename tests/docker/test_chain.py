"""The whole chain on a real Docker engine."""

from tests.support.chain import Chain


class TestDocker(Chain):
    """Every step of the journey in a container."""
