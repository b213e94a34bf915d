"""Which versions are wanted, and which step comes next: load before unload (availability_preserving_policy.cc).

The functions are pure: states and wanted versions in, next steps out. The repository calls them after every change, so
that a load that fails needs no undo. A version is unloaded only once a wanted one serves, at the price of memory for
two versions. So a new version that cannot be loaded never replaces one that works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from tfs_workflow.protos.model_server_config_pb2 import ServableVersionPolicy


class VersionState(Enum):
    """What a version is doing (get_model_status.proto)."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


def wanted_versions(found: Iterable[int], policy: ServableVersionPolicy) -> set[int]:
    """The versions to serve out of those on disk.

    Without a policy the newest version, as in the message's default. A specific version that is not on disk is left
    out.
    """
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return set(found)
    if choice == "specific":
        return set(policy.specific.versions) & set(found)
    count = policy.latest.num_versions or 1
    return set(sorted(found)[-count:])


def to_load(states: Mapping[int, VersionState], wanted: set[int]) -> list[int]:
    """Wanted versions that have not been started, newest first."""
    return sorted((version for version in wanted if version not in states), reverse=True)


def to_unload(states: Mapping[int, VersionState], wanted: set[int]) -> list[int]:
    """Versions that may go: none as long as no wanted version serves in their place."""
    serving = {version for version, state in states.items() if state is VersionState.AVAILABLE}
    return sorted(serving - wanted) if not wanted or serving & wanted else []
