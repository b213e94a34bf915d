"""One row of the table of diagnoses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One cause with its evidence and its fix; `name` is stable and part of what --json prints.

    Evidence, any of which is enough: `log`, a pattern in a line of the log or in the error of a version that ended;
    `status`, a pattern in the latter alone; `exit_codes`; and `out_of_memory`, the engine's flag. With `unless`, a
    line of the log only counts while no line matches that, in which WHAT stands for the first group of `log`.
    A `hopeless` row ends the waiting although the server still runs. `issues` are those of tensorflow/serving.
    Patterns are compiled when they are used: a server that comes up needs none.
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
        """Whether it says how the process ended, which no older line of the log can contradict."""
        return bool(self.exit_codes and not self.log)
