"""Every example of config/examples on a real Docker engine."""

from tests.support.examples import Examples


class TestDocker(Examples):
    """Served in a container."""
