"""A bench in a file: written with --save, read again with --compare."""

from __future__ import annotations

import json
from pathlib import Path

from tfs_workflow.errors import ConfigError
from tfs_workflow.quality.bench.result import BenchResult
from tfs_workflow.state.atomic_file import write_named


def write_saved(path: Path, result: BenchResult) -> None:
    """Write the result as JSON; ConfigError where that is not possible."""
    write_named(path, json.dumps(result.document(), indent=1) + "\n")


def read_saved(path: Path) -> BenchResult:
    """A result that was saved; raises ConfigError for a file that cannot be read or is none."""
    try:
        return BenchResult.read(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigError("cannot be read", where=str(path), evidence=str(error.strerror)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            "holds no saved bench", where=str(path), evidence=repr(error), fix="write one with bench --save FILE"
        ) from error
