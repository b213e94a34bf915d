"""The TensorFlow of the embedded server: which distribution brings it, and of which release line it is.

TensorFlow is published under several names that install the same directory. Where two are installed, the files of the
later one replace those of the first, and uninstalling either breaks both.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Sequence

from tfs_workflow.checks.finding import Finding, ok, warning

CHECK = "server: TensorFlow"
# Distributions with the library itself. Others, such as tensorflow-intel, are dependencies of these.
DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tensorflow-rocm",
    "intel-tensorflow",
    "tf-nightly",
    "tf-nightly-cpu",
    "tf-nightly-gpu",
)


def installed(path: Sequence[str] | None = None) -> dict[str, str]:
    """Version by name of each installed TensorFlow distribution, found on this import path."""
    places = list(sys.path if path is None else path)
    found = {name: list(importlib.metadata.distributions(name=name, path=places)) for name in DISTRIBUTIONS}
    return {name: distributions[0].version for name, distributions in found.items() if distributions}


def tensorflow_version() -> str:
    """The version of the installed TensorFlow; empty without one."""
    return next(iter(installed().values()), "")


def tensorflow_findings(found: dict[str, str], image: str) -> Iterator[Finding]:
    """Two distributions in one environment, and a release line that is not that of the default image."""
    named = ", ".join(f"{name} {version}" for name, version in found.items())
    line = _release_line(image.rpartition(":")[2])
    others = {_release_line(version) for version in found.values()} - {line}
    if len(found) > 1:
        fix = f"pip uninstall {' '.join(found)}, then install one of them"
        yield warning(CHECK, f"{named} overwrite each other's files", fix)
    elif others:
        evidence = f"{named}; the default image is {line}, so results may differ in the last digits"
        yield warning(CHECK, evidence, f"pip install 'tensorflow-cpu=={line}.*', or keep it if you need this release")
    else:
        yield ok(CHECK, named or "not installed")


def _release_line(version: str) -> str:
    """Major and minor number."""
    found = re.match(r"\d+\.\d+", version)
    return found[0] if found else version
