"""The parent: binds the sockets, starts engine and fronts, replaces what ends, and ends them all.

It does one thing at a time: it waits for a signal, the end of a child, a word from an engine, or a point in time. It
has no threads and imports little, so that it can fork and stays small.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from math import inf

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.access.access import access_of
from tfs_workflow.modelserver.flags import FAILED, Flags
from tfs_workflow.modelserver.net import announced, listeners
from tfs_workflow.modelserver.processes import control, family, heartbeat
from tfs_workflow.modelserver.processes.engines import CommandLine, Engines, Events, exit_code_of
from tfs_workflow.modelserver.processes.family import Child, FrontStart, SharedMemory, Signals
from tfs_workflow.modelserver.status_error import StatusError

_SERVER = "model_servers/server.cc"
# What a child gets to end by itself, beyond the time for requests in work.
_GRACE_S = 2.0


def run(flags: Flags, arguments: Sequence[str], given: Sequence[str]) -> int:
    """Serve with several processes until SIGTERM or SIGINT; returns the exit code.

    `given` is the command line, `arguments` the same with the lines of --flagfile.
    """
    flags.warn()
    try:
        return Parent(CommandLine(flags, given, arguments)).run()
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED


class Parent:
    """Watches over the processes of one server."""

    def __init__(self, command: CommandLine) -> None:
        self._flags = flags = command.flags
        self._access = access_of(flags)
        self._listeners = listeners.bind(flags)
        self._fronts: dict[int, Child] = {}
        self._fronts_started = 0
        self._shared = SharedMemory(flags.fronts)
        self._is_serving = self._is_announced = False
        self._exit_code: int | None = None
        # When what is left is killed, and when to look for signs of life.
        self._kill_s = inf
        self._look_s = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._engines = Engines(
            command, self._shared, self._fronts.values, self._selector, Events(self._on_available, self._end)
        )
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)
        Signals(numbers, self._selector, self._on_signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1,))

    def run(self) -> int:
        """Start the family and return its exit code once it has ended; raises StatusError where it cannot listen."""
        try:
            self._engines.start()
            for _ in range(self._flags.fronts):
                self._start_front()
            while self._exit_code is None or self._children():
                self._wait()
        finally:
            self._kill()
        return self._exit_code

    def _wait(self) -> None:
        until_s = min(self._engines.start_s, self._kill_s, self._look_s)
        for key, _ in self._selector.select(max(until_s - time.monotonic(), 0)):
            key.data()
        now_s = time.monotonic()
        if now_s >= self._engines.start_s:
            self._engines.start()
        if now_s >= self._kill_s:
            self._kill_s = inf
            self._kill()
        if now_s >= self._look_s:
            self._look_s = now_s + heartbeat.EVERY_S
            self._look()

    def _look(self) -> None:
        """Kill a child that hangs; what follows is as for any other end."""
        for child in self._children():
            if child.pulse.is_lost():
                what = "A front" if child.pid in self._fronts else "The engine"
                log.error(_SERVER, f"{what} has shown no sign of life for {heartbeat.MOST_STILL_LOOKS} s; killing it.")
                child.kill()

    # children

    def _children(self) -> list[Child]:
        return [*self._fronts.values(), *[engine.child for engine in self._engines.all()]]

    def _start_front(self) -> None:
        self._fronts_started += 1
        place = min(set(range(self._flags.fronts)) - {front.place for front in self._fronts.values()})
        birth = FrontStart(self._flags, self._access, self._listeners, self._shared, self._fronts_started, place)
        front = family.fork_front(birth, self._leave)
        self._fronts[front.pid] = front
        self._engines.connect(front)
        if self._is_announced:
            front.commands.send(control.ANNOUNCE)

    def _leave(self) -> None:
        """In a forked front: close what belongs to the parent."""
        self._selector.close()
        for front in self._fronts.values():
            front.commands.close()
        for engine in self._engines.all():
            engine.close()

    # events

    def _on_available(self) -> None:
        """An engine serves."""
        if not self._is_serving:
            self._is_serving = True
            self._listeners = self._listeners.listen()
        self._send_fronts(control.SERVE)

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._reap()
        if signal.SIGUSR1 in numbers and not self._is_announced:
            self._is_announced = True
            log.info(_SERVER, announced.LOGGED)
            self._send_fronts(control.ANNOUNCE)
        if self._exit_code is not None:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._end(0)
        elif signal.SIGHUP in numbers:
            self._engines.switch()

    def _reap(self) -> None:
        """Take note of every child that has ended; as the first process of a container of all others, too."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._ended(pid, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, code: int) -> None:
        if pid in self._fronts:
            self._front_ended(self._fronts.pop(pid), code)
        for engine in self._engines.all():
            if engine.child.pid == pid:
                self._engines.ended(engine, code, is_ending=self._exit_code is not None)
        if self._exit_code is not None and self._engines.current is None:
            # Nobody answers what is still in work.
            self._send_fronts(control.END)

    def _send_fronts(self, command: bytes) -> None:
        for front in self._fronts.values():
            front.commands.send(command)

    def _front_ended(self, front: Child, code: int) -> None:
        front.commands.close()
        if self._exit_code is None:
            if code == FAILED and not self._is_serving:
                self._end(code)
            else:
                self._shared.count_end("front", exit_code_of(code))
                log.error(_SERVER, f"A front ended with exit code {exit_code_of(code)}; another one is started.")
                self._start_front()
        elif not self._fronts and self._engines.all():
            # Nothing is in work any more.
            self._engines.stop()
            self._kill_s = time.monotonic() + _GRACE_S

    # the end

    def _end(self, code: int) -> None:
        """Finish what is in work, then end with this code; at once where nothing is served yet."""
        self._exit_code, self._engines.start_s = code, inf
        if not self._is_serving:
            self._kill()
            return
        log.info(_SERVER, "Ending: no new connections; requests in work are finished.")
        self._engines.give_up_switch()
        self._listeners.close()
        self._send_fronts(control.END)
        self._kill_s = time.monotonic() + self._flags.drain_seconds + _GRACE_S

    def _kill(self) -> None:
        for child in self._children():
            child.kill()
