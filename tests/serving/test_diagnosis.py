"""Evidence to cause to fix, on log lines recorded from TensorFlow Serving 2.20.0 and exit codes."""

import pytest

from tfs_workflow.serving.diagnosis import diagnose, hopeless

NO_VERSION = (
    "W tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc:268] No versions of servable m found "
    "under base path /models/m. Did you forget to name your leaf directory as a number (eg. '/1/')?"
)
DATA_LOSS = (
    "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 1} due to "
    "error: DATA_LOSS: Can't parse /models/m/1/saved_model.pb as binary proto}, }"
)


@pytest.mark.parametrize(
    ("lines", "exit_code", "cause"),
    [
        ([NO_VERSION], None, "no version directory"),
        ([DATA_LOSS], 255, "not a SavedModel"),
        (["The TensorFlow library was compiled to use AVX instructions, but these aren't available"], 132, "AVX"),
        ([], 132, "AVX"),
        (["Not found: Op type not registered 'Foo' in binary"], 255, "operation"),
        ([], 137, "killed from outside"),
        ([], 139, "crashed"),
    ],
)
def test_evidence_leads_to_a_cause_in_plain_words(lines: list[str], exit_code: int | None, cause: str) -> None:
    found = diagnose(lines, exit_code)
    assert cause in found.cause
    assert found.fix
    assert str(exit_code) in found.evidence or lines[0] in found.evidence


def test_the_telling_line_is_shown_among_others() -> None:
    found = diagnose(["before", DATA_LOSS, "after"], 255)
    assert "Can't parse" in found.evidence
    assert "after" not in found.evidence


def test_the_engines_word_on_memory_comes_first() -> None:
    assert "memory" in diagnose([DATA_LOSS], 137, out_of_memory=True).cause


def test_an_unknown_failure_shows_the_last_lines() -> None:
    found = diagnose([f"line {n}" for n in range(20)], 3)
    assert "exit code 3" in found.evidence
    assert "line 19" in found.evidence
    assert "line 2\n" not in found.evidence


def test_only_what_cannot_change_by_itself_ends_the_waiting() -> None:
    assert hopeless([NO_VERSION]) is not None
    assert hopeless(["Address already in use"]) is None
