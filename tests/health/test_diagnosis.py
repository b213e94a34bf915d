"""Evidence to cause to fix, on log lines recorded from TensorFlow Serving 2.20.0 and exit codes."""

import pytest

from tfs_workflow.health.diagnosis import diagnose, hopeless, marked, overdue

NO_VERSION = (
    "W tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc:268] No versions of servable m found "
    "under base path /models/m. Did you forget to name your leaf directory as a number (eg. '/1/')?"
)
DATA_LOSS = (
    "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: m version: 1} due to "
    "error: DATA_LOSS: Can't parse /models/m/1/saved_model.pb as binary proto}, }"
)
# Recorded, since it takes a processor without AVX to see it (cpu_feature_guard.cc; tensorflow/serving#1591).
OLD_PROCESSOR = (
    "F tensorflow/core/platform/cpu_feature_guard.cc:37] The TensorFlow library was compiled to use AVX instructions, "
    "but these aren't available on your machine."
)


@pytest.mark.parametrize(
    ("lines", "exit_code", "cause"),
    [
        ([DATA_LOSS], 255, "not a SavedModel"),
        ([OLD_PROCESSOR], 134, "AVX"),
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


def test_how_a_process_ended_is_not_contradicted_by_an_older_line() -> None:
    assert diagnose([DATA_LOSS], 137).name == "killed"
    assert diagnose([DATA_LOSS, "Exporting HTTP/REST API at:localhost:8501 ..."], 255).name == "unknown"
    assert diagnose([DATA_LOSS], None).name == "vanished"


def test_a_line_counts_until_another_undoes_it() -> None:
    begun = ["Loading servable version {name: m version: 1}", "Loading servable version {name: n version: 1}"]
    assert overdue(begun).name == "still-loading"
    assert "name: n" in overdue([*begun, "Successfully loaded servable version {name: m version: 1}"]).evidence
    done = [f"Successfully loaded servable version {{name: {name} version: 1}}" for name in "mn"]
    assert overdue([*begun, *done]).name == "not-looking"


def test_lines_that_go_on_belong_together() -> None:
    found = diagnose(["Loading servable: {name: m version: 1} failed: NOT_FOUND: gone", "\t [[{{node init}}]]"], 255)
    assert found.name == "start-up-failed"
    assert "NOT_FOUND: gone [[{{node init}}]]" in found.evidence


def test_the_lines_of_a_log_are_marked_that_show_a_failure() -> None:
    node = "\t [[{{node init}}]]"
    lines = ["Adding/updating models.", "Loading servable: {name: m version: 1} failed: NOT_FOUND: gone", node]
    lines += ["Exporting HTTP/REST API at:localhost:8501 ...", "a prediction failed: NOT_FOUND: gone", node, DATA_LOSS]
    rows = [row.name if row else "" for _, row in marked(lines)]
    assert rows == ["", "", "start-up-failed", "", "", "", "saved-model-corrupt"]


def test_an_unknown_failure_shows_the_last_lines() -> None:
    found = diagnose([f"line {n}" for n in range(20)], 3)
    assert "exit code 3" in found.evidence
    assert "line 19" in found.evidence
    assert "line 2\n" not in found.evidence


def test_only_what_cannot_change_by_itself_ends_the_waiting() -> None:
    assert hopeless([NO_VERSION]) is not None
    assert hopeless(["Address already in use"]) is None
