"""Builds an invoke task from a declaration: its name, its options and its help text.

A declaration has no body. Its parameters are the verb's own options; the common options are added to them. The verb
is in a module of its own, which is imported when the task runs, so that `invoke --list` stays fast.
"""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from tfs_workflow.cli.signals import arm

COMMON = {
    "config": "Path of the YAML (default: $TFS_CONFIG, else config/tfs.yaml, else tfs.yaml).",
    "json": "Print the result, or the error, as one JSON document on stdout.",
    "verbose": "Show debug lines, and the traceback of an unexpected error.",
    "dry_run": "Change nothing; print what would be done.",
}
_TEXT, _SWITCH = "", False

Declaration = Callable[..., None]


class Verb(Task[Any]):
    """A task whose arguments have their help texts on every call; Invoke's Task has them on the first call only."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options for Invoke's parser."""
        help_texts = dict(self.help)
        try:
            return list(super().get_arguments(ignore_unknown_help))
        finally:
            self.help = help_texts


def verb_task(place: str, *, repeatable: Sequence[str] = (), **help_texts: str) -> Callable[[Declaration], Verb]:
    """A decorator that builds the task for the function `place` ("module.function" below tfs_workflow.cli).

    `help_texts` describe the declaration's own options; a `repeatable` one may be given several times.
    """
    module, _, function = place.rpartition(".")

    def declare(declaration: Declaration) -> Verb:
        def body(c: Context, **values: Any) -> None:
            with _lean_imports():
                chain = import_module("tfs_workflow.cli.command_line.verb_options")
                verb = getattr(import_module(f"tfs_workflow.cli.{module}"), function)
            common = {name: values.pop(name) for name in COMMON}
            verb(chain.options_for(c, **common), **values)

        body.__name__, body.__doc__ = declaration.__name__, declaration.__doc__
        body.__signature__ = _with_common_options(declaration, repeatable)  # type: ignore[attr-defined]
        options = {"help": help_texts | COMMON, "iterable": list(repeatable), "auto_shortflags": False}
        make = cast("Callable[[Declaration], Verb]", task(klass=Verb, **options))
        return make(body)

    return declare


def _with_common_options(declaration: Declaration, repeatable: Sequence[str]) -> inspect.Signature:
    """The signature that Invoke reads a task's options from: the context first, then one parameter per option.

    An option that may be repeated must have no default there.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    context = inspect.Parameter("c", kind)
    declared = inspect.signature(declaration).parameters
    lists = [inspect.Parameter(name, kind) for name in repeatable]
    own = [parameter for name, parameter in declared.items() if name not in repeatable]
    defaults = {name: _TEXT if name == "config" else _SWITCH for name in COMMON}
    common = [inspect.Parameter(name, kind, default=value) for name, value in defaults.items()]
    return inspect.Signature([context, *lists, *own, *common])


@contextmanager
def _lean_imports() -> Iterator[None]:
    """Import without garbage collection and pydantic's plugins, which take a sixth of the time."""
    arm()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
