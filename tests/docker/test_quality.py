"""What says how good the answers are, against a server in a container."""

from __future__ import annotations

from tests.support.verifications import Verifications
from tests.support.warmups import Warmups


class TestDockerVerifications(Verifications):
    """A container that mounts the models."""


class TestDockerWarmups(Warmups):
    """A container that mounts the workspace's models."""
