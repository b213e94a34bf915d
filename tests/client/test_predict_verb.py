"""`predict --transport`: whichever way it asks, it prints the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.command import CommandLine
from tests.support.needs import shared


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A project that serves half_plus_two and the model of every type."""
    types = shared("testdata", "models", "types")
    line = CommandLine.in_directory(tmp_path_factory.mktemp("verb"), runtime="embedded")
    line.config["models"]["types"] = {"source": [{"directory": str(types)}]}
    line.ok("setup")
    line.ok("serve")
    yield line
    line.run("teardown", "--purge")


def both(lab: CommandLine, *words: str, stdin: str | None = None) -> str:
    """What both transports print, which must be the same."""
    rest, grpc = (lab.ok("predict", "--transport", how, *words, stdin=stdin) for how in ("rest", "grpc"))
    assert rest == grpc
    return grpc


def test_the_yamls_example(lab: CommandLine) -> None:
    assert json.loads(both(lab, "--model", "half_plus_two")) == [2.5, 3.0, 4.5]


def test_rows_from_stdin_and_to_a_file(lab: CommandLine) -> None:
    rows = "".join(f"{number}\n" for number in range(3000)) + "NaN\nInfinity\n-Infinity\n"
    printed = both(lab, "--model", "half_plus_two", "--input", "-", "--batch-rows", "7", stdin=rows)
    assert printed.splitlines()[:3] + printed.splitlines()[-3:] == ["2.0", "2.5", "3.0", "NaN", "Infinity", "-Infinity"]
    output = lab.directory / "out.json"
    lab.ok(
        "predict",
        "--transport",
        "grpc",
        "--model",
        "half_plus_two",
        "--input",
        "-",
        "--output",
        str(output),
        stdin=rows,
    )
    assert len(json.loads(output.read_text())["predictions"]) == 3003


def test_a_bad_row_is_named_and_said_what_is_expected(lab: CommandLine) -> None:
    for how in ("rest", "grpc"):
        words = ("predict", "--transport", how, "--model", "half_plus_two", "--input", "-")
        message = lab.fails(6, *words, stdin='1\n2\n"bad"\n4\n')
        assert "stdin: row 3: " in message
        assert "expects x: float32" in message


def test_another_transport_is_refused_with_the_two(lab: CommandLine) -> None:
    assert "expected rest or grpc" in lab.fails(2, "predict", "--transport", "smoke", "--model", "half_plus_two")


def test_what_json_cannot_carry_over_rest_goes_over_grpc(lab: CommandLine) -> None:
    words = ("predict", "--model", "types", "--signature", "half", "--instances", "[0.1]")
    lab.fails(6, *words)
    assert json.loads(lab.ok(*words, "--transport", "grpc")) == [0.099975586]
