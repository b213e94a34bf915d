"""The load generator counts what a real server over real sockets did, in closed and in open loops."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from tests.support.scripted_server import answer, scripted
from tfs_workflow.quality.bench.generator.orders import REST, Orders
from tfs_workflow.quality.bench.load import Generators
from tfs_workflow.quality.bench.result import Interval, Load, Point
from tfs_workflow.quality.bench.server_usage import Usage

pytestmark = pytest.mark.slow
BODY = b'{"instances": [1.0]}'


def orders(port: int, seconds: float = 0.6, **changes: object) -> Orders:
    made = Orders(REST, "127.0.0.1", port, "/v1/models/m:predict", (BODY,), 1, seconds, warm_up_s=0)
    return replace(made, **changes)  # type: ignore[arg-type]


def measured(generators: Generators, load: Load) -> Point:
    point = Point(load)
    generators.put(load, point)
    return point


@pytest.mark.parametrize("processes", [1, 2])
def test_a_closed_loop_counts_what_the_server_answered(processes: int) -> None:
    with scripted() as server:
        point = measured(Generators(orders(server.port), processes), Load(4))
        assert server.connections == 4
    # At the end each connection may have an answer that came too late, and a request that followed it.
    assert len(server.bodies) - 8 <= point.answered <= len(server.bodies)
    assert point.answered == point.latencies.count > 0
    assert (point.failed, point.client.processes, point.is_partial) == (0, processes, False)
    assert set(server.bodies) == {BODY}


def test_an_open_loop_sends_every_request_that_is_due() -> None:
    with scripted() as server:
        point = measured(Generators(orders(server.port, seconds=1.0), 2), Load(8, 200))
    assert point.latencies.count + point.failed == 200
    assert len(server.bodies) == 200


def test_requests_that_were_due_while_the_server_stalled_count_from_when_they_were_due() -> None:
    """One stall of half a second delays some fifty requests at 100/s; a closed loop would see a single one."""

    def stalls(number: int) -> bytes:
        if number == 20:
            time.sleep(0.5)
        return answer()

    with scripted(stalls) as server:
        point = measured(Generators(orders(server.port, seconds=1.5)), Load(1, 100))
    late = 100 - next(share for share in range(101) if point.latencies.percentiles_ms((float(share),))[0] > 100)
    assert point.latencies.count + point.failed == 150
    assert late >= 20


def test_an_open_loop_opens_no_more_connections_than_it_needs_and_none_above_the_bound() -> None:
    def stalls(number: int) -> bytes:
        if number == 5:
            time.sleep(0.4)
        return answer()

    with scripted(stalls) as server:
        measured(Generators(orders(server.port, seconds=1.0)), Load(3, 50))
    assert 1 <= server.connections <= 3


def test_the_warm_up_does_not_count() -> None:
    with scripted() as server:
        point = measured(Generators(orders(server.port, seconds=0.5, warm_up_s=0.5)), Load(4, 100))
    assert len(server.bodies) == 100
    assert point.latencies.count + point.failed == 50


def test_refused_requests_are_counted_by_their_text_and_are_no_latencies() -> None:
    refusal = answer(b'{"error": "no such\\nmodel"}', "404 Not Found")
    with scripted(lambda number: refusal if number % 2 else answer()) as server:
        point = measured(Generators(orders(server.port)), Load(1))
    assert set(point.errors) == {"HTTP 404: no such model"}
    assert abs(point.errors.total() - point.latencies.count) <= 1
    assert point.failed == point.errors.total()


def test_a_lost_connection_is_an_error_and_is_opened_again() -> None:
    with scripted(lambda number: b"" if number % 10 == 0 else answer()) as server:
        point = measured(Generators(orders(server.port)), Load(2))
    assert point.errors.total() >= 1
    assert all(text.startswith("the connection was lost") for text in point.errors)
    assert point.answered > point.errors.total()
    assert not point.gone


def test_a_connection_that_the_server_announces_to_close_is_replaced_without_an_error() -> None:
    closing = answer().replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    with scripted(lambda number: closing if number % 10 == 0 else answer()) as server:
        point = measured(Generators(orders(server.port)), Load(2))
        assert server.connections >= 2 + point.answered // 10 - 1
    assert point.failed == 0
    assert point.answered > 10


def test_an_answer_that_never_comes_is_an_error_after_its_time() -> None:
    with scripted(lambda number: None if number == 1 else answer()) as server:
        point = measured(Generators(orders(server.port, seconds=1.2, timeout_s=0.3)), Load(1))
    assert dict(point.errors) == {"no answer within 0.3 s": 1}
    assert point.answered > 0


def test_what_is_no_http_is_an_error() -> None:
    with scripted(lambda number: answer() if number < 3 else b"SSH-2.0-OpenSSH\r\n\r\n") as server:
        point = measured(Generators(orders(server.port)), Load(1))
    assert all("no HTTP answer" in text for text in point.errors)
    assert point.gone


def test_a_port_where_nothing_listens_is_gone_at_once() -> None:
    with scripted() as server:
        port = server.port
    point = measured(Generators(orders(port, seconds=30)), Load(2))
    assert "refused" in point.gone
    assert point.is_partial


def test_bodies_are_sent_in_turn_also_large_ones() -> None:
    bodies = (b"[%s]" % (b"1," * 2**20), b"[2]")
    with scripted() as server:
        point = measured(Generators(orders(server.port, bodies=bodies)), Load(1))
    assert server.bodies[:4] == [*bodies, *bodies]
    assert point.failed == 0


def test_fields_such_as_a_token_are_sent() -> None:
    seen = []

    def notes(number: int) -> bytes:
        seen.append(number)
        return answer()

    with scripted(notes) as server:
        point = measured(Generators(orders(server.port, fields={"authorization": "Bearer x" * 10})), Load(1))
    assert seen
    assert point.failed == 0


def test_progress_has_an_interval_for_every_quarter_of_a_second_and_the_timeline_keeps_them() -> None:
    seen: list[Interval] = []
    with scripted() as server:
        generators = Generators(orders(server.port, seconds=1.0), 2, progress=seen.append)
        point = measured(generators, Load(2))
    assert [one.at_s for one in point.timeline] == sorted(one.at_s for one in point.timeline)
    assert 2 <= len(point.timeline) <= len(seen)
    assert all(one.p50_ms <= one.p99_ms for one in seen)


def test_the_use_of_the_server_is_the_growth_between_two_looks() -> None:
    looks = iter([Usage(10.0, 5_000), Usage(10.5, 7_000)])
    with scripted() as server:
        point = measured(Generators(orders(server.port), usage=lambda: next(looks)), Load(1))
    assert point.server is not None
    assert point.server.memory_bytes == 7_000
    assert point.server.cores > 0


@pytest.fixture
def children() -> Iterator[list[psutil.Process]]:
    """The processes that this one has left over at the end: none."""
    before = set(psutil.Process().children())
    left: list[psutil.Process] = []
    yield left
    left += set(psutil.Process().children()) - before
    assert left == []


def test_an_interrupt_keeps_what_was_measured_and_ends_the_generators(children: list[psutil.Process]) -> None:
    point, load = Point(Load(2)), Load(2)
    seen: list[Interval] = []

    def interrupting(interval: Interval) -> None:
        seen.append(interval)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with scripted() as server, pytest.raises(KeyboardInterrupt):
        Generators(orders(server.port, seconds=60), 2, progress=interrupting).put(load, point)
    assert point.is_partial
    assert point.answered > 0
    assert 0 < point.seconds < 60
    assert children == []


def test_a_generator_that_is_killed_leaves_a_partial_point(children: list[psutil.Process]) -> None:
    def kill(interval: Interval) -> None:
        for one in psutil.Process().children():
            if "tfs_workflow.quality.bench.generator" in one.cmdline():
                os.kill(one.pid, signal.SIGKILL)

    with scripted() as server:
        point = measured(Generators(orders(server.port, seconds=60), progress=kill), Load(1))
    assert point.is_partial
    assert point.answered > 0
    assert children == []
