"""What users get wrong, on a real Docker engine."""

from __future__ import annotations

import os

import pytest

from tests.support import models
from tests.support.command import CommandLine
from tests.support.mistakes import Mistakes
from tests.support.needs import missing


class TestDocker(Mistakes):
    """Found before a container is started."""

    @pytest.mark.parametrize("unreadable", ["1", "1/saved_model.pb"])
    def test_files_that_the_containers_user_may_not_read_are_named(self, lab: CommandLine, unreadable: str) -> None:
        if os.getuid() != 0:
            missing("only root serves as another user than itself")
        base_path = models.good(lab.directory)
        (base_path / unreadable).chmod(0o600)
        lab.config["models"]["half_plus_two"]["source"] = [{"directory": str(base_path)}]
        message = lab.fails(4, "setup")
        assert f"{base_path / unreadable}: not readable for uid 65534" in message
        assert "chmod -R a+rX" in message
        (base_path / unreadable).chmod(0o755)
        lab.ok("setup", "serve")
