"""Ctrl-C and SIGTERM at whatever a verb does: it ends, with 130 or 143, without a traceback, and nothing is left."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.chain import NEVER_READY
from tests.support.command import CommandLine
from tests.support.faults import running, servers
from tests.support.waiting import until

HANGS_S = 30  # a bound on hanging, no measure of speed: benchmarks/interrupts.py measures
ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
Busy = Callable[[CommandLine], Iterator[subprocess.Popen[str]]]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine.in_directory(tmp_path, runtime="embedded")
    yield line
    line.config["server"].pop("flags", None)
    line.run("teardown", "--purge")
    assert servers(line) == []


def ended(process: subprocess.Popen[str], *numbers: int) -> tuple[int, str]:
    """Exit code and messages of a process that is sent these signals at once."""
    for number in numbers:
        process.send_signal(number)
    _, message = process.communicate(timeout=HANGS_S)
    assert "Traceback" not in message
    assert "Exception ignored" not in message
    return process.returncode, message


def left_over(lab: CommandLine) -> list[str]:
    """Temporary files and directories in the workspace and beside the YAML."""
    staged = list((lab.workspace / "staging").glob("*"))
    return [str(path) for path in [*staged, *lab.directory.rglob(".*.tmp")]]


def waiting_for_the_lock(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve, while another verb has the workspace."""
    lab.ok("setup")
    with (lab.workspace / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = lab.start("serve")
        assert process.stderr
        assert "waiting for another verb" in process.stderr.readline()
        yield process


def waiting_for_the_server(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """serve, while the model is not AVAILABLE."""
    lab.ok("setup")
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("serve")
    until(lambda: running(lab), process)
    yield process


def demonstrating(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """demo, while it serves: its teardown must still come."""
    lab.config["server"]["flags"] = NEVER_READY
    process = lab.start("demo")
    until(lambda: running(lab), process)
    yield process


def streaming(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """predict, in the middle of rows that do not end."""
    lab.ok("setup", "serve")
    rows = lab.directory / "rows.jsonl"
    os.mkfifo(rows)
    process = lab.start("predict", "--input", str(rows), "--output", str(lab.directory / "out.jsonl"))
    with rows.open("w") as feed:
        feed.write("1.0\n" * 10_000)
        feed.flush()
        until((lab.directory / "out.jsonl.partial").exists, process)
        yield process
    assert not (lab.directory / "out.jsonl").exists()


def following_the_log(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """logs --follow; the server goes on."""
    lab.ok("setup", "serve")
    process = lab.start("logs", "--follow")
    assert process.stdout
    assert process.stdout.readline()
    yield process
    lab.ok("predict")


def asking_an_engine_that_is_silent(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """doctor, while the engine does not answer."""
    yield from before_a_silent_engine(lab, "doctor")


def pulling_from_an_engine_that_is_silent(lab: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """setup, while the engine does not answer."""
    yield from before_a_silent_engine(lab, "setup")


def before_a_silent_engine(lab: CommandLine, verb: str) -> Iterator[subprocess.Popen[str]]:
    lab.config["runtime"] = "docker"
    with silent_engine(lab) as engine:
        process = lab.start(verb)
        with engine.accept()[0]:
            yield process
    lab.config["runtime"] = "embedded"


@contextmanager
def silent_engine(lab: CommandLine) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as engine:
        path = str(lab.directory / "engine.sock")
        engine.bind(path)
        engine.listen()
        engine.settimeout(HANGS_S)
        lab.environment["DOCKER_HOST"] = f"unix://{path}"
        yield engine
        del lab.environment["DOCKER_HOST"]


BUSY = [
    waiting_for_the_lock,
    waiting_for_the_server,
    demonstrating,
    streaming,
    following_the_log,
    asking_an_engine_that_is_silent,
    pulling_from_an_engine_that_is_silent,
]


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
