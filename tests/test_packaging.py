"""What is installed where: the extra, the constraints and the image name the same things."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tfs_workflow.config.types import Server

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()


def names(lines: list[str]) -> set[str]:
    """The distribution names of requirement lines."""
    return {re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0].lower() for line in lines if line and line[0] not in "#-"}


@pytest.fixture(scope="module")
def project() -> dict[str, list[str]]:
    """Dependencies by extra; the unconditional ones under an empty name."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib comes with Python 3.11")
    import tomllib  # noqa: PLC0415

    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def test_constraints_name_no_registry_and_pin_exactly() -> None:
    for line in CONSTRAINTS.splitlines():
        assert re.match(r"[a-z0-9._-]+==[^ ]+( ; .+)?$", line), line


def test_constraints_pin_every_direct_dependency(project: dict[str, list[str]]) -> None:
    direct = set().union(*(names(lines) for lines in project.values())) - {"tfs-workflow"}
    assert {name.replace("_", "-") for name in direct} <= names(CONSTRAINTS.splitlines())


def test_the_image_installs_what_the_extra_names(project: dict[str, list[str]]) -> None:
    image = names((ROOT / "tfs_workflow" / "image" / "requirements.txt").read_text().splitlines())
    assert names(project["embedded"] + project["server"]) - {"tfs-workflow"} <= image


def test_the_extra_server_is_the_extra_embedded_without_tensorflow(project: dict[str, list[str]]) -> None:
    assert names(project["embedded"]) == {"tfs-workflow", "tensorflow", "tensorflow-cpu"}
    assert "tfs-workflow[server]" in project["embedded"]


def test_tensorflow_is_of_the_default_images_release_line(project: dict[str, list[str]]) -> None:
    line = ".".join(Server().image.rpartition(":")[2].split(".")[:2])
    assert all(f">={line}," in one for one in project["embedded"] if one.startswith("tensorflow"))
    pinned = re.findall(r"^tensorflow(?:-cpu)?==(\S+)", CONSTRAINTS, re.MULTILINE)
    assert {".".join(version.split(".")[:2]) for version in pinned} == {line}


def test_nothing_of_this_machine_is_in_the_tree() -> None:
    for path in (ROOT / "README.md", ROOT / "constraints.txt", ROOT / ".ci" / "run"):
        assert not re.search(r"/root/|/work/", path.read_text()), path
