"""The installed TensorFlow distributions, read off directories of real metadata."""

from __future__ import annotations

from pathlib import Path

from tests.checks.findings import is_ok
from tfs_workflow.checks.examination import DEFAULT_IMAGE
from tfs_workflow.checks.finding import FindingStatus
from tfs_workflow.checks.tensorflow_packages import installed, tensorflow_findings, tensorflow_version
from tfs_workflow.config.types import Server


def environment(directory: Path, **versions: str) -> list[str]:
    """An import path with the metadata that pip leaves of these distributions."""
    for name, version in versions.items():
        metadata = directory / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    return [str(directory)]


def test_the_release_line_of_the_default_image_is_good(tmp_path: Path) -> None:
    assert is_ok(tensorflow_findings(installed(environment(tmp_path, tensorflow_cpu="2.20.0")), DEFAULT_IMAGE))


def test_two_distributions_are_named_with_the_way_out(tmp_path: Path) -> None:
    found = installed(environment(tmp_path, tensorflow="2.20.0", tensorflow_cpu="2.20.0", numpy="2.0.0"))
    (finding,) = tensorflow_findings(found, DEFAULT_IMAGE)
    assert finding.status is FindingStatus.WARNING
    assert "tensorflow 2.20.0, tensorflow-cpu 2.20.0" in finding.evidence
    assert "pip uninstall tensorflow tensorflow-cpu" in finding.fix


def test_another_release_line_is_named(tmp_path: Path) -> None:
    (finding,) = tensorflow_findings(installed(environment(tmp_path, tf_nightly="2.22.0.dev1")), DEFAULT_IMAGE)
    assert finding.status is FindingStatus.WARNING
    assert "tf-nightly 2.22.0.dev1; the default image is 2.20" in finding.evidence


def test_the_version_is_that_of_what_is_installed_here() -> None:
    assert tensorflow_version() in installed().values()


def test_the_default_image_is_that_of_the_yaml() -> None:
    assert Server().image == DEFAULT_IMAGE
