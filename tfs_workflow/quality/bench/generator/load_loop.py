"""The loop of a load generator: it waits for sockets, times the answers, and replaces connections that are lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tfs_workflow.quality.bench.generator.connection import Connection
from tfs_workflow.quality.bench.generator.measurement import Measurement, OwnUse
from tfs_workflow.quality.bench.generator.orders import (
    CONNECTION_LOST,
    DONE,
    GONE,
    STOPPED,
    Ending,
    Orders,
    Report,
)
from tfs_workflow.quality.bench.generator.pace import ClosedPace, OpenPace, Pace
from tfs_workflow.quality.bench.generator.poller import Poller

_REPORT_NS = 250_000_000
# Requests that were due in time may still be answered for so long; only an open loop has any.
_GRACE_NS = 1_000_000_000
_MOST_LOSSES = 8
_STDIN = 0


class LoadLoop:
    """One run of the orders; `report` takes what was measured, several times a second."""

    def __init__(self, orders: Orders, report: Callable[[Report], None]) -> None:
        self._orders, self._report = orders, report
        self._poller = Poller(fine=bool(orders.rate_per_s))
        self._connections: dict[int, Connection] = {}
        self._measured = Measurement()
        self._how = ""
        # Connections lost in a row that never answered, and why the last one was.
        self._losses, self._evidence = 0, ""
        now_ns = time.monotonic_ns()
        self._counts_from_ns = now_ns + int(orders.warm_up_s * 1e9)
        self._end_ns = self._counts_from_ns + int(orders.seconds * 1e9)
        self._pace: Pace = (
            OpenPace(orders, self, now_ns, self._end_ns)
            if orders.rate_per_s
            else ClosedPace(orders, self, self._end_ns)
        )

    def run(self) -> Ending:
        """Send until the end, the loss of the server, or the end of stdin."""
        self._poller.watch(_STDIN)
        try:
            self._pace.begin()
            self._serve_until(self._counts_from_ns)
            self._measured.forget()
            use = OwnUse()
            self._serve_until(self._end_ns, reports=True)
            cpu_s, waited_s = use.cpu_s(), use.waited_s()
            ended_ns = min(time.monotonic_ns(), self._end_ns)
            self._serve_until(self._end_ns + _GRACE_NS, until_idle=True)
            self._report(self._measured.report(self._seconds(ended_ns)))
        finally:
            self._close()
        return Ending(
            how=self._how or DONE,
            wall_s=self._seconds(ended_ns),
            cpu_s=cpu_s,
            waited_s=waited_s,
            unanswered=self._pace.unanswered(),
            behind_s=self._pace.behind_ns() / 1e9,
            evidence=self._evidence,
        )

    # for the pace

    def opened(self) -> Connection | None:
        """A new connection; None where the server is gone."""
        try:
            connection = Connection(self._orders)
        except OSError as error:
            self._how, self._evidence = GONE, str(error)
            return None
        self._connections[connection.number] = connection
        self._poller.watch(connection.number)
        return connection

    def open_count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def start(self, connection: Connection, due_ns: int) -> None:
        """Send the next request of a free connection."""
        try:
            connection.start(due_ns)
        except OSError as error:
            self._lost(connection, f"{CONNECTION_LOST}: {error}", time.monotonic_ns())
            return
        if connection.is_blocked:
            self._poller.watch(connection.number, is_blocked=True)

    def was_late(self) -> None:
        """Count a request that we sent later than it was due, for no fault of the server."""
        self._measured.late += 1

    # the loop

    def _serve_until(self, end_ns: int, *, reports: bool = False, until_idle: bool = False) -> None:
        next_report_ns = time.monotonic_ns() + _REPORT_NS
        while not self._how:
            now_ns = time.monotonic_ns()
            if now_ns >= end_ns or (until_idle and not self._pace.unanswered()):
                return
            if now_ns >= next_report_ns:
                next_report_ns = now_ns + _REPORT_NS
                self._expire(now_ns)
                if reports:
                    self._report(self._measured.report(self._seconds(now_ns)))
            wake_ns = min(self._pace.dispatch(now_ns), next_report_ns, end_ns)
            for number in self._poller.ready((wake_ns - time.monotonic_ns()) / 1e9):
                if connection := self._connections.get(number):
                    self._serve(connection)
                elif number == _STDIN and not os.read(_STDIN, 1):
                    self._how = STOPPED

    def _serve(self, connection: Connection) -> None:
        try:
            if connection.is_blocked:
                connection.send_rest()
                self._poller.watch(connection.number, is_blocked=connection.is_blocked)
            outcome = connection.receive()
        except OSError as error:
            outcome = f"{CONNECTION_LOST}: {error}"
        if outcome is None:
            return
        now_ns = time.monotonic_ns()
        if outcome.startswith(CONNECTION_LOST):
            self._lost(connection, outcome, now_ns)
            return
        self._losses, connection.has_answered = 0, True
        self._count(connection.due_ns, outcome, now_ns)
        connection.due_ns = 0
        if connection.wire.is_ending:
            self._replace(connection, now_ns)
        else:
            self._pace.freed(connection, now_ns)

    def _count(self, due_ns: int, error: str, now_ns: int) -> None:
        """Count an answer; the latency of one to a request of the warm-up does not count."""
        self._measured.answered += not error and now_ns <= self._end_ns
        if not self._pace.counts(due_ns, now_ns, self._counts_from_ns):
            return
        if error:
            self._measured.errors[error] += 1
        else:
            self._measured.latencies_us.append((now_ns - due_ns) // 1000)

    def _lost(self, connection: Connection, error: str, now_ns: int) -> None:
        """Replace a connection that is lost; its request, if one was on its way, has failed."""
        if connection.due_ns:
            self._evidence = error
            self._count(connection.due_ns, error, now_ns)
        # One that dies in its first request says little, many in a row that there is no server behind the port.
        self._losses += not connection.has_answered
        if self._losses > _MOST_LOSSES:
            self._how = GONE
        self._replace(connection, now_ns)

    def _replace(self, connection: Connection, now_ns: int) -> None:
        self._drop(connection)
        if not self._how and (successor := self.opened()):
            self._pace.freed(successor, now_ns)

    def _drop(self, connection: Connection) -> None:
        self._poller.forget(connection.number)
        del self._connections[connection.number]
        self._pace.forget(connection)
        connection.close()

    def _expire(self, now_ns: int) -> None:
        """Give up requests that have waited too long."""
        oldest_ns = now_ns - int(self._orders.timeout_s * 1e9)
        for connection in list(self._connections.values()):
            if connection.due_ns and connection.due_ns < oldest_ns:
                self._lost(connection, f"no answer within {self._orders.timeout_s:g} s", now_ns)

    def _seconds(self, now_ns: int) -> float:
        return max(0.0, (now_ns - self._counts_from_ns) / 1e9)

    def _close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._poller.close()
