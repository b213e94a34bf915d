"""Every row of the table of diagnoses is what a real server shows that fails in this way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.modelserver import graphs
from tests.support.reproductions import CONTAINERS, PROCESSES, Reproduction, file_of, graph, outcome, release
from tfs_workflow.errors import ServerNotReadyError, ToolMissingError
from tfs_workflow.health.diagnoses import OVERDUE, ROWS
from tfs_workflow.health.diagnosis import REPORT
from tfs_workflow.runtimes.lookup import Runtimes


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "serving").mkdir()
    yield tmp_path
    release()


def failure(made: Reproduction, directory: Path) -> ServerNotReadyError:
    runtimes = Runtimes(directory / "serving", directory / "run" / "server.log")
    return outcome(made, runtimes.get, directory, runtime="embedded")


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_that_fails_in_this_way_is_diagnosed(name: str, here: Path) -> None:
    error = failure(PROCESSES[name], here)
    assert error.diagnosis == name, f"{error}\n\n" + (here / "run" / "server.log").read_text()[-3000:]
    row = next(row for row in ROWS if row.name == name)
    assert row.cause in error.what
    assert error.fix == row.fix
    assert error.evidence
    assert ("not AVAILABLE after" in error.what) == (row in OVERDUE), "waiting ends the moment waiting is hopeless"


# Reproduced through the command line, since nobody may be left who saw the process end.
ELSEWHERE = {"vanished": "tests/workflow/test_failures.py::test_a_server_that_is_gone_is_vanished"}


def test_every_row_is_reproduced() -> None:
    assert {row.name for row in ROWS} == PROCESSES.keys() | CONTAINERS.keys() | ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        path, _, name = place.partition("::")
        assert f"def {name}(" in (Path(__file__).parents[2] / path).read_text()
    assert len({row.name for row in ROWS}) == len(ROWS) >= 25


def test_an_empty_file_is_diagnosed_as_one_that_cannot_be_parsed(here: Path) -> None:
    """TensorFlow Serving has another text for it."""
    error = failure(Reproduction(spec=file_of("monitoring_config_file", "")), here)
    assert (error.diagnosis, "is empty or not" in error.what) == ("file-unparsable", True)
    assert "; Invalid argument" in error.evidence


def test_an_unknown_failure_shows_its_last_lines_and_how_to_report_it(here: Path) -> None:
    error = failure(Reproduction(graph(graphs.twice_the_same_name)), here)
    assert error.diagnosis == "unknown"
    assert "Node 'init' is not unique" in error.evidence
    assert "exit code 255" in error.evidence
    assert error.fix == REPORT
    assert "invoke doctor --after" in error.fix


def test_a_binary_that_the_kernel_refuses_is_a_missing_tool(here: Path) -> None:
    def foreign(directory: Path) -> dict[str, object]:
        path = directory / "tensorflow_model_server"
        path.write_bytes(b"\x7fELF of another machine")
        path.chmod(0o755)
        return {"runtime": "native", "binary": str(path)}

    with pytest.raises(ToolMissingError, match="cannot be executed") as error:
        failure(Reproduction(spec=foreign), here)
    assert "Exec format error" in error.value.evidence
