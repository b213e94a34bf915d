"""One row of the table of diagnoses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One cause with its evidence and its fix; `name` is stable, and --json prints it.

    Any of these is enough as evidence: `log`, a pattern for a line of the log or for the error of a version that
    ended; `status`, a pattern for that error alone; `exit_codes`; `out_of_memory`, the engine's flag. With `unless`, a
    line of the log counts only while no line matches that pattern, where WHAT is replaced by the first group of `log`.
    A `hopeless` row ends the wait although the server still runs. `issues` are numbers of tensorflow/serving.
    Patterns are compiled on use, because a server that starts without a failure needs none.
    """

    name: str
    cause: str
    fix: str
    log: str = ""
    unless: str = ""
    status: str = ""
    exit_codes: tuple[int, ...] = ()
    out_of_memory: bool = False
    hopeless: bool = False
    issues: tuple[int, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether the exit code alone shows the cause, whatever the log holds."""
        return bool(self.exit_codes and not self.log)
