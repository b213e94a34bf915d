"""invoke setup: fetch the models, prepare the runtime, and show the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, project_command, show
from tfs_workflow.cli.quality.warmup_view import warmup_documents, warmup_lines
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.sources.registry import model_source
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.prepare import SetUp, SetupOptions, prepare


def setup(options: CommandOptions, **values: bool) -> None:
    """Fetch the models, prepare the runtime, and show the result; `values` are the fields of SetupOptions."""
    with project_command(options) as loaded:
        if options.dry_run:
            show(options, _intended(loaded), _intended_lines(loaded))
            return
        with console.progress_bars() as bars:
            context = TransferContext(progress=bars, notify=console.note)
            done = prepare(loaded, context, SetupOptions(**values))
        show(options, _document(done), _lines(done))


def _intended(loaded: LoadedConfig) -> dict[str, Any]:
    """The plan of setup, from the YAML alone."""
    yaml_dir = loaded.path.parent
    models = {
        name: [model_source(source, yaml_dir).description for source in model.source]
        for name, model in loaded.config.models.items()
    }
    return {
        "dry_run": True,
        "workspace": str(loaded.workspace),
        "runtime": loaded.config.runtime,
        "image": loaded.config.server.image,
        "models": models,
    }


def _intended_lines(loaded: LoadedConfig) -> Iterator[str]:
    yield f"would make the workspace {loaded.workspace}"
    for name, sources in _intended(loaded)["models"].items():
        yield f"would fetch {name} from {', else '.join(sources)}"
    yield f"would prepare the runtime {loaded.config.runtime}"


def _lines(done: SetUp) -> Iterator[str]:
    for name, model in done.models.items():
        state = "fetched" if model.fresh else "up to date"
        yield f"{name}  {state}  {model.description}" + (f"  {model.commit[:12]}" if model.commit else "")
    yield from warmup_lines(done.warmed_up)
    yield f"runtime  {done.choice.runtime}  ({done.choice.reason})"


def _document(done: SetUp) -> dict[str, Any]:
    return {
        "workspace": str(done.workspace),
        "runtime": done.choice.runtime,
        "reason": done.choice.reason,
        "image_digest": done.choice.image_digest,
        "lock": str(done.lock),
        "warmup": warmup_documents(done.warmed_up),
        "models": {
            name: {
                "base_path": str(model.base_path),
                "source": model.description,
                "commit": model.commit,
                "fresh": model.fresh,
                "fell_back": list(model.fell_back),
            }
            for name, model in done.models.items()
        },
    }
