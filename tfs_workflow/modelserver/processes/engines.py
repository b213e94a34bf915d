"""The engines of a server: the one that serves, one that is to follow it, and one that finishes what it has in work.

Most of the time there is one. When it ends, another one is started in its place. A switch (SIGHUP) starts another one
beside it, with the flags as they are now; the fronts turn to that once it serves. One that does not come up leaves the
one before serving.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from typing import NamedTuple

from tfs_workflow.modelserver import flags, log
from tfs_workflow.modelserver.flags import Flags, UsageError
from tfs_workflow.modelserver.metrics.counts import ENGINE_REGIONS
from tfs_workflow.modelserver.processes import control, family, notes_file
from tfs_workflow.modelserver.processes.family import Child, EngineChild, Kept, SharedMemory
from tfs_workflow.modelserver.processes.restarts import Restarts

_SERVER = "model_servers/server.cc"
# What a kernel may end the process by; a kill from outside says nothing about the request that ran.
_CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class CommandLine(NamedTuple):
    """The flags that the server started with, and the arguments behind them, without and with those of --flagfile."""

    flags: Flags
    given: Sequence[str]
    arguments: Sequence[str]


class Events(NamedTuple):
    """What the parent does: an engine serves; none will, and the server is to end with this exit code."""

    on_available: Callable[[], None]
    on_given_up: Callable[[int], None]


class Engines:
    """Starts them, tells `fronts` which to talk to, and replaces what ends."""

    def __init__(
        self,
        command: CommandLine,
        shared: SharedMemory,
        fronts: Callable[[], Iterable[Child]],
        selector: selectors.BaseSelector,
        events: Events,
    ) -> None:
        self._command = command
        self._arguments = command.arguments
        self._shared = shared
        self._fronts = fronts
        self._selector = selector
        self._events = events
        self._restarts = Restarts()
        self._refused: set[bytes] = set()
        self._kept_config = notes_file.unnamed()
        self._wants_switch = self._is_serving = False
        self.current: EngineChild | None = None
        self._next: EngineChild | None = None
        self._leaving: EngineChild | None = None
        # When the next engine is started in the place of one that has ended.
        self.start_s = inf

    def all(self) -> list[EngineChild]:
        """Those that run."""
        return [engine for engine in (self.current, self._next, self._leaving) if engine is not None]

    def start(self) -> None:
        """Start one in the place of that which has ended, if any."""
        self.start_s = inf
        self.current = self._started(self._arguments, self._kept_config)
        for front in self._fronts():
            family.connect(front, self.current)

    def _started(self, arguments: Sequence[str], kept_config: int) -> EngineChild:
        region = min(set(range(ENGINE_REGIONS)) - {engine.region for engine in self.all()})
        engine = EngineChild(arguments, self._refused, Kept(kept_config, self._shared.counts_file, region))
        self._selector.register(engine.child.commands.socket, selectors.EVENT_READ, lambda: self._on_word(engine))
        return engine

    def connect(self, front: Child) -> None:
        """Give a new front the engine that there is."""
        if self.current is not None:
            family.connect(front, self.current)
            if self.current.is_available:
                front.commands.send(control.SERVE)

    def _on_word(self, engine: EngineChild) -> None:
        """An engine has sent something, or closed its end."""
        command, _, _ = engine.child.commands.receive()
        if not command:
            self._selector.unregister(engine.child.commands.socket)
            return
        engine.is_available = self._is_serving = True
        if engine is self._next:
            self._turn(engine)
        self._adopt(engine)
        self._events.on_available()
        self._switch_if_wanted()

    # the switch

    def switch(self) -> None:
        """Start an engine with the flags as they are now; later, where another change is under way.

        One that is still loading has the flags of before, and is given up.
        """
        if len(self.all()) > 1 or self.current is None or not self.current.is_available:
            self._wants_switch = True
            if self._next is not None:
                self._next.child.kill()
            return
        try:
            arguments = self._new_arguments()
        except UsageError as error:
            log.error(_SERVER, f"SIGHUP: {error} {control.STAYS}")
            return
        log.info(_SERVER, "SIGHUP: starting another engine with the flags as they are now.")
        # A start reads the files that the flags name; what a reload brought since then does not go before them.
        self._next = self._started(arguments, notes_file.unnamed())

    def _new_arguments(self) -> Sequence[str]:
        arguments = flags.expanded(self._command.given)
        parsed = flags.parse(arguments)
        changed = [f"--{name}" for name in flags.FIXED if parsed.values[name] != self._command.flags.values[name]]
        if changed:
            raise UsageError(f"{', '.join(changed)} cannot change while the server runs; restart it.")
        if not parsed.names_a_model:
            raise UsageError("No --model_base_path and no --model_config_file.")
        return arguments

    def _turn(self, engine: EngineChild) -> None:
        """Have the fronts talk to this one from now on, and the one before finish what it has."""
        log.info(_SERVER, control.TURNED)
        self._leaving, self.current, self._next = self.current, engine, None
        for front in self._fronts():
            family.connect(front, engine, control.TURN)
        if self._leaving is not None:
            self._leaving.child.commands.send(control.LEAVE)

    def _adopt(self, engine: EngineChild) -> None:
        """What this engine was started with holds for its successors."""
        self._arguments = engine.arguments
        before, self._kept_config = self._kept_config, engine.kept_config
        self._close_unused(before)

    def _switch_if_wanted(self) -> None:
        if self._wants_switch and len(self.all()) == 1:
            self._wants_switch = False
            self.switch()

    def give_up_switch(self) -> None:
        """The server is to end: no other engine is to serve."""
        self._wants_switch = False
        if self._next is not None:
            self._next.child.kill()

    # the end of one

    def ended(self, engine: EngineChild, code: int, is_ending: bool) -> None:
        """One has ended with this code, negative for a signal, while the whole server may be ending."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(engine.child.commands.socket)
        was_busy = engine.was_busy()
        if -code in _CRASHES:
            self._refused |= engine.kinds()
        if code:
            self._shared.count_end("engine", exit_code_of(code))
        if engine is self.current:
            self._current_ended(engine, code, was_busy, is_ending)
        elif engine is self._next:
            self._next = None
            if not is_ending:
                exit_code = exit_code_of(code)
                log.error(_SERVER, f"The new engine ended with exit code {exit_code} before it served. {control.STAYS}")
        else:
            self._leaving = None
            self._send(control.LEFT, max(-code, 0))
        self._close(engine)
        if not is_ending:
            self._switch_if_wanted()

    def _current_ended(self, engine: EngineChild, code: int, was_busy: bool, is_ending: bool) -> None:
        self.current = None
        self._send(control.ENDED, max(-code, 0))
        if is_ending:
            return
        self.current, self._next = self._next, None
        if self.current is None:
            self._replace(engine, code, was_busy)
            return
        log.error(_SERVER, f"The engine ended with exit code {exit_code_of(code)}; the new one is loading already.")
        for front in self._fronts():
            family.connect(front, self.current)

    def _replace(self, engine: EngineChild, code: int, was_busy: bool) -> None:
        exit_code = exit_code_of(code)
        # What a first engine refuses by itself, such as a wrong configuration, the next one would refuse, too.
        is_refusal = code >= 0 and not self._is_serving
        wait_s = None if is_refusal else self._restarts.wait_s(time.monotonic(), was_busy)
        if wait_s is None:
            self._events.on_given_up(exit_code)
            return
        doing = "answering requests" if was_busy else "idle" if engine.is_available else "loading"
        log.error(_SERVER, f"The engine ended with exit code {exit_code} while {doing}; starting it in {wait_s:g} s.")
        self.start_s = time.monotonic() + wait_s
        if wait_s:
            self._send(control.PAUSE)

    def _send(self, command: bytes, argument: int = 0) -> None:
        for front in self._fronts():
            front.commands.send(command, argument=argument)

    def _close(self, engine: EngineChild) -> None:
        engine.close()
        self._close_unused(engine.kept_config)

    def _close_unused(self, kept_config: int) -> None:
        if kept_config not in (self._kept_config, *[engine.kept_config for engine in self.all()]):
            os.close(kept_config)

    def stop(self) -> None:
        """No front is left: the end of their control sockets ends the engines."""
        for engine in self.all():
            with suppress(KeyError, ValueError):
                self._selector.unregister(engine.child.commands.socket)
            engine.child.commands.close()


def exit_code_of(code: int) -> int:
    """As a shell has it: 128 and the number of the signal."""
    return code if code >= 0 else 128 - code
