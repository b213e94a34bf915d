"""What more processors would give to small requests: a simulation with costs measured on this machine.

python -m benchmarks.modelserver.growth [--rounds 5] [--seconds 2]

Measures the processor time that a front and the engine need for a request, then simulates fronts, engines and
connections with simpy. A process does one thing at a time and needs a processor for it. Clients run elsewhere. The
simulation leaves out caches, memory bandwidth and the network card. The engine's measured time includes its spins, so
that the table is cautious. Needs wrk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from benchmarks.modelserver.load import BUNDLED, Server, instances, ours, table

PATH = "/v1/models/half_plus_two:predict"
BODY = instances(1.0, 2.0, 5.0)
MEASURED_CONNECTIONS = 64
PROCESSORS = (2, 4, 8, 16)
CONNECTIONS = (8, 64)
# Between an answer and the next request of a connection.
ROUND_TRIP_S = 100e-6
SIMULATED_S = 0.2


@dataclass(frozen=True)
class Costs:
    """Processor seconds of a request in a front and in the engine."""

    front_s: float
    engine_s: float


@dataclass(frozen=True)
class Layout:
    """Processors, and the processes that share them."""

    processors: int
    fronts: int
    engines: int


def measured(rounds: int, seconds: int) -> Costs:
    """The medians of some rounds with one front, under 64 connections."""
    with ours("half_plus_two", BUNDLED, BODY, "--fronts=1") as server:
        taken = [_round(server, seconds) for _ in range(rounds)]
    return Costs(statistics.median(one.front_s for one in taken), statistics.median(one.engine_s for one in taken))


def _round(server: Server, seconds: int) -> Costs:
    before = _processor_s(server)
    load = server.load(PATH, BODY, MEASURED_CONNECTIONS, seconds)
    used = {name: spent - before[name] for name, spent in _processor_s(server).items()}
    count = load.per_second * seconds
    return Costs(used["front"] / count, used["engine"] / count)


def _processor_s(server: Server) -> dict[str, float]:
    """Of the one front and the engine, which the parent has exec'ed."""
    return {
        "engine" if "engine_process" in " ".join(child.cmdline()) else "front": sum(child.cpu_times()[:2])
        for child in server.process.children()
    }


class Simulation:
    """A closed loop: each connection sends its next request when it has the answer to the last."""

    def __init__(self, layout: Layout, costs: Costs, connections: int) -> None:
        self._environment = environment = simpy.Environment()
        self._processors = simpy.Resource(environment, layout.processors)
        self._costs = costs
        self._fronts = [simpy.Resource(environment, 1) for _ in range(layout.fronts)]
        self._engines = [simpy.Resource(environment, 1) for _ in range(layout.engines)]
        self._connections = connections
        self._answered = 0

    def per_second(self) -> float:
        """Requests per second."""
        for number in range(self._connections):
            front = self._fronts[number % len(self._fronts)]
            self._environment.process(self._connection(front, self._engines[number % len(self._engines)]))
        self._environment.run(until=SIMULATED_S)
        return self._answered / SIMULATED_S

    def _connection(self, front: simpy.Resource, engine: simpy.Resource) -> Generator[simpy.Event, Any, None]:
        while True:
            yield self._environment.timeout(ROUND_TRIP_S)
            # A front reads and prints: half of its time before the run, half after it.
            for process, cost_s in (
                (front, self._costs.front_s / 2),
                (engine, self._costs.engine_s),
                (front, self._costs.front_s / 2),
            ):
                with process.request() as turn:
                    yield turn
                    with self._processors.request() as processor:
                        yield processor
                        yield self._environment.timeout(cost_s)
            self._answered += 1


def layouts(processors: int) -> list[Layout]:
    """One front, as many as there are processors beside the engine, and the same with two engines."""
    one_engine = [Layout(processors, fronts, 1) for fronts in sorted({1, processors - 1})]
    return one_engine + ([Layout(processors, processors - 2, 2)] if processors > 2 else [])


def main() -> int:
    """Print the costs, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="length of each load")
    options = parser.parse_args()
    costs = measured(options.rounds, options.seconds)
    print(f"a request takes {costs.front_s * 1e6:.0f} µs in a front, {costs.engine_s * 1e6:.0f} µs in the engine\n")
    rows = [_row(layout, costs) for processors in PROCESSORS for layout in layouts(processors)]
    print(table(["processors", "fronts", "engines", *(f"req/s, {n} connections" for n in CONNECTIONS)], rows))
    return 0


def _row(layout: Layout, costs: Costs) -> list[str]:
    rates = (Simulation(layout, costs, connections).per_second() for connections in CONNECTIONS)
    return [str(layout.processors), str(layout.fronts), str(layout.engines), *(f"{rate:,.0f}" for rate in rates)]


if __name__ == "__main__":
    sys.exit(main())
