"""Gives a running embedded server other flags: another engine loads beside the one that serves (decision 0018).

What another engine may change stands in a file beside the models' configuration, the rest on the command line. SIGHUP
has the server read the file again, and its log says what came of it. No connection is closed, and no request fails.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil

from tfs_workflow.errors import ServerNotReadyError
from tfs_workflow.modelserver.flags import FIXED
from tfs_workflow.modelserver.processes.control import STAYS, TURNED
from tfs_workflow.runtimes.spec import restored_config_files

FLAG_FILE = "flags"
_POLL_INTERVAL_S = 0.05


class EngineEndedError(ServerNotReadyError):
    """The other engine has ended before it served; the server goes on with the one that it has."""


def divided(flags: Sequence[str], config_dir: Path) -> tuple[list[str], dict[str, str]]:
    """The flags of the command line, and the file with the others by its name."""
    lines = [flag for flag in flags if not _is_fixed(flag)]
    fixed = [flag for flag in flags if _is_fixed(flag)]
    return [*fixed, f"--flagfile={config_dir / FLAG_FILE}"], {FLAG_FILE: "".join(f"{line}\n" for line in lines)}


def _is_fixed(flag: str) -> bool:
    """Whether another engine cannot change it, or a line cannot hold it."""
    return flag.removeprefix("--").partition("=")[0] in FIXED or "\n" in flag or flag != flag.strip()


def is_switchable(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether another engine can have these flags in place of those before."""
    return not any(name in FIXED and before.get(name) != now.get(name) for name in before.keys() | now.keys())


@contextmanager
def taken_back(process: psutil.Process, config_dir: Path) -> Iterator[None]:
    """Where the block raises, restore the files, and have the server read them again if it may have read others."""
    try:
        with restored_config_files(config_dir):
            yield
    except EngineEndedError:
        raise
    except BaseException:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGHUP)
        raise


def wait_for_turn(log: TextIO, process: psutil.Process, timeout_s: float) -> None:
    """Return once the other engine serves; raises ServerNotReadyError. `log` stands where it was at SIGHUP."""
    end_s, seen = time.monotonic() + timeout_s, ""
    while time.monotonic() < end_s:
        seen += log.read()
        if TURNED in seen:
            return
        if refused := [line for line in seen.splitlines() if STAYS in line]:
            raise EngineEndedError("the other engine did not come up", evidence=refused[-1])
        if not process.is_running():
            raise ServerNotReadyError("the server ended while another engine was loading")
        time.sleep(_POLL_INTERVAL_S)
    raise ServerNotReadyError(f"the other engine does not serve after {timeout_s:g} s")
