"""What the documents refer to is there."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from tests.support import diagnosis_document
from tfs_workflow import errors
from tfs_workflow.cli.tasks import collection
from tools import ratio_chart, terminal_picture
from tools.reference.examples_page import title
from tools.write_reference import PAGES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tfs_workflow"
FOLDERS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", document.read_text()):
        assert re.search(rf"def {name}\(", (ROOT / path).read_text()), f"{path}::{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_and_module_that_a_document_names_exists(document: Path) -> None:
    """A path is one of the repository, of the package, or of a folder of it; a command names a module."""
    text = document.read_text()
    for path in re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*|[\w/]+\.(?:py|c|h))(?:::\w+)?`", text):
        assert any((root / path).exists() for root in (ROOT, PACKAGE)) or list(PACKAGE.rglob(path)), path
    for module in re.findall(r"python -m ((?:benchmarks|tests|tools|tfs_workflow)[\w.]*)", text):
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_each_example_has_a_section_with_its_text_and_the_examples_page_is_linked() -> None:
    page = (ROOT / "docs/examples.md").read_text()
    sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    for path in (ROOT / "config/examples").glob("*.yaml"):
        assert path.read_text().split("\n#\n", 1)[1] in sections[title(path)]
    for front in ("README.md", "docs/index.md"):
        assert "examples.md" in (ROOT / front).read_text()


def test_the_readme_names_every_exit_code() -> None:
    tree = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.WorkflowError)]
    codes = {cls.exit_code for cls in tree}
    listed = (ROOT / "docs" / "decisions" / "0001-exit-codes.md").read_text()
    readme = (ROOT / "README.md").read_text()
    for code in codes:
        assert f"| {code} |" in listed
        assert re.search(rf"\b{code} \w", readme)


def test_the_readme_names_every_verb() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in (task for task in collection().task_names if "." not in task):
        assert f"\n| `{name}` |" in readme, name


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run: invoke dev.docs"


def test_the_chart_shows_the_figures() -> None:
    figures = json.loads(ratio_chart.FIGURES.read_text())
    assert ratio_chart.CHART.read_text() == ratio_chart.chart(figures), "run: invoke dev.pictures"


def test_the_picture_of_the_terminal_shows_what_a_run_prints() -> None:
    drawn = terminal_picture.picture(terminal_picture.terminal_lines())
    assert terminal_picture.PICTURE.read_text() == drawn, "run: invoke dev.pictures"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_the_diagnoses_are_those_of_the_table() -> None:
    written = diagnosis_document.DOCUMENT.read_text()
    assert written == diagnosis_document.document(), "run: python -m tests.support.diagnosis_document"


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda path: path.name[:4])
def test_a_decision_has_its_four_parts(page: Path) -> None:
    heads = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert heads == ["Status", "Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
