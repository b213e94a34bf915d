"""The parent: binds the sockets, starts engine and fronts, replaces what ends, and ends them all.

It does one thing at a time: it waits for a signal, the end of a child, a word from the engine, or a point in time. It
has no threads and imports little, so that it can fork and stays small.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from tfs_workflow.modelserver import listeners, log
from tfs_workflow.modelserver.flags import FAILED, Flags
from tfs_workflow.modelserver.processes import control
from tfs_workflow.modelserver.processes.control import Control
from tfs_workflow.modelserver.status_error import StatusError

_SERVER = "model_servers/server.cc"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
# What a child gets to end by itself, beyond the time for requests in work.
_GRACE_S = 2.0


def run(flags: Flags, arguments: Sequence[str]) -> int:
    """Serve with several processes until SIGTERM or SIGINT; returns the exit code."""
    flags.warn()
    try:
        return Parent(flags, arguments).run()
    except StatusError as error:
        log.error("model_servers/main.cc", f"Failed to start server. Error: {error}")
        return FAILED


class _Child:
    """A process of the family, and the parent's end of its control socket."""

    def __init__(self, pid: int, commands: Control) -> None:
        self.pid = pid
        self.commands = commands


class Parent:
    """The family of processes of one server."""

    def __init__(self, flags: Flags, arguments: Sequence[str]) -> None:
        self._flags = flags
        self._arguments = arguments
        self._listeners = listeners.bind(flags)
        self._engine: _Child | None = None
        self._fronts: dict[int, _Child] = {}
        self._is_serving = False
        self._exit_code: int | None = None
        self._end_s = float("inf")
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()

    def run(self) -> int:
        """Start the family and return its exit code once it has ended; raises StatusError where it cannot listen."""
        for end in (self._woken, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signal)
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
        wait_s = self._end_s - time.monotonic()
        for key, _ in self._selector.select(None if wait_s == float("inf") else max(wait_s, 0)):
            key.data()
        if time.monotonic() >= self._end_s:
            self._kill()
            self._end_s = float("inf")

    # children

    def _start_engine(self) -> None:
        ours, theirs = control.pair()
        os.set_inheritable(theirs.socket.fileno(), True)
        module = "tfs_workflow.modelserver.processes.engine_process"
        command = [sys.executable, "-m", module, str(theirs.socket.fileno()), *self._arguments]
        # Blocked until the child ignores them.
        pid = os.posix_spawn(sys.executable, command, os.environ, setsigmask=_SIGNALS[:2])
        theirs.close()
        self._engine = _Child(pid, ours)
        self._selector.register(ours.socket, selectors.EVENT_READ, self._on_word)
        for front in self._fronts.values():
            self._connect(front)

    def _start_front(self) -> None:
        ours, theirs = control.pair()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS[:2])
        pid = os.fork()
        if not pid:
            self._become_front(theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS[:2])
        theirs.close()
        self._fronts[pid] = front = _Child(pid, ours)
        self._connect(front)
        if self._is_serving:
            ours.send(control.SERVE)

    def _become_front(self, commands: Control) -> None:
        code = FAILED
        try:
            self._selector.close()
            for inherited in (*self._fronts.values(), *([self._engine] if self._engine else [])):
                inherited.commands.close()
            from tfs_workflow.modelserver.processes import front_process  # noqa: PLC0415  # the parent stays small

            code = front_process.run(self._flags, self._listeners, commands)
        finally:
            os._exit(code)

    def _connect(self, front: _Child) -> None:
        """Give a front and the engine the ends of two new sockets."""
        if self._engine is None:
            return
        pairs = [socket.socketpair() for _ in range(2)]
        front.commands.send(control.ENGINE, *(one for one, _ in pairs))
        self._engine.commands.send(control.FRONT, *(other for _, other in pairs))
        for end in (end for pair in pairs for end in pair):
            end.close()

    # events

    def _on_word(self) -> None:
        """The engine has sent something, or closed its end."""
        if self._engine is None:
            return
        command, _ = self._engine.commands.receive()
        if not command:
            self._selector.unregister(self._engine.commands.socket)
        elif not self._is_serving:
            self._is_serving = True
            self._listeners = self._listeners.listen()
            for front in self._fronts.values():
                front.commands.send(control.SERVE)

    def _on_signal(self) -> None:
        numbers = self._woken.recv(4096)
        if signal.SIGCHLD in numbers:
            self._reap()
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
                if self._engine is not None and pid == self._engine.pid:
                    self._engine_ended(code)
                elif pid in self._fronts:
                    self._front_ended(self._fronts.pop(pid), code)

    def _engine_ended(self, code: int) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(engine.commands.socket)
            engine.commands.close()
        if self._exit_code is None:
            self._end(code if code >= 0 else 128 - code)

    def _front_ended(self, front: _Child, code: int) -> None:
        front.commands.close()
        if self._exit_code is None:
            if code == FAILED and not self._is_serving:
                self._end(code)
            else:
                self._start_front()
        elif not self._fronts and self._engine is not None:
            # Nothing is in work any more: the end of its control socket ends the engine.
            self._selector.unregister(self._engine.commands.socket)
            self._engine.commands.close()
            self._end_s = time.monotonic() + _GRACE_S

    def _end(self, code: int) -> None:
        """Finish what is in work, then end with this code; at once where nothing is served yet."""
        self._exit_code = code
        if not self._is_serving:
            self._kill()
            return
        log.info(_SERVER, "Ending: no new requests; those in work are finished.")
        self._listeners.close()
        for front in self._fronts.values():
            front.commands.send(control.END)
        self._end_s = time.monotonic() + self._flags.drain_seconds + _GRACE_S

    def _kill(self) -> None:
        for child in (*self._fronts.values(), *([self._engine] if self._engine else [])):
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
