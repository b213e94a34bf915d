"""What a fault is: a name, what may come of it, and how it is brought about."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from benchmarks.faults.counting import Ended
from benchmarks.faults.lab import Lab

Inject = Callable[[Lab], Ended]


@dataclass(frozen=True)
class Fault:
    """`inject` brings a fresh project to the point, lets a verb meet the fault, and takes the fault away again.

    `exit_codes` are those that the verb may end with. `cleans_up` says that nothing may be left at once; else whatever
    killed or outlived the verb leaves it to the next one.
    """

    name: str
    exit_codes: Set[int]
    inject: Inject
    cleans_up: bool = True
