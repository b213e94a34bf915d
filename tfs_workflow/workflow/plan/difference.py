"""One difference between what runs and what is wanted, with the command that removes it."""

from __future__ import annotations

from dataclasses import dataclass

REPLACES = "run invoke serve, which replaces the server"
SWITCHES = "run invoke serve, which loads it beside the running one; no request is lost"
RELOADS = "run invoke serve, which reloads it"


@dataclass(frozen=True)
class Drift:
    """One difference: its kind, where it is, the evidence, and the command that removes it.

    `by_reload` is true where the running server can take the change, `by_switch` where another engine of it can.
    """

    kind: str
    where: str
    evidence: str
    fix: str = REPLACES
    by_reload: bool = False
    by_switch: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.evidence}"
