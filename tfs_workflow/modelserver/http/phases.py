"""The phases of an HTTP/1.1 connection, by what the client is sending.

A connection reads and writes at the same time: with pipelining a client sends its next requests while the response to
the first is computed. The writing side is simple, since responses go out one after another: a request is in work, or
none is. The reading side decides more. Its phase selects the deadline, how malformed bytes are answered, whether a slow
client gets an error page or is cut off, and whether input is parsed at all. Booleans for these (started, in its body,
rejected, closes) have sixteen combinations, of which five can occur. As in h11 each of the five has a name, and what
may follow on it is written down:

              first byte         blank line         last byte
        IDLE ------------> HEAD ------------> BODY ------------> IDLE
          |                  |                  |
          |   an error page, or a response with "Connection: close"
          +------------------+------------------+
                             |
                             v      it is written
                           LAST ------------------> CLOSED

LAST ignores all input, so that one error page at most is sent. A response in work is still written before that page.
CLOSED follows at once where nothing is in work, and from every phase when the client goes. Whether the client takes
what is written is not a phase, since that changes in each of them: asyncio reports it (`pause_writing`).

The connection assigns phases directly, as a call for each change would cost every request; a test compares its changes
with this table (tests/modelserver/http/test_phases.py).
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What the client is sending."""

    # Nothing: no byte of the next request has come.
    IDLE = auto()
    # The request line and the headers.
    HEAD = auto()
    # The body of the request.
    BODY = auto()
    # Ignored input: the last response, or an error page, is to be written.
    LAST = auto()
    # Ignored input: the sending side of the connection has ended.
    CLOSED = auto()


# For the test and for readers; the connection itself does not look into it.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    Phase.IDLE: frozenset({Phase.HEAD, Phase.LAST, Phase.CLOSED}),
    Phase.HEAD: frozenset({Phase.BODY, Phase.LAST, Phase.CLOSED}),
    Phase.BODY: frozenset({Phase.IDLE, Phase.LAST, Phase.CLOSED}),
    Phase.LAST: frozenset({Phase.CLOSED}),
    Phase.CLOSED: frozenset(),
}

# As module constants, since Python looks up a member of an Enum more slowly.
IDLE, HEAD, BODY, LAST, CLOSED = Phase
