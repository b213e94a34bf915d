"""A load generator as its parent sees it: started with its orders, heard line by line, told to stop."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic

from tfs_workflow.errors import ToolMissingError
from tfs_workflow.quality.bench.generator.orders import Ending, Orders, Report, read_line

_READ_BYTES = 2**16


class GeneratorProcess:
    """A running generator."""

    def __init__(self, orders: Orders) -> None:
        # In a session of its own: Ctrl-C is ours, and its last words are still wanted.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tfs_workflow.quality.bench.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise ToolMissingError("a process without pipes", where="bench")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._rest = b""
        with suppress(BrokenPipeError):  # it has ended: its end is read next
            self._stdin.write(orders.text().encode() + b"\n")
            self._stdin.flush()

    def fileno(self) -> int:
        """The number to wait for."""
        return self._stdout.fileno()

    def heard(self) -> list[Report | Ending] | None:
        """The whole lines that it has said since the last call; None at its end."""
        data = os.read(self.fileno(), _READ_BYTES)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [read_line(line.decode()) for line in lines]

    def stop(self) -> None:
        """Tell it to stop; it says its last words."""
        with suppress(OSError):
            self._stdin.close()

    def end(self) -> None:
        """End it, whatever it does."""
        self.stop()
        self._process.kill()
        self._process.wait()
        self._stdout.close()


@contextmanager
def started(shares: Sequence[Orders]) -> Iterator[list[GeneratorProcess]]:
    """A generator for each share of a load, and none afterwards."""
    with ExitStack() as stack:
        generators = []
        for orders in shares:
            generators.append(GeneratorProcess(orders))
            stack.callback(generators[-1].end)
        yield generators


def heard_of(generators: Sequence[GeneratorProcess], timeout_s: float | None = None) -> Iterator[Report | Ending]:
    """What the generators say, until each has ended or the time is over."""
    end_s = None if timeout_s is None else monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for generator in generators:
            selector.register(generator, selectors.EVENT_READ, generator)
        while selector.get_map():
            left_s = None if end_s is None else end_s - monotonic()
            ready = selector.select(left_s) if left_s is None or left_s > 0 else []
            if not ready:
                return
            for key, _ in ready:
                said = key.data.heard()
                yield from said or ()
                if said is None:
                    selector.unregister(key.data)
