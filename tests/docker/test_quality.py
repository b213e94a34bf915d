"""What says how good the answers are, against a server in a container."""

from __future__ import annotations

from tests.support.verifications import Verifications


class TestDockerVerifications(Verifications):
    """A container that mounts the models."""
