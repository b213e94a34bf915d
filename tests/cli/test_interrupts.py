"""Ctrl-C and SIGTERM at whatever a verb does: it ends, with 130 or 143, without a traceback, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.busy_verbs import (
    BUSY,
    ENDINGS,
    Busy,
    demonstrating,
    ended,
    left_over,
    streaming,
    waiting_for_the_lock,
    waiting_for_the_server,
)
from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.waiting import until


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.config["server"].pop("flags", None)
    line.run("teardown", "--purge")
    assert servers(line) == []


@pytest.mark.parametrize(("number", "exit_code"), ENDINGS, ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("busy", BUSY, ids=lambda busy: busy.__name__)
def test_a_busy_verb_ends_and_leaves_nothing(lab: CommandLine, busy: Busy, number: int, exit_code: int) -> None:
    with contextmanager(busy)(lab) as process:
        code, _ = ended(process, number)
        assert code == exit_code
        assert left_over(lab) == []
    if busy in (waiting_for_the_lock, waiting_for_the_server, demonstrating):
        assert servers(lab) == []


def test_a_prediction_that_is_killed_leaves_no_half_file(lab: CommandLine) -> None:
    with contextmanager(streaming)(lab) as process:
        assert ended(process, signal.SIGKILL)[0] == -signal.SIGKILL
        assert left_over(lab) == []


@pytest.mark.parametrize("busy", [waiting_for_the_server, demonstrating, streaming], ids=lambda busy: busy.__name__)
@pytest.mark.parametrize("numbers", [(2, 2), (2, 2, 2, 15, 2), (15, 2, 15)], ids=str)
def test_signals_again_and_again_do_not_disturb_the_clean_up(
    lab: CommandLine, busy: Busy, numbers: tuple[int, ...]
) -> None:
    with contextmanager(busy)(lab) as process:
        code, _ = ended(process, *numbers)
        # Those that come together are told to a process in the order of their numbers, whatever was sent first.
        assert code in (130, 143)
        assert left_over(lab) == []
        assert busy is streaming or servers(lab) == []


@pytest.mark.parametrize(("numbers", "codes"), [((2,), {0}), ((2, 2, 2), {0}), ((15,), {143}), ((15, 2), {0, 143})])
def test_a_followed_server_is_torn_down_however_often_it_is_asked(
    lab: CommandLine, numbers: tuple[int, ...], codes: set[int]
) -> None:
    lab.ok("setup")
    process = lab.start("serve", "--follow")
    assert process.stdout
    while "Exporting HTTP/REST API" not in process.stdout.readline():
        assert process.poll() is None
    code, _ = ended(process, *numbers)
    assert code in codes
    assert servers(lab) == []


@pytest.mark.parametrize(("number", "exit_code"), ENDINGS, ids=["SIGINT", "SIGTERM"])
def test_a_teardown_that_waits_for_its_server_can_be_repeated(lab: CommandLine, number: int, exit_code: int) -> None:
    lab.ok("setup", "serve")
    (server,) = servers(lab)
    os.kill(int(server.id), signal.SIGSTOP)
    process = lab.start("teardown")
    until(lambda: (lab.workspace / ".lock").read_text() == str(process.pid), process)
    assert ended(process, number)[0] == exit_code
    os.kill(int(server.id), signal.SIGCONT)
    lab.ok("teardown")
    assert servers(lab) == []


def is_armed(process: subprocess.Popen[str]) -> bool:
    """Whether the process catches SIGTERM already; Python itself needs a moment before any of our code can."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught & 1 << signal.SIGTERM - 1)


@pytest.mark.parametrize(("number", "exit_code"), ENDINGS, ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "verb", ["setup", "serve", "predict", "describe", "status", "logs", "teardown", "doctor", "demo", "config.check"]
)
def test_a_verb_that_has_just_begun(lab: CommandLine, verb: str, number: int, exit_code: int) -> None:
    """Its YAML is a pipe that nobody writes to: a verb that only looks would else be done before the signal comes."""
    argv = lab.argv(verb)
    pipe = lab.directory / "tfs.yaml"
    pipe.unlink()
    os.mkfifo(pipe)
    process = lab.launch(argv)
    until(lambda: is_armed(process), process)
    try:
        assert ended(process, number)[0] == exit_code
    finally:
        pipe.unlink()
    assert not lab.workspace.exists()


def test_a_clean_up_that_hangs_is_cut_short_and_says_so() -> None:
    program = (
        "import time\n"
        "from tfs_workflow.cli import signals\n"
        "signals.CLEAN_UP_S = 0.2\n"
        "with signals.interruptible():\n"
        "    try:\n"
        "        print('busy', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", program]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "busy\n"
    code, message = ended(process, signal.SIGTERM)
    assert code == 143
    assert "invoke teardown removes what may be left" in message


@pytest.mark.parametrize(("number", "exit_code"), ENDINGS, ids=["SIGINT", "SIGTERM"])
def test_a_signal_that_the_main_thread_sleeps_through_ends_it_all_the_same(number: int, exit_code: int) -> None:
    """One that another thread is given is noted, but the interpreter does not look before the read comes back."""
    program = (
        "import os, signal, threading, time\n"
        "from tfs_workflow.cli.command import reported_errors\n"
        "def lose():\n"
        "    time.sleep(0.2)\n"
        f"    signal.pthread_kill(threading.get_ident(), {number:d})\n"
        "with reported_errors():\n"
        "    threading.Thread(target=lose, daemon=True).start()\n"
        "    os.read(os.pipe()[0], 1)\n"
    )
    argv = [sys.executable, "-c", program]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert ended(process)[0] == exit_code


def test_the_next_verb_of_a_chain_can_be_interrupted_after_an_ordinary_end() -> None:
    program = (
        "import json, os, signal\n"
        "from tfs_workflow.cli.signals import interruptible\n"
        "seen = []\n"
        "for _ in range(2):\n"
        "    with interruptible():\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "        except KeyboardInterrupt:\n"
        "            seen.append('interrupted')\n"
        "print(json.dumps([seen, signal.getsignal(signal.SIGINT) is signal.default_int_handler]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [["interrupted", "interrupted"], True]
