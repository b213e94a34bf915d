"""A front without an engine: what it holds, refuses and answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.modelserver.running import BUNDLED
from tfs_workflow.formats.status_codes import Code
from tfs_workflow.modelserver.exchange import Request, Response, Watch
from tfs_workflow.modelserver.link import held_requests
from tfs_workflow.modelserver.link.front_side import FrontSide
from tfs_workflow.modelserver.link.held_bytes import HeldBytes
from tfs_workflow.modelserver.link.held_table import HeldTable
from tfs_workflow.modelserver.metrics.counts import Counts
from tfs_workflow.modelserver.status_error import StatusError

MOST_BYTES = 200_000


def table_of(timeout_ms: int, held_bytes: HeldBytes | None = None) -> HeldTable:
    counts = Counts(memoryview(bytearray(10_000)))
    return HeldTable(timeout_ms, b"", counts, (held_bytes or HeldBytes(1)).of(0, MOST_BYTES))


def front_side(timeout_ms: int = 0) -> FrontSide:
    return FrontSide(0, table_of(timeout_ms))


def answers_of(act: Callable[[FrontSide, Callable[[Response], None]], object]) -> list[Response]:
    """The responses that a front gives while it does this."""

    async def run() -> list[Response]:
        taken: list[Response] = []
        act(front_side(), taken.append)
        return taken

    return asyncio.run(run())


def post(size_bytes: int) -> Request:
    return Request("POST", b"/v1/models/m:predict", {}, b"x" * size_bytes, keep_alive=True)


def test_requests_wait_for_an_engine() -> None:
    assert answers_of(lambda side, reply: side.answer_http(post(10), reply)) == []


def test_large_bodies_beyond_the_bound_are_refused_with_503() -> None:
    def act(side: FrontSide, reply: Callable[[Response], None]) -> None:
        for _ in range(3):
            side.answer_http(post(90_000), reply)

    (refused,) = answers_of(act)
    assert (refused.status, refused.headers) == (503, b"Retry-After: 1\r\n")


def test_one_large_body_is_held_whatever_its_size() -> None:
    assert answers_of(lambda side, reply: side.answer_http(post(2 * MOST_BYTES), reply)) == []


def test_small_bodies_count_once_they_are_some_kilobytes_and_those_without_a_body_pass() -> None:
    def act(side: FrontSide, reply: Callable[[Response], None]) -> None:
        side.answer_http(post(MOST_BYTES), reply)
        for _ in range(20):
            side.answer_http(post(1000), reply)
        side.answer_http(post(0), reply)

    assert [response.status for response in answers_of(act)] == [503] * 4


def test_the_bound_holds_for_all_fronts_together() -> None:
    async def run() -> list[int]:
        taken: list[Response] = []
        held_bytes = HeldBytes(2)
        other = held_bytes.of(1, MOST_BYTES)
        assert other.take(MOST_BYTES)
        side = FrontSide(0, table_of(0, held_bytes))
        side.answer_http(post(20_000), taken.append)
        other.give_back(MOST_BYTES)
        side.answer_http(post(20_000), taken.append)
        return [response.status for response in taken]

    assert asyncio.run(run()) == [503]


def test_what_is_answered_or_cancelled_makes_room() -> None:
    async def run() -> list[int]:
        taken: list[Response] = []
        table = table_of(0)
        side = FrontSide(0, table)
        side.cancel(side.answer_http(post(MOST_BYTES), taken.append))
        table.fail({side.answer_http(post(MOST_BYTES), taken.append)}, held_requests.TIMED_OUT)
        side.answer_http(post(MOST_BYTES), taken.append)
        return [response.status for response in taken]

    assert asyncio.run(run()) == [504]


def test_a_request_that_is_to_run_alone_can_be_cancelled() -> None:
    async def run() -> list[Response]:
        taken: list[Response] = []
        table = table_of(0)
        side = FrontSide(0, table)
        number = side.answer_http(post(MOST_BYTES), taken.append)
        table.run_alone({number})
        side.cancel(number)
        side.answer_http(post(MOST_BYTES), taken.append)
        return taken

    assert asyncio.run(run()) == []


def test_a_request_that_waits_too_long_gets_504() -> None:
    async def run() -> Response:
        answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        front_side(timeout_ms=1).answer_http(post(10), answered.set_result)
        return await answered

    late = asyncio.run(run())
    assert late.status == 504
    assert late.body == b'{\n    "error": "Timed out waiting for notification"\n}'


def test_what_comes_during_a_pause_is_refused_and_what_is_held_waits() -> None:
    def act(side: FrontSide, reply: Callable[[Response], None]) -> None:
        side.answer_http(post(10), reply)
        side.pause()
        side.answer_http(post(10), reply)

    assert [response.status for response in answers_of(act)] == [503]


def test_without_hope_of_an_engine_everything_is_refused() -> None:
    def act(side: FrontSide, reply: Callable[[Response], None]) -> None:
        side.answer_http(post(10), reply)
        side.give_up()

    assert [response.status for response in answers_of(act)] == [503]


def test_a_call_that_ran_when_the_engine_ended_gets_internal() -> None:
    async def run() -> list[bytes | Watch | StatusError]:
        taken: list[bytes | Watch | StatusError] = []
        table = table_of(0)
        FrontSide(0, table).answer_grpc(b"/p", b"message", 0, taken.append)
        table.fail({1}, held_requests.engine_ended(6))
        return taken

    (error,) = asyncio.run(run())
    assert isinstance(error, StatusError)
    assert error.code is Code.INTERNAL
    assert error.message == "The process that runs TensorFlow ended by SIGABRT while it ran this request."


def test_ages_are_known_by_numbers() -> None:
    ages = held_requests.Ages()
    assert [ages.last_older(float(second), 10 * second, 3) for second in range(7)] == [0, 0, 0, 0, 0, 10, 20]


@pytest.mark.parametrize(("fronts", "whole"), [(1, 1), (0, 5)])
def test_the_engine_of_fronts_reads_the_first_array_of_a_kind_alone(fronts: int, whole: int) -> None:
    """The plan in its response lets a front read those that follow; one process prepares none."""
    command = [sys.executable, "-m", "tests.support.modelserver.as_it_came", str(BUNDLED), str(fronts)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(printed) == [whole, [200] * 5]
