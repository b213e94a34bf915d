"""The contributor's door: the packaged tasks, plus dev.* to check, test and bench."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from tfs_workflow.cli.tasks import collection

ROOT = Path(__file__).parent
BENCHMARKS = (
    "startup",
    "docker_life",
    "replace",
    "fetch",
    "predict_jsonl",
    "interrupts",
    "load_generator",
    "modelserver",
    "warmup",
    "pytest_plugin",
    "first_minute",
)


@task
def check(c: Context) -> None:
    """Run the linters, the type checker and the layer contracts."""
    for command in ("ruff check .", "ruff format --check .", "mypy", "lint-imports"):
        c.run(command)


@task(help={"all": "Every test, also the slow ones and those with Docker.", "options": "Options for pytest, instead."})
def test(c: Context, all: bool = False, options: str = "") -> None:  # noqa: PT028  # a task and its option
    """Run the fast tests: no Docker, none above half a second; with --all every test."""
    selection = "" if all else '-m "not docker and not slow"'
    c.run(f"pytest {options or f'-q -n auto {selection}'}")


@task(help={"only": f"One of {', '.join(BENCHMARKS)} (default: all)."})
def bench(c: Context, only: str = "") -> None:
    """Print each benchmark's ratios, measured side by side in this run."""
    for name in [only] if only else BENCHMARKS:
        c.run(f"{sys.executable} -m benchmarks.{name}", warn=True)


@task(help={"against": "A second checkout, counted beside this one."})
def figures(c: Context, against: str = "") -> None:
    """Print sizes, names, folders, and how many files a prediction and a `serve` pass through."""
    c.run(f"{sys.executable} -m tools.figures" + (f" --against {shlex.quote(against)}" if against else ""))


@task
def lock(c: Context) -> None:
    """Bring constraints.txt up to date for every supported Python; needs uv."""
    options = "--universal --all-extras --python-version 3.10 --no-emit-index-url --no-annotate --no-header --upgrade"
    c.run(f"uv pip compile {options} --quiet --output-file constraints.txt pyproject.toml")


@task
def schema(c: Context) -> None:
    """Write config/schema.json from the types."""
    c.run("tfs config.schema --output config/schema.json")


@task
def docs(c: Context) -> None:
    """Write the pages of docs/ that are generated: configuration, command line, diagnoses."""
    for module in ("tools.write_reference", "tests.support.diagnosis_document"):
        c.run(f"{sys.executable} -m {module}")


@task
def pictures(c: Context) -> None:
    """Draw the README's pictures: a terminal from a real run, and the chart of the measured ratios."""
    for module in ("tools.terminal_picture", "tools.ratio_chart"):
        c.run(f"{sys.executable} -m {module}")


@task
def protos(c: Context) -> None:
    """Compile the messages of tfs_workflow/protos."""
    c.run(f"{sys.executable} tools/compile_protos.py")


@task
def bundle(c: Context) -> None:
    """Make the bundled half_plus_two."""
    c.run(f"{sys.executable} tools/bundle_half_plus_two.py")


ns = collection()
ns.add_collection(Collection("dev", check, test, bench, figures, lock, schema, docs, pictures, protos, bundle))
