"""Every YAML of config/examples, loaded and served; a class of tests over a fixture named `lab`."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.support.archive_server import ArchiveServer
from tests.support.command import CommandLine

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "tfs_workflow" / "bundled" / "half_plus_two"
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))
SOURCE = "TFS_MODELS__HALF_PLUS_TWO__SOURCE__"


def two_versions(directory: Path) -> str:
    """A base path with versions 1 and 2."""
    for version in ("1", "2"):
        shutil.copytree(BUNDLED / "00000123", directory / "models" / version)
    return str(directory / "models")


def archived(server: ArchiveServer) -> dict[str, str]:
    """The address and digest of an archive on a server of this test."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(BUNDLED, "half_plus_two")
    address, digest = server.put("half_plus_two.tar.gz", content.getvalue())
    return {f"{SOURCE}ARCHIVE": address, f"{SOURCE}SHA256": digest}


class Examples:
    """What config/examples promises."""

    @pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
    def test_an_example_is_served_and_answers(
        self, lab: CommandLine, archive_server: ArchiveServer, path: Path
    ) -> None:
        runtime = lab.config["runtime"]
        overrides = {"TFS_PROJECT": lab.project, "TFS_WORKSPACE": str(lab.workspace), "TFS_RUNTIME": runtime}
        if image := lab.config["server"].get("image"):
            overrides["TFS_SERVER__IMAGE"] = image
        if path.stem == "archive":
            overrides |= archived(archive_server)
        if path.stem == "versions-and-labels":
            overrides[f"{SOURCE}DIRECTORY"] = two_versions(lab.directory)
        example = CommandLine(lab.directory, yaml.safe_load(path.read_text()), overrides)
        example.ok("setup")
        served = example.ok_json("serve")
        assert all(v["state"] == "AVAILABLE" for versions in served["models"].values() for v in versions)
        for model in example.config["models"]:
            assert json.loads(example.ok("predict", "--model", model)) == [2.5, 3.0, 4.5]
        example.ok("teardown", "--purge")

    def test_labels_reach_their_versions(self, lab: CommandLine) -> None:
        lab.config["models"]["half_plus_two"] |= {
            "source": [{"directory": two_versions(lab.directory)}],
            "versions": "all",
            "labels": {"stable": 1, "canary": 2},
        }
        lab.ok("setup")
        versions = lab.ok_json("serve")["models"]["half_plus_two"]
        assert [v["version"] for v in versions] == [2, 1]
        for chosen in (("--label", "stable"), ("--label", "canary"), ("--version", "1")):
            assert json.loads(lab.ok("predict", *chosen)) == [2.5, 3.0, 4.5]
        assert "label" in lab.fails(6, "predict", "--label", "nope")
