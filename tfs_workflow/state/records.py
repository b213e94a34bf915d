"""The records of the state file: what each verb writes for the verbs that follow.

They are dataclasses with a fixed set of fields and not dictionaries, so that a reader and a writer cannot disagree on a
key. A new field needs a default, or the records of older files no longer validate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfs_workflow.state.fingerprints import Fingerprints


@dataclass(frozen=True)
class FetchRecord:
    """One fetched model: the identities of its sources, the index of the one used, and the files that it gave.

    `commit` is git's, or an archive's sha256, else empty; `fell_back` has a line for each unreachable source. `added`
    are files of ours beside or in place of fetched ones: warm-up requests, which no lock file pins.
    """

    sources: tuple[str, ...]
    used: int
    commit: str
    files: Fingerprints
    fell_back: tuple[str, ...] = ()
    added: Fingerprints = field(default_factory=dict)

    @property
    def present(self) -> Fingerprints:
        """The files that are there: those that were fetched, and those that were added."""
        return {**self.files, **self.added}


@dataclass(frozen=True)
class ServedRecord:
    """The server that the last `serve` started, with its spec as JSON values and the files of each model.

    `is_reloading` is true while a reload or a switch is on its way, and stays so where it was cut short. `digest` is
    that of the spec where a switch has changed it since the server was started, else empty.
    """

    id: str
    started_at: str
    spec: dict[str, Any]
    files: dict[str, Fingerprints]
    is_reloading: bool = False
    digest: str = ""


@dataclass(frozen=True)
class FailureRecord:
    """One failure with its evidence; `diagnosis` is a row's name, empty where no row of the table applies.

    `at` is when it was seen, in ISO 8601. `exit_code` is None where the server ran on or its end was not observed.
    """

    what: str
    at: str
    diagnosis: str = ""
    where: str = ""
    evidence: str = ""
    fix: str = ""
    runtime: str = ""
    exit_code: int | None = None
    lines: tuple[str, ...] = ()
