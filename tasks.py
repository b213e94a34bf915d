"""The contributor's door: the packaged tasks, plus dev.* to check, test and bench."""

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from tfs_workflow.tasks import collection


@task
def check(c: Context) -> None:
    """Run the linters, the type checker and the layer contracts."""
    for step in ("ruff check .", "ruff format --check .", "mypy", "lint-imports"):
        c.run(step, pty=False)


@task(help={"options": "Options for pytest, in one string."})
def test(c: Context, options: str = "") -> None:  # noqa: PT028  # a task, not a test
    """Run every test; those that need Docker are skipped, with the reason, where no engine answers."""
    c.run(f"pytest {options}", pty=False)


ns = collection()
ns.add_collection(Collection("dev", check, test))
