"""Rows through a real server: order, batches, formats, refusals and what is left on the disk."""

from __future__ import annotations

import json
import math
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Relay, RunningServer
from tests.client.scripted import ScriptedServer, listening
from tests.support.waiting import until
from tfs_workflow.client.bulk.predict_file import BulkOptions, predict_file, predict_text
from tfs_workflow.client.bulk.row_stream import RowsRejectedError
from tfs_workflow.client.interface import JsonClient, ModelRef, ServerUnreachableError
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.rows import MalformedInputError
from tfs_workflow.errors import ConfigError, PredictionFailedError
from tfs_workflow.protos import services
from tfs_workflow.runtimes.ports import free_port

MODEL = ModelRef("half_plus_two")


def jsonl(path: Path, rows: Sequence[object]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def read_jsonl(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().removesuffix("\n").split("\n")]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "predictions.jsonl"


@pytest.fixture(autouse=True)
def _output_directory(output: Path) -> None:
    output.parent.mkdir()


@pytest.fixture
def client(json_client: JsonClient) -> JsonClient:
    """Either transport: what is predicted, printed and said is the same."""
    return json_client


def left(output: Path) -> list[str]:
    """What is in the output's directory."""
    return sorted(path.name for path in output.parent.iterdir())


def test_texts_from_the_command_line(client: JsonClient) -> None:
    assert predict_text(client, MODEL, instances="[1.0, 2.0, 5.0]") == [2.5, 3.0, 4.5]
    assert predict_text(client, MODEL, inputs="[1.0]") == [2.5]


@pytest.mark.parametrize(("instances", "expected"), [("[1", "--instances:1:"), ("3", "--instances"), ("[]", "no rows")])
def test_malformed_instances_are_named(client: JsonClient, instances: str, expected: str) -> None:
    with pytest.raises(MalformedInputError, match=expected):
        predict_text(client, MODEL, instances=instances)


def test_many_batches_keep_the_order(client: JsonClient, tmp_path: Path, output: Path) -> None:
    seen: list[int] = []

    def progress(done: int, total: int | None) -> None:
        assert total == 5000
        seen.append(done)

    source = jsonl(tmp_path / "rows.jsonl", range(5000))
    assert predict_file(client, MODEL, source, str(output), bulk=BulkOptions(batch_rows=7), progress=progress) == 5000
    assert read_jsonl(output) == [x / 2 + 2 for x in range(5000)]
    assert seen == [*range(7, 5000, 7), 5000]
    assert left(output) == ["predictions.jsonl"]


def test_several_requests_are_in_flight(relay: Relay, tmp_path: Path, output: Path) -> None:
    """Nobody is answered, and yet more than one batch is asked."""
    relay.fail(path=":predict", silent_after_bytes=0)
    source = jsonl(tmp_path / "rows.jsonl", range(8))
    with (
        RestJsonClient(relay.url, 1) as client,
        pytest.raises(PredictionFailedError, match=r"rows 1-2: [\s\S]*no answer"),
    ):
        predict_file(client, MODEL, source, str(output), bulk=BulkOptions(batch_rows=2))
    assert len([line for line in relay.requests if line.endswith(":predict")]) > 1


def test_jsonl_to_stdout(client: JsonClient, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for output in ("", "-"):
        predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", [1.0, 2.0, 5.0]), output)
        assert capfdbinary.readouterr().out == b"2.5\n3.0\n4.5\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[1.0, 2.0]", b"[2.5, 3.0]\n"),
        ('{"instances": [1.0, 2.0]}', b"[2.5, 3.0]\n"),
        ('{"inputs": [1.0, 2.0]}', b"[2.5, 3.0]\n"),
        ('{"inputs": [1.0], "signature_name": "serving_default"}', b"[2.5]\n"),
    ],
)
def test_documents_to_stdout(
    client: JsonClient, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], content: str, expected: bytes
) -> None:
    (tmp_path / "in.json").write_text(content)
    predict_file(client, MODEL, str(tmp_path / "in.json"), bulk=BulkOptions(batch_rows=1))
    assert capfdbinary.readouterr().out == expected


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("in.jsonl", "1.0\n2.0\n", {"predictions": [2.5, 3.0]}),
        ("in.json", "[1.0, 2.0]", {"predictions": [2.5, 3.0]}),
        ("in.json", '{"inputs": [1.0]}', {"outputs": [2.5]}),
    ],
)
def test_a_json_output_is_one_document(
    client: JsonClient, tmp_path: Path, name: str, content: str, expected: object
) -> None:
    (tmp_path / name).write_text(content)
    output = tmp_path / "out.json"
    predict_file(client, MODEL, str(tmp_path / name), str(output), bulk=BulkOptions(batch_rows=1))
    assert json.loads(output.read_text()) == expected


def test_a_document_in_as_lines_out(client: JsonClient, tmp_path: Path, output: Path) -> None:
    (tmp_path / "in.json").write_text("[1, 2, 5]")
    assert predict_file(client, MODEL, str(tmp_path / "in.json"), str(output)) == 3
    assert output.read_text() == "2.5\n3.0\n4.5\n"


def piped(server: RunningServer, content: bytes) -> subprocess.CompletedProcess[bytes]:
    """The same call in a process of its own, with the content on its stdin."""
    return subprocess.run(command(server.url, "-"), input=content, capture_output=True, check=False)


def command(url: str, source: str, output: str = "", batch_rows: int = 512) -> list[str]:
    program = (
        "import sys; from tfs_workflow.client.connect import connect_json; "
        "from tfs_workflow.client.bulk.predict_file import BulkOptions, predict_file; "
        "from tfs_workflow.client.interface import ModelRef; "
        "predict_file(connect_json(sys.argv[1]), ModelRef('half_plus_two'), sys.argv[2], sys.argv[3], "
        "bulk=BulkOptions(batch_rows=int(sys.argv[4])))"
    )
    return [sys.executable, "-c", program, url, source, output, str(batch_rows)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"1.0\n2.0\n", b"2.5\n3.0\n"), (b'{"instances": [1.0, 2.0]}', b"[2.5, 3.0]\n"), (b"[\n1.0]", b"[2.5]\n")],
)
def test_stdin(model_server: RunningServer, content: bytes, expected: bytes) -> None:
    assert piped(model_server, content).stdout == expected


def test_nan_binary_and_several_outputs(client: JsonClient, tmp_path: Path, output: Path, recorded: Path) -> None:
    def ask(signature: str, rows: Sequence[object]) -> list[Any]:
        predict_file(client, ModelRef("types", signature=signature), jsonl(tmp_path / "r.jsonl", rows), str(output))
        return read_jsonl(output)

    odd = ask("float64", [math.nan, math.inf, -math.inf])
    assert math.isnan(odd[0])
    assert odd[1:] == [math.inf, -math.inf]
    assert ask("bytes_out", ["abc", {"b64": "/////w=="}]) == [{"b64": "YWJj"}, {"b64": "/////w=="}]
    assert ask("two_out", [1.0]) == [{"sum": pytest.approx(ask("two_out", [1.0])[0]["sum"]), "neg": -1.0}]
    assert ask("two_in", [{"a": 1, "b": 2}]) == [3.0]
    assert ask("uint64", [18446744073709551615]) == [18446744073709551615]
    assert ask("string", ["\U0001f600 ä\u2028"]) == ["\U0001f600 ä\u2028"]


@pytest.mark.parametrize("position", [0, 1, 499, 511, 512, 777, 999])
def test_the_one_bad_row_is_named(client: JsonClient, tmp_path: Path, output: Path, position: int) -> None:
    rows: list[object] = list(range(1000))
    rows[position] = "bad"
    with pytest.raises(RowsRejectedError) as caught:
        predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", rows), str(output))
    error = caught.value
    assert (error.first, error.last, error.exit_code) == (position + 1, position + 1, 6)
    assert f"rows.jsonl: row {position + 1}: " in str(error)
    assert "not of" in error.server_text
    assert "float" in error.server_text
    assert '"bad"' in error.evidence
    assert "expects x: float32" in error.fix
    assert left(output) == (["predictions.jsonl.partial"] if position >= 512 else [])


def test_a_row_that_only_the_halving_finds(client: JsonClient, tmp_path: Path, output: Path, recorded: Path) -> None:
    """The model itself refuses negative numbers, and TensorFlow's message names no row."""
    rows = [1.0] * 300 + [-1.0] + [1.0] * 100
    with pytest.raises(RowsRejectedError) as caught:
        predict_file(client, ModelRef("types", signature="check"), jsonl(tmp_path / "r.jsonl", rows), str(output))
    assert (caught.value.first, caught.value.last) == (301, 301)


def test_a_refusal_that_no_row_is_to_blame_for_names_the_batch(
    client: JsonClient, tmp_path: Path, output: Path, recorded: Path
) -> None:
    target = ModelRef("types", signature="scalar_out")
    with pytest.raises(PredictionFailedError, match="--inputs"):
        predict_file(client, target, jsonl(tmp_path / "r.jsonl", [1.0, 2.0]), str(output))


def test_a_malformed_line_leaves_nothing_that_looks_whole(client: JsonClient, tmp_path: Path, output: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("1\n2\n3,\n")
    output.write_text("before\n")
    with pytest.raises(MalformedInputError, match=r"rows.jsonl:3:2: malformed JSON"):
        predict_file(client, MODEL, str(source), str(output), bulk=BulkOptions(batch_rows=1))
    assert output.read_text() == "before\n"
    assert left(output) == ["predictions.jsonl", "predictions.jsonl.partial"]
    assert (output.parent / "predictions.jsonl.partial").read_text() == "2.5\n3.0\n"


def test_stdout_says_up_to_which_row_it_is_complete(
    client: JsonClient, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows: list[object] = [1.0] * 100 + ["bad"]
    with pytest.raises(RowsRejectedError, match="the output is complete for 100 rows"):
        predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", rows), bulk=BulkOptions(batch_rows=10))
    assert capfdbinary.readouterr().out == b"2.5\n" * 100


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_input_is_said_so(client: JsonClient, tmp_path: Path, output: Path, content: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(MalformedInputError, match="no rows to predict"):
        predict_file(client, MODEL, str(tmp_path / "rows.jsonl"), str(output))
    assert left(output) == []


def test_files_that_cannot_be_used(client: JsonClient, tmp_path: Path, output: Path) -> None:
    rows = jsonl(tmp_path / "rows.jsonl", [1])
    with pytest.raises(ConfigError, match=r"nope\.jsonl: cannot be read: No such file"):
        predict_file(client, MODEL, str(tmp_path / "nope.jsonl"))
    with pytest.raises(ConfigError, match="cannot be read"):
        predict_file(client, MODEL, str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        predict_file(client, MODEL, rows, str(tmp_path / "no/such/place.jsonl"))
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        predict_file(client, MODEL, rows, str(output.parent))
    with pytest.raises(ConfigError, match="at least one row"):
        predict_file(client, MODEL, rows, bulk=BulkOptions(batch_rows=0))


def test_a_full_disk_is_said_so(client: JsonClient, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/full: cannot be written: No space left"):
        predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", [1]), "/dev/full")


def test_a_link_keeps_pointing_to_its_file(client: JsonClient, tmp_path: Path, output: Path) -> None:
    target = tmp_path / "target.jsonl"
    target.touch()
    output.symlink_to(target)
    predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", [1.0]), str(output))
    assert output.is_symlink()
    assert target.read_text() == "2.5\n"


def test_no_server_is_exit_code_5(tmp_path: Path, output: Path) -> None:
    with pytest.raises(ServerUnreachableError) as caught, RestJsonClient(f"http://127.0.0.1:{free_port()}") as client:
        predict_file(client, MODEL, jsonl(tmp_path / "rows.jsonl", [1.0]), str(output))
    assert caught.value.exit_code == 5
    assert left(output) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupt_leaves_nothing_whole(relay: Relay, tmp_path: Path, output: Path, number: signal.Signals) -> None:
    """The server keeps silent after two batches; the process ends without waiting for it."""
    source = jsonl(tmp_path / "rows.jsonl", range(100))
    relay.fail(path=":predict", silent_after_bytes=0)
    relay.fail(path=":predict", times=2)
    terminating = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
    argv = command(relay.url, source, str(output), batch_rows=1)
    argv[2] = terminating + argv[2]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        until(relay.reached.is_set, process)
        process.send_signal(number)
        process.wait(30)
    assert not output.exists()
    # Of the four requests on their way two were answered: perhaps not the first ones.
    partial = output.parent / "predictions.jsonl.partial"
    done = read_jsonl(partial) if partial.exists() and partial.read_text() else []
    assert done == [x / 2 + 2 for x in range(len(done))]
    assert len(done) <= 2
    relay.faults.clear()
    with RestJsonClient(relay.url) as client:
        assert predict_file(client, MODEL, source, str(output), bulk=BulkOptions(resume=True)) == 100
    assert left(output) == ["predictions.jsonl"]
    assert read_jsonl(output) == [x / 2 + 2 for x in range(100)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_over_grpc_leaves_nothing_whole(tmp_path: Path, output: Path, number: signal.Signals) -> None:
    """The server keeps silent; the process ends without waiting for it."""
    asked, ended = threading.Event(), threading.Event()

    def silent(_request: bytes, _context: object) -> bytes:
        asked.set()
        ended.wait()
        return b""

    server = ScriptedServer()
    server.answers[services.PREDICT] = silent
    argv = command(f"grpc://{server.address}", jsonl(tmp_path / "rows.jsonl", range(100)), str(output), batch_rows=1)
    argv[2] = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); " + argv[2]
    with listening(server), subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        until(asked.is_set, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        ended.set()
    assert process.returncode == (143 if number is signal.SIGTERM else -signal.SIGINT)
    assert "Fatal" not in said
    assert left(output) == []


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_memory_does_not_grow_with_the_rows(model_server: RunningServer, tmp_path: Path, transport: str) -> None:
    def peak_kib(count: int) -> int:
        source = tmp_path / f"{count}.jsonl"
        source.write_text("1.25\n" * count)
        program = command(model_server.address(transport), str(source), "/dev/null")
        program[2] += "; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        return int(subprocess.run(program, capture_output=True, check=True).stderr)

    assert resource.getpagesize()  # the unit of ru_maxrss is KiB on Linux
    assert peak_kib(200_000) < peak_kib(5_000) + 8 * 1024
