"""The help of the whole program on one screen, and the verbs of a group."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.collection import Collection

_GROUPS = {
    "Serve a model": ("setup", "serve", "status", "logs", "teardown"),
    "Call it": ("predict", "describe"),
    "Know how good it is": ("verify", "warmup", "bench"),
    "Maintain it": (
        "doctor",
        "convert",
        "demo",
        "export",
        "config.check",
        "config.init",
        "config.schema",
        "image.build",
    ),
}
_HEAD = """\
tfs takes a TensorFlow model to a served, health-checked model server and its predictions.

  tfs serve ./my_model             serve a SavedModel; prints a request that works
  tfs setup serve predict          every step for the models of the YAML
  tfs teardown                     remove the server
"""
_TAIL = """\
Options for every verb, at any place:
  --config PATH   the YAML (default: $TFS_CONFIG, else config/tfs.yaml, else tfs.yaml)
  --json          the result, or the error, as JSON on stdout
  --dry-run       change nothing; print what would be done
  --verbose       debug lines

tfs VERB --help lists a verb's options. Documentation: README.md and docs/ of the project."""


def overview(verbs: Collection) -> str:
    """The help of the program: its purpose, three examples, the verbs in groups, the common options."""
    return "\n".join([_HEAD, *_grouped(verbs), _TAIL])


def verbs_below(verbs: Collection, group: str) -> Iterator[str]:
    """A line for each verb, or for each of one group."""
    names = [name for name in sorted(verbs.task_names) if name.startswith(f"{group}." if group else "")]
    yield from _lines(verbs, names)


def _grouped(verbs: Collection) -> Iterator[str]:
    rest = set(verbs.task_names)
    for title, names in _GROUPS.items():
        yield f"{title}:"
        yield from _lines(verbs, [name for name in names if name in rest])
        yield ""
        rest -= set(names)


def _lines(verbs: Collection, names: list[str]) -> Iterator[str]:
    for name in names:
        yield f"  {name:<15} {(verbs[name].__doc__ or '').splitlines()[0]}"
