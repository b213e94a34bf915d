"""invoke config.*: check the YAML, print its schema, or write one to start from."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show
from tfs_workflow.cli.program_name import program_name
from tfs_workflow.config.json_schema import SCHEMA_NAME, schema_text
from tfs_workflow.errors import ConfigError
from tfs_workflow.state.atomic_file import write_named
from tfs_workflow.workflow.model.own_yaml import named_paths, own_yaml

TEMPLATE = Path(__file__).parents[2] / "bundled" / "tfs.yaml"


def check(options: CommandOptions) -> None:
    """Load the YAML and report that it is good, or every error."""
    with project_command(options) as loaded:
        document = {"path": str(loaded.path), "config": loaded.config.model_dump(mode="json")}
        show(options, document, [f"{loaded.path}: good"])


def schema(options: CommandOptions, *, output: str) -> None:
    """Print the JSON Schema, or write it to a file."""
    with reported_errors(options):
        if output and options.dry_run:
            console.note(f"would write {output}")
        elif output:
            write_named(Path(output), schema_text())
        else:
            console.result(schema_text().rstrip())


def init(options: CommandOptions, *, path: str, model: list[str]) -> None:
    """Write a commented YAML and, beside it, the schema that its first line names; never overwrite the YAML.

    `model` holds NAME=PATH for each of the user's models; without any, the YAML is the tutorial's.
    """
    with reported_errors(options):
        target = Path(path)
        if target.exists():
            raise ConfigError("exists already, and is not overwritten", where=path, fix="give another path")
        text = own_yaml(named_paths(model), target.parent, program_name()) if model else TEMPLATE.read_text("utf-8")
        if options.dry_run:
            console.note(f"would write {target} and {target.with_name(SCHEMA_NAME)}")
            return
        write_named(target, text)
        write_named(target.with_name(SCHEMA_NAME), schema_text())
        written = [str(target), str(target.with_name(SCHEMA_NAME))]
        show(options, {"written": written}, [f"{' and '.join(written)}; next: {program_name()} serve predict"])
