"""A client of its own process that sends predictions one after another until its stdin is closed.

    python -m tests.support.load REST_URL PATH...

Every tenth request opens a new connection; the others keep one. It prints one JSON document at its end: the number of
requests that were answered, every failure as text, and the longest time without an answer around a failure.
"""

from __future__ import annotations

import http.client
import itertools
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

BODY = b'{"instances": [1.0, 2.0, 5.0]}'
ANSWER = [2.5, 3.0, 4.5]


@dataclass
class Load:
    """What the client counted; filled in when the block of `load_on` ends.

    `gap_s` are the seconds from the last answer before a failure to the next answer, 0 without a failure.
    """

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    gap_s: float = 0


@contextmanager
def load_on(rest_url: str, *paths: str) -> Iterator[Load]:
    """Send predictions to these paths, such as /v1/models/m:predict, while the block runs."""
    argv = [sys.executable, "-m", "tests.support.load", rest_url, *paths]
    client = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    load = Load()
    assert client.stdout is not None
    try:
        client.stdout.readline()  # the first answer
        yield load
    finally:
        printed, _ = client.communicate(timeout=60)
    vars(load).update(json.loads(printed))


def _sent(connection: http.client.HTTPConnection, path: str) -> str:
    """The failure of one request; empty when it was answered."""
    try:
        connection.request("POST", path, BODY)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"{path}: {type(error).__name__}: {error}"
    return "" if answer.status == 200 and json.loads(content) == {"predictions": ANSWER} else f"{path}: {content!r}"


def main(rest_url: str, paths: Sequence[str]) -> int:
    """Send until stdin is closed."""
    load, answered_s, has_failed = Load(), time.monotonic(), False
    connection = http.client.HTTPConnection(urlsplit(rest_url).netloc, timeout=10)
    for number, path in enumerate(itertools.cycle(paths)):
        if number % 10 == 0:
            connection.close()
        if failure := _sent(connection, path):
            load.failures.append(failure)
            has_failed = True
        else:
            now_s = time.monotonic()
            load.gap_s = max(load.gap_s, now_s - answered_s) if has_failed else load.gap_s
            load.answered, answered_s, has_failed = load.answered + 1, now_s, False
        if number == 0:
            print("sending", flush=True)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    print(json.dumps(asdict(load)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
