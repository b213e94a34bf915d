"""A connection changes its phase only as the table says, and every line of the table occurs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tfs_workflow.modelserver.exchange import HttpApp, HttpReply, Request, Response
from tfs_workflow.modelserver.http.http_connection import HttpConnection
from tfs_workflow.modelserver.http.phases import TRANSITIONS, Phase
from tfs_workflow.modelserver.net.connections import ConnectionLimits, Connections

GET = b"GET /a HTTP/1.1\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
Change = tuple[Phase, Phase]
# What the client or the server does to a connection that has a request in work, or none.
Act = Callable[["Recording"], None]


class Recording(HttpConnection):
    """A connection that writes down its changes of phase."""

    __slots__ = ("_current", "changes")

    def __init__(self, connections: Connections[HttpApp]) -> None:
        self.changes: list[Change] = []
        self._current = Phase.IDLE
        super().__init__(connections)

    @property
    def _phase(self) -> Phase:
        return self._current

    @_phase.setter
    def _phase(self, phase: Phase) -> None:
        if phase is not self._current:
            self.changes.append((self._current, phase))
        self._current = phase


class Discard(asyncio.Transport):
    """Takes what is written, from a connection that needs no socket for its phases."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def received(content: bytes) -> Act:
    return lambda connection: connection.data_received(content)


def lost(connection: Recording) -> None:
    connection.connection_lost(None)


def expired(connection: Recording) -> None:
    connection.expire()


def ended(connection: Recording) -> None:
    connection.end()


IGNORED = (received(POST), ended, expired, lost)
CASES: dict[str, Sequence[Act]] = {
    "a request": [received(GET)],
    "two in one piece": [received(POST + POST)],
    "a byte at a time": [received(bytes([byte])) for byte in POST + GET],
    "the last head again": [received(POST), received(POST)],
    "nonsense": [received(b"\x00\xff"), *IGNORED],
    "nonsense after a request": [received(POST + b"\x00\xff"), *IGNORED],
    "an unknown method behind a request": [received(POST + b"PROPFIND /a HTTP/1.1\r\n\r\n" + POST), *IGNORED],
    "a body that is too large": [received(b"POST /a HTTP/1.1\r\nContent-Length: 99999\r\n\r\n"), *IGNORED],
    "a malformed chunk": [received(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), *IGNORED],
    "an upgrade": [received(b"GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + POST)],
    "a tunnel": [received(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), *IGNORED],
    "a last request": [received(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"), *IGNORED],
    "slow in its head": [received(GET[:5]), expired, *IGNORED],
    "slow in its body": [received(POST[:-1]), expired, *IGNORED],
    "lost while idle": [lost],
    "lost in its head": [received(GET[:5]), lost],
    "lost in its body": [received(POST[:-1]), lost],
    "the server ends": [ended, *IGNORED],
    "the server ends in a head": [received(GET[:5]), ended, received(GET[5:]), *IGNORED],
}


def changes(acts: Sequence[Act], answers_at_once: bool) -> list[Change]:
    """The changes of phase of a connection; responses come at once, or after everything else."""

    async def exchange() -> list[Change]:
        replies: list[HttpReply] = []

        def app(_: Request, reply: HttpReply) -> None:
            if answers_at_once:
                reply(Response(200, b"{}"))
            else:
                replies.append(reply)

        connection = Recording(Connections(Recording, app, ConnectionLimits(max_body_bytes=1000)))
        connection.connection_made(Discard())
        for act in acts:
            act(connection)
        while replies:
            replies.pop()(Response(200, [b"{", b"}"]))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return connection.changes

    return asyncio.run(exchange())


@pytest.mark.parametrize("answers_at_once", [True, False])
@pytest.mark.parametrize("acts", CASES.values(), ids=CASES.keys())
def test_no_change_is_outside_the_table(acts: Sequence[Act], answers_at_once: bool) -> None:
    assert [(old, new) for old, new in changes(acts, answers_at_once) if new not in TRANSITIONS[old]] == []


def test_every_change_of_the_table_occurs() -> None:
    seen = {change for acts in CASES.values() for at_once in (True, False) for change in changes(acts, at_once)}
    assert seen == {(old, new) for old, following in TRANSITIONS.items() for new in following}
