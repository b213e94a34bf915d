"""The options of bench, read and checked before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tfs_workflow.cli.command import whole_number
from tfs_workflow.cli.model.asked import Asked, check_asked, target_of
from tfs_workflow.config.types import Config, Slo
from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.bench.plot.plotted import PLOTS
from tfs_workflow.quality.bench.result import Load
from tfs_workflow.quality.bench.slo import require_load
from tfs_workflow.workflow.quality.bench import BenchOptions, loads_of

# Enough that batches form, and few enough that a small machine is not full.
ADVISED_CONNECTIONS = 16
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class BenchValues(Asked):
    """The options as they are on the command line."""

    signature: str = ""
    connections: str = ""
    rate: str = ""
    seconds: str = "5"
    warm_up: str = "1"
    rows: str = ""
    from_: str = ""
    processes: str = "1"
    save: str = ""
    compare: str = ""
    plot: Sequence[str] = ()
    advise: bool = False


def check_values(values: BenchValues) -> None:
    """Raise ConfigError for values that mean nothing, and for files that could not be written at the end."""
    check_asked(values, "bench")
    for name in filter(None, (values.save, *values.plot)):
        if not Path(name).absolute().parent.is_dir():
            raise ConfigError("its directory is not there", where=name)
    for name in values.plot:
        if Path(name).suffix not in PLOTS:
            raise ConfigError(f"expected a file that ends in {' or '.join(PLOTS)}", where=f"--plot {name}")
    if values.advise and (values.compare or values.plot or values.save):
        raise ConfigError(
            "--advise has a table of its own, and goes without --save, --compare and --plot", where="bench"
        )


def bench_options(config: Config, values: BenchValues) -> BenchOptions:
    """What to do, from the options and the SLO of the model; raises ConfigError."""
    target = replace(target_of(config, values, "bench"), signature=values.signature or None)
    slo = config.models[target.model].slo
    connections = _numbers(
        values.connections, "--connections", lambda text: whole_number(text, "--connections", least=1)
    )
    rates = _numbers(values.rate, "--rate", lambda text: _positive(text, "--rate"))
    loads = _one_load(connections, rates, slo) if values.advise else loads_of(connections, rates, slo)
    if slo:
        require_load(slo, loads, target.model)
    return BenchOptions(
        target,
        loads,
        seconds=_positive(values.seconds, "--seconds"),
        warm_up_s=_seconds(values.warm_up, "--warm-up"),
        rows=whole_number(values.rows, "--rows", least=1) if values.rows else 0,
        transport=values.transport,
        source=values.from_,
        processes=whole_number(values.processes, "--processes", least=1),
    )


def _one_load(connections: Sequence[int], rates: Sequence[float], slo: Slo | None) -> tuple[Load, ...]:
    """The one load that --advise puts on every candidate: by default the rate of the SLO, else 16 connections."""
    if not connections and not rates:
        connections, rates = ([], [slo.rate]) if slo else ([ADVISED_CONNECTIONS], [])
    loads = loads_of(connections, rates, None)
    if len(loads) > 1:
        raise ConfigError(f"--advise takes one load, got {', '.join(map(str, loads))}", where="bench")
    return loads


def _numbers(text: str, option: str, number: Callable[[str], _Number]) -> list[_Number]:
    found = [number(part.strip()) for part in text.split(",")] if text else []
    if len(set(found)) < len(found):
        raise ConfigError(f"expected each number once, got {text}", where=option)
    return found


def _positive(text: str, option: str) -> float:
    value = _seconds(text, option)
    if not value:
        raise ConfigError(f"expected a number above 0, got {text!r}", where=option)
    return value


def _seconds(text: str, option: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e6:  # which NaN is not
        raise ConfigError(f"expected a number from 0 to a million, got {text!r}", where=option)
    return value
