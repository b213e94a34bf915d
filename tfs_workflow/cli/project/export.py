"""invoke export: write what Compose or systemd needs to run the project's server."""

from __future__ import annotations

from pathlib import Path

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, reported_errors, show
from tfs_workflow.errors import ConfigError
from tfs_workflow.state.atomic_file import write_named
from tfs_workflow.workflow.deployment import compose_text, systemd_text

_KINDS = {"compose": compose_text, "systemd": systemd_text}


def export(options: CommandOptions, *, kind: str = "", output: str = "", force: bool = False) -> None:
    """Print the file of this kind, or write it to `output`, which only `force` replaces."""
    target = Path(output)
    with reported_errors(options):
        _check(kind, target, force=force or not output)
    with project_command(options) as loaded:
        text = _KINDS[kind](loaded)
        if not output:
            show(options, {"kind": kind, "text": text}, [text.rstrip("\n")])
        elif options.dry_run:
            console.note(f"would write {target}")
        else:
            write_named(target, text)
            show(options, {"kind": kind, "written": output}, [output])


def _check(kind: str, target: Path, *, force: bool) -> None:
    if kind not in _KINDS:
        got = f", got {kind!r}" if kind else ""
        raise ConfigError(f"expected {' or '.join(_KINDS)}{got}", where="export", fix="invoke export compose")
    if target.exists() and not force:
        raise ConfigError("exists already, and is not overwritten", where=str(target), fix="add --force")
