"""SELinux: whether a container may read a model, whatever the files' modes say.

The kernel denies a container a file by its label, whatever its mode is, and the server reports only "Permission
denied". The label is an extended attribute and can be read without any of SELinux's tools. Relabelling is left to the
user: a mount with `:z` would change the labels of files that other programs use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tfs_workflow.checks.finding import Finding, failure, ok
from tfs_workflow.errors import InvalidModelError

ENFORCE = Path("/sys/fs/selinux/enforce")
# What the container policy lets every container read (container-selinux).
READABLE = ("container_file_t", "container_ro_file_t", "container_share_t", "svirt_sandbox_file_t")


def is_enforcing(enforce: Path = ENFORCE) -> bool:
    """Whether SELinux is on and denies."""
    try:
        return enforce.read_text().strip() == "1"
    except OSError:
        return False


def label_of(path: Path) -> str:
    """The type in a file's SELinux label, such as user_home_t; empty where it has none."""
    try:
        label = os.getxattr(path, "security.selinux").rstrip(b"\0").decode()
    except (OSError, AttributeError):  # only Linux has labels
        return ""
    return label.split(":")[2] if label.count(":") >= 2 else ""


def container_access(name: str, base_path: Path, enforcing: bool, label: str) -> Iterator[Finding]:
    """Nothing where SELinux is not there; else whether a container may read the model."""
    check = f"model {name}: SELinux"
    if not enforcing or not label:
        return
    if label in READABLE:
        yield ok(check, f"{base_path} is {label}")
    else:
        evidence = f"{base_path} is {label}, which no container may read"
        yield failure(check, evidence, f"chcon -Rt container_file_t {base_path}", InvalidModelError)
