"""bench from the command line, on the embedded server: what it prints, its verdicts, its files, and its ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.command import CommandLine
from tests.support.faults import servers
from tests.support.waiting import until
from tfs_workflow.runtimes.process.marks import PROJECT_VARIABLE

pytestmark = pytest.mark.slow
SHORT = ("--seconds", "0.5", "--warm-up", "0.2")


def line_in(directory: Path) -> CommandLine:
    line = CommandLine.in_directory(directory, runtime="embedded")
    line.config["server"]["metrics"] = True
    return line


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A server that serves for all tests; its YAML has no SLO."""
    line = line_in(tmp_path_factory.mktemp("bench"))
    line.ok("setup", "serve")
    yield line
    line.run("teardown", "--purge")
    assert servers(line) == []


@pytest.fixture
def own(tmp_path: Path) -> Iterator[CommandLine]:
    """A project that nothing serves."""
    line = line_in(tmp_path)
    yield line
    line.run("teardown", "--purge")
    assert servers(line) == []


def slo(**values: Any) -> dict[str, str]:
    """The environment that gives the model an SLO."""
    return {"TFS_MODELS__HALF_PLUS_TWO__SLO": json.dumps(values)}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_it_shows_every_load_with_the_use_of_the_server_and_its_own_counters(lab: CommandLine, transport: str) -> None:
    words = ("--connections", "1,4", "--rate", "50", "--transport", transport, "--rows", "8", *SHORT)
    shown = lab.ok_json("bench", *words)
    assert [(one["connections"], one["rate"]) for one in shown["points"]] == [(1, None), (4, None), (512, 50)]
    assert (shown["rows"], shown["transport"], shown["runtime"]) == (8, transport, "embedded")
    for one in shown["points"]:
        assert one["requests_per_s"] > 0
        assert one["p50_ms"] <= one["p90_ms"] <= one["p99_ms"] <= one["p999_ms"] <= one["max_ms"]
        assert (one["errors"], one["partial"]) == ({}, False)
        assert one["server"]["cores"] > 0 or one["rate"], "a few requests may take less than the clock's tick"
        assert one["server"]["memory_bytes"] > 10**7
        assert one["client"]["cores"] > 0
    # 25 of the half second, and at most 10 of the warm-up that were answered in it.
    assert shown["points"][2]["answered"] <= 35
    counted = sum(one["answered"] for one in shown["points"])
    (growth,) = [n for name, n in shown["server_metrics"].items() if "request_count" in name and '"OK"' in name]
    assert growth >= counted


def test_it_prints_a_table_for_people(lab: CommandLine) -> None:
    printed = lab.ok("bench", "--connections", "2", *SHORT).splitlines()
    assert printed[0] == "half_plus_two newest, embedded, rest, 3 rows a request"
    assert printed[1].split()[:6] == ["load", "requests/s", "p50", "p90", "p99", "p99.9"]
    assert printed[2].startswith("2 connections  ")
    assert any(line.startswith("server's own count: ") for line in printed)


def test_a_server_is_started_for_it_and_torn_down_again(own: CommandLine) -> None:
    done = own.run("bench", "--connections", "1", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "no server runs: one is started, and removed afterwards" in done.stderr
    assert servers(own) == []


def test_a_server_that_serves_goes_on_serving(lab: CommandLine) -> None:
    lab.ok("bench", "--connections", "1", *SHORT)
    assert lab.ok("predict").strip() == "[2.5, 3.0, 4.5]"


def test_rows_come_from_a_file_and_a_signature_can_be_named(lab: CommandLine) -> None:
    (lab.directory / "rows.jsonl").write_text("1.0\n2.0\n3.0\n")
    words = ("--connections", "1", "--from", "rows.jsonl", "--rows", "2", "--version", "123", *SHORT)
    shown = lab.ok_json("bench", *words, "--signature", "serving_default")
    assert (shown["rows"], shown["version"]) == (2, "123")
    assert lab.ok_json("bench", "--connections", "1", "--from", "rows.jsonl", *SHORT)["rows"] == 1
    (lab.directory / "request.json").write_text('{"inputs": [1.0, 2.0]}')
    assert lab.ok_json("bench", "--connections", "1", "--from", "request.json", *SHORT)["rows"] == 0
    assert "in column format" in lab.fails(2, "bench", "--from", "request.json", "--rows", "2")
    assert shown["points"][0]["errors"] == {}


def test_golden_cases_are_sent_where_there_are_some(lab: CommandLine) -> None:
    case = {"request": {"instances": [1.0, 2.0, 3.0, 4.0]}, "response": {"predictions": [2.5, 3.0, 3.5, 4.0]}}
    (lab.directory / "cases.jsonl").write_text(json.dumps(case))
    lab.config["models"]["half_plus_two"]["golden"] = "cases.jsonl"
    try:
        assert lab.ok_json("bench", "--connections", "1", *SHORT)["rows"] == 4
    finally:
        del lab.config["models"]["half_plus_two"]["golden"]


def test_an_slo_that_holds_is_met_and_one_that_does_not_ends_with_8(lab: CommandLine) -> None:
    words = ("bench", "--rate", "20", *SHORT)
    lab.environment = slo(p99_ms=30_000, rate=20)
    try:
        assert lab.ok_json(*words)["slo"] == {"p99_ms": 30_000.0, "rate": 20.0, "met": True}
        assert "slo: met: p99 of at most 30000 ms at 20 requests/s" in lab.ok(*words)
        lab.environment = slo(p99_ms=0.001, rate=20)
        message = lab.fails(8, *words)
        assert "slo: missed: p99 of at most 0.001 ms at 20 requests/s" in message
        assert "at 20/s: " in message
        done = lab.run(*words, "--json")
        assert (done.returncode, json.loads(done.stdout)["slo"]["met"]) == (8, False)
        message = lab.fails(2, "bench", "--rate", "10")
        assert "models.half_plus_two.slo: the SLO is for 20 requests/s, which is not among the loads: 10/s" in message
    finally:
        lab.environment = {}


def test_an_slo_without_its_load_is_no_slo(lab: CommandLine) -> None:
    lab.environment = slo(p99_ms=20)
    try:
        assert "models.half_plus_two.slo.rate" in lab.fails(2, "bench")
    finally:
        lab.environment = {}


def test_the_rate_of_the_slo_is_among_the_default_loads(lab: CommandLine) -> None:
    lab.environment = slo(p99_ms=20, rate=37)
    try:
        planned = lab.run("bench", "--dry-run").stderr
    finally:
        lab.environment = {}
    assert "1 connection, 4 connections, 16 connections, 64 connections, 37/s, 5 s each" in planned


def test_a_result_is_saved_and_compared(lab: CommandLine) -> None:
    words = ("bench", "--connections", "2", *SHORT)
    saved = lab.ok_json(*words, "--save", "r.json")
    assert json.loads((lab.directory / "r.json").read_text())["points"] == saved["points"]
    assert "against r.json, 2 connections: requests/s " in lab.ok(*words, "--compare", "r.json")
    compared = lab.ok_json(*words, "--compare", "r.json")["compared"]["2 connections"]
    assert set(compared) == {"requests_per_s", "p50_ms", "p99_ms", "max_ms"}


def test_curves_are_written_as_a_page_and_as_a_picture(lab: CommandLine) -> None:
    words = ("bench", "--connections", "1,2", *SHORT, "--plot", "report.html", "--plot", "x.svg")
    lab.ok(*words)
    assert "2 connections" in (lab.directory / "report.html").read_text()
    assert (lab.directory / "x.svg").read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--connections", "0"], "--connections: expected a whole number from 1, got '0'"),
        (["--connections", "4,4"], "--connections: expected each number once"),
        (["--rate", "x"], "--rate: expected a number"),
        (["--rate", "0"], "--rate: expected a number above 0"),
        (["--seconds", "nan"], "--seconds: expected a number"),
        (["--seconds", "0"], "--seconds: expected a number above 0"),
        (["--warm-up", "-1"], "--warm-up: expected a number"),
        (["--rows", "0"], "--rows: expected a whole number from 1"),
        (["--processes", "0"], "--processes: expected a whole number from 1"),
        (["--transport", "http"], "--transport: expected rest or grpc"),
        (["--version", "1", "--label", "a"], "bench: expected a version or a label, got both"),
        (["--model", "none"], "--model: the YAML has no model 'none'"),
        (["--compare", "none.json"], "none.json: cannot be read"),
        (["--save", "none/r.json"], "none/r.json: its directory is not there"),
        (["--plot", "x.png"], "--plot x.png: expected a file that ends in .html or .svg"),
        (["--from", "none.jsonl"], "none.jsonl: cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_named_before_any_load(lab: CommandLine, words: list[str], text: str) -> None:
    assert text in lab.fails(2, "bench", *words)


@pytest.mark.parametrize(
    ("content", "text"),
    [("", "rows.jsonl: no rows to predict"), ("{]\n", "rows.jsonl:1:2: malformed JSON"), ('"text"\n', "half_plus_two")],
    ids=["empty", "no JSON", "another type"],
)
def test_rows_that_cannot_be_sent_are_named_before_any_load(lab: CommandLine, content: str, text: str) -> None:
    (lab.directory / "rows.jsonl").write_text(content)
    message = lab.fails(6, "bench", "--from", "rows.jsonl")
    assert text in message


def test_a_rate_beyond_the_generator_ends_with_2_and_no_latency(lab: CommandLine) -> None:
    # To count so many due requests takes a whole core, whatever the server answers of them.
    done = lab.run("bench", "--rate", "900000", *SHORT, "--json")
    assert done.returncode == 2, done.stderr
    assert "--rate: the load generator cannot send 900000/s" in done.stderr
    (point,) = json.loads(done.stdout)["points"]
    assert (point["p50_ms"], point["p99_ms"]) == (None, None)
    assert "latencies are left out" in point["note"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_keeps_what_was_measured_and_marks_it(own: CommandLine, number: int, code: int) -> None:
    process = own.start(
        "bench", "--connections", "2", "--seconds", "60", "--warm-up", "0", "--json", "--save", "r.json"
    )
    until(lambda: any(_is_generator(one) for one in psutil.Process(process.pid).children()), process)
    started = psutil.Process(process.pid).children()
    until(lambda: sum(sum(one.cpu_times()[:2]) for one in started if one.is_running()) > 0.5, process)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    (point,) = json.loads(printed)["points"]
    assert point["partial"]
    assert point["answered"] > 0
    assert json.loads((own.directory / "r.json").read_text())["points"] == [point]
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in started)
    assert servers(own) == []


def test_a_server_that_dies_meanwhile_ends_with_5_and_its_diagnosis(own: CommandLine) -> None:
    own.ok("setup")
    number = int(own.ok_json("serve")["id"])
    process = own.start("bench", "--connections", "2", "--seconds", "60", "--warm-up", "0")
    until(lambda: any(_is_generator(one) for one in psutil.Process(process.pid).children()), process)
    (generator,) = [one for one in psutil.Process(process.pid).children() if _is_generator(one)]
    until(lambda: sum(generator.cpu_times()[:2]) > 0.4, process)
    os.kill(number, signal.SIGKILL)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 5, errors
    assert "2 connections (partial)" in printed
    assert "error: the server ended: the server was killed from outside" in errors
    assert not generator.is_running()


def _is_generator(process: psutil.Process) -> bool:
    try:
        return "tfs_workflow.quality.bench.generator" in process.cmdline()
    except psutil.Error:
        return False


def test_batching_is_tried_on_servers_of_their_own_which_are_gone_afterwards(lab: CommandLine) -> None:
    done = lab.run("bench", "--advise", "--connections", "4", "--json", *SHORT)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    tried = [one["batching"] for one in shown["candidates"]]
    assert tried[0] is None
    assert {one["max_batch_size"] for one in tried[1:]} == {8, 32, 128}
    assert all(one["answered"] > 0 and one["server"]["memory_bytes"] > 10**7 for one in shown["candidates"])
    assert not shown["partial"]
    if shown["batching"]:
        assert shown["batching"] in tried
        assert len(shown["again"]) == 2
    assert _advising(lab) == []
    assert lab.ok("predict").strip() == "[2.5, 3.0, 4.5]"


def test_advice_that_is_interrupted_shows_what_it_has_and_leaves_no_server(own: CommandLine) -> None:
    own.ok("setup")
    words = ("bench", "--advise", "--connections", "2", "--seconds", "0.5", "--warm-up", "0")
    process = own.start(*words)
    assert process.stderr is not None
    while "trying 8 rows, 1 ms" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.startswith("2 connections (partial)\n")
    assert "no batching" in printed
    assert "server:" not in printed
    assert _advising(own) == []


def test_advice_takes_one_load_and_no_file(lab: CommandLine) -> None:
    message = lab.fails(2, "bench", "--advise", "--connections", "1,2")
    assert "--advise takes one load, got 1 connection, 2 connections" in message
    assert "goes without --save" in lab.fails(2, "bench", "--advise", "--save", "r.json")


def _advising(line: CommandLine) -> list[psutil.Process]:
    """The servers that were started to be tried."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get(PROJECT_VARIABLE) == f"{line.project}-advise":
                found.append(one)
        except (psutil.Error, OSError):
            continue
    return found
