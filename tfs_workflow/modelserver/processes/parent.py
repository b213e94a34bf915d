"""The parent: binds the sockets, starts engine and fronts, replaces what ends, and ends them all.

It does one thing at a time: it waits for a signal, the end of a child, a word from the engine, or a point in time. It
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
from tfs_workflow.modelserver.metrics.counts import ENDS, PARENT_REGION
from tfs_workflow.modelserver.net import announced, listeners
from tfs_workflow.modelserver.processes import control, family, heartbeat, notes_file
from tfs_workflow.modelserver.processes.family import Child, EngineChild, FrontStart, Kept, SharedMemory, Signals
from tfs_workflow.modelserver.processes.restarts import Restarts
from tfs_workflow.modelserver.status_error import StatusError

_SERVER = "model_servers/server.cc"
# What a child gets to end by itself, beyond the time for requests in work.
_GRACE_S = 2.0
# What a kernel may end the process by; a kill from outside says nothing about the request that ran.
_CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def run(flags: Flags, arguments: Sequence[str]) -> int:
    """Serve with several processes until SIGTERM or SIGINT; returns the exit code."""
    flags.warn()
    try:
        return Parent(flags, arguments).run()
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED


class Parent:
    """Watches over the processes of one server."""

    def __init__(self, flags: Flags, arguments: Sequence[str]) -> None:
        self._flags = flags
        self._arguments = arguments
        self._access = access_of(flags)
        self._listeners = listeners.bind(flags)
        self._engine: EngineChild | None = None
        self._fronts: dict[int, Child] = {}
        self._fronts_started = 0
        self._shared = SharedMemory(flags.fronts)
        self._ends = self._shared.counts.of(PARENT_REGION)
        self._restarts = Restarts()
        self._refused: set[bytes] = set()
        self._kept_config = notes_file.unnamed()
        self._is_serving = self._is_announced = False
        self._exit_code: int | None = None
        # When the next engine is started, and when what is left is killed.
        self._start_s = self._kill_s = inf
        self._look_s = time.monotonic()
        self._selector = selectors.DefaultSelector()
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)
        Signals(numbers, self._selector, self._on_signals)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR1,))

    def run(self) -> int:
        """Start the family and return its exit code once it has ended; raises StatusError where it cannot listen."""
        try:
            self._start_engine()
            for _ in range(self._flags.fronts):
                self._start_front()
            while self._exit_code is None or self._engine or self._fronts:
                self._wait()
        finally:
            self._kill()
        return self._exit_code

    def _wait(self) -> None:
        until_s = min(self._start_s, self._kill_s, self._look_s)
        for key, _ in self._selector.select(max(until_s - time.monotonic(), 0)):
            key.data()
        now_s = time.monotonic()
        if now_s >= self._start_s:
            self._start_s = inf
            self._start_engine()
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
                what = "The engine" if self._engine is not None and child is self._engine.child else "A front"
                log.error(_SERVER, f"{what} has shown no sign of life for {heartbeat.MOST_STILL_LOOKS} s; killing it.")
                child.kill()

    # children

    def _children(self) -> list[Child]:
        return [*self._fronts.values(), *([self._engine.child] if self._engine else [])]

    def _start_engine(self) -> None:
        self._engine = engine = EngineChild(
            self._arguments, self._refused, Kept(self._kept_config, self._shared.counts_file, region=0)
        )
        self._selector.register(engine.child.commands.socket, selectors.EVENT_READ, self._on_word)
        for front in self._fronts.values():
            family.connect(front, engine)

    def _start_front(self) -> None:
        self._fronts_started += 1
        place = min(set(range(self._flags.fronts)) - {front.place for front in self._fronts.values()})
        birth = FrontStart(self._flags, self._access, self._listeners, self._shared, self._fronts_started, place)
        front = family.fork_front(birth, self._leave)
        self._fronts[front.pid] = front
        if self._engine is not None:
            family.connect(front, self._engine)
        if self._is_serving and self._engine is not None and self._engine.is_available:
            front.commands.send(control.SERVE)
        if self._is_announced:
            front.commands.send(control.ANNOUNCE)

    def _leave(self) -> None:
        """In a forked front: close what belongs to the parent."""
        self._selector.close()
        for front in self._fronts.values():
            front.commands.close()
        if self._engine is not None:
            self._engine.close()

    # events

    def _on_word(self) -> None:
        """The engine has sent something, or closed its end."""
        engine = self._engine
        if engine is None:
            return
        command, _, _ = engine.child.commands.receive()
        if not command:
            self._selector.unregister(engine.child.commands.socket)
            return
        engine.is_available = True
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
        if (signal.SIGTERM in numbers or signal.SIGINT in numbers) and self._exit_code is None:
            self._end(0)

    def _reap(self) -> None:
        """Take note of every child that has ended; as the first process of a container of all others, too."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                code = os.waitstatus_to_exitcode(status)
                if self._engine is not None and pid == self._engine.child.pid:
                    self._engine_ended(self._engine, code)
                elif pid in self._fronts:
                    self._front_ended(self._fronts.pop(pid), code)

    def _engine_ended(self, engine: EngineChild, code: int) -> None:
        self._engine = None
        with suppress(KeyError, ValueError):
            self._selector.unregister(engine.child.commands.socket)
        was_busy = engine.was_busy()
        if -code in _CRASHES:
            self._refused |= engine.kinds()
        engine.close()
        for front in self._fronts.values():
            front.commands.send(control.ENDED, argument=max(-code, 0))
        if self._exit_code is None:
            self._replace(engine, code, was_busy)
        else:
            # Nobody answers what is still in work.
            self._send_fronts(control.END)

    def _replace(self, engine: EngineChild, code: int, was_busy: bool) -> None:
        exit_code = _exit_code(code)
        self._ends.add(ENDS, "engine", str(exit_code))
        # What a first engine refuses by itself, such as a wrong configuration, the next one would refuse, too.
        is_refusal = code >= 0 and not self._is_serving
        wait_s = None if is_refusal else self._restarts.wait_s(time.monotonic(), was_busy)
        if wait_s is None:
            self._end(exit_code)
            return
        doing = "answering requests" if was_busy else "idle" if engine.is_available else "loading"
        log.error(_SERVER, f"The engine ended with exit code {exit_code} while {doing}; starting it in {wait_s:g} s.")
        self._start_s = time.monotonic() + wait_s
        if wait_s:
            self._send_fronts(control.PAUSE)

    def _send_fronts(self, command: bytes) -> None:
        for front in self._fronts.values():
            front.commands.send(command)

    def _front_ended(self, front: Child, code: int) -> None:
        front.commands.close()
        if self._exit_code is None:
            if code == FAILED and not self._is_serving:
                self._end(code)
            else:
                self._ends.add(ENDS, "front", str(_exit_code(code)))
                log.error(_SERVER, f"A front ended with exit code {_exit_code(code)}; another one is started.")
                self._start_front()
        elif not self._fronts and self._engine is not None:
            # Nothing is in work any more: the end of its control socket ends the engine.
            with suppress(KeyError, ValueError):
                self._selector.unregister(self._engine.child.commands.socket)
            self._engine.child.commands.close()
            self._kill_s = time.monotonic() + _GRACE_S

    # the end

    def _end(self, code: int) -> None:
        """Finish what is in work, then end with this code; at once where nothing is served yet."""
        self._exit_code, self._start_s = code, inf
        if not self._is_serving:
            self._kill()
            return
        log.info(_SERVER, "Ending: no new connections; requests in work are finished.")
        self._listeners.close()
        self._send_fronts(control.END)
        self._kill_s = time.monotonic() + self._flags.drain_seconds + _GRACE_S

    def _kill(self) -> None:
        for child in self._children():
            child.kill()


def _exit_code(code: int) -> int:
    """As a shell has it: 128 and the number of the signal."""
    return code if code >= 0 else 128 - code
