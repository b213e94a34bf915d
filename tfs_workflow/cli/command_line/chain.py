"""The common options of a whole chain of verbs, wherever they stand in it.

Invoke applies an option to the verb that it follows, and before the first verb `--config`, `-f` and `-R` are options
of Invoke itself. So `tfs setup serve --config x` would set up another project than it serves. The command line is
therefore read once before Invoke reads it: a common option at any place applies to every verb. The values of other
options must be skipped, so this reader also knows which options take a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from invoke.parser.context import ParserContext

from tfs_workflow.cli.command import CommandOptions
from tfs_workflow.errors import ConfigError

_SWITCHES = {"--json": "json", "--verbose": "verbose", "--dry-run": "dry_run"}
_CONFIG = "--config"


@dataclass(frozen=True)
class Chain:
    """A parsed command line: the common options, the verbs, and every other word in order."""

    options: CommandOptions
    verbs: tuple[str, ...]
    words: tuple[str, ...]


def contexts_by_name(contexts: Iterable[ParserContext]) -> dict[str, ParserContext]:
    """The verbs' parser contexts by name and alias."""
    return {name: context for context in contexts for name in (context.name or "", *context.aliases)}


def read_chain(words: Sequence[str], contexts: Mapping[str, ParserContext]) -> Chain:
    """Separate the common options from a command line.

    Raises ConfigError when --config has no value or is given twice with different values.
    """
    options, verbs, rest = CommandOptions(), [], []
    for word, value, verb in _tokens(words, contexts):
        name, _, attached = word.partition("=")
        if name == _CONFIG:
            options = replace(options, config=_one_config(options.config, attached or value))
        elif word in _SWITCHES:
            options = _switched_on(options, _SWITCHES[word])
        else:
            rest += [word] if value is None else [word, value]
            if verb:
                verbs.append(word)
    return Chain(options, tuple(verbs), tuple(rest))


def _switched_on(options: CommandOptions, name: str) -> CommandOptions:
    values: dict[str, Any] = {name: True}
    return replace(options, **values)


def _tokens(words: Sequence[str], contexts: Mapping[str, ParserContext]) -> Iterator[tuple[str, str | None, bool]]:
    """Each word with the value that it takes (None: none), and whether it is a verb."""
    context: ParserContext | None = None
    remaining = iter(words)
    for word in remaining:
        if word in contexts:
            context = contexts[word]
            yield word, None, True
        elif word == _CONFIG or _takes_value(word, context):
            yield word, next(remaining, None), False
        else:
            yield word, None, False


def _takes_value(word: str, context: ParserContext | None) -> bool:
    argument = context.flags.get(word) if context else None
    return argument is not None and argument.takes_value and not argument.optional


def _one_config(before: str, value: str | None) -> str:
    if not value:
        raise ConfigError("needs the path of a YAML file", where=_CONFIG)
    if before and before != value:
        raise ConfigError(f"two files for one chain: {before} and {value}", where=_CONFIG, fix="run two commands")
    return value
