"""The common options of one verb: those of the whole chain; Invoke's own options are rejected where they mislead.

The program `tfs` reads the chain before Invoke does. Under `invoke` that is not possible: there, the first verb reads
the process's command line, so that an option after a later verb applies to the first one as well.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache

from invoke.context import Context

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, reported_errors
from tfs_workflow.cli.command_line.chain import Chain, contexts_by_name, read_chain
from tfs_workflow.cli.program_name import program_name
from tfs_workflow.errors import ConfigError


def options_for(c: Context, config: str, json: bool, verbose: bool, dry_run: bool) -> CommandOptions:
    """The options of one verb; exits with code 2 at an option of Invoke that the verbs do not follow."""
    own = CommandOptions(config, json, verbose, dry_run)
    if program_name() == "tfs":
        return own
    with reported_errors(replace(own, json=own.json or "--json" in sys.argv)):
        chain = _chain(tuple(sys.argv))
        _reject_invoke_options(c)
    console.set_json_lines(len(chain.verbs) > 1)
    common = chain.options
    return CommandOptions(
        own.config or common.config,
        own.json or common.json,
        own.verbose or common.verbose,
        own.dry_run or common.dry_run or bool(c.config.run.dry),
    )


@cache
def _chain(argv: tuple[str, ...]) -> Chain:
    from tfs_workflow.cli.tasks import collection  # noqa: PLC0415  # the tasks import this module when they run

    contexts = contexts_by_name(collection().to_contexts())
    words = list(argv[1:])
    # Words before the first verb are options of Invoke itself.
    while words and words[0] not in contexts:
        words.pop(0)
    return read_chain(words, contexts)


def _reject_invoke_options(c: Context) -> None:
    """Raise ConfigError for options of Invoke that a verb does not follow."""
    run = c.config.run
    given = {
        "--config (-f) before a verb": getattr(c.config, "_runtime_path", None),
        "--echo (-e)": run.echo,
        "--hide": run.hide,
        "--pty (-p)": run.pty,
        "--warn-only (-w)": run.warn,
        "--command-timeout (-T)": c.config.timeouts.command,
    }
    for option, value in given.items():
        if value:
            fix = "put --config behind the verb" if option.startswith("--config") else "leave it out"
            raise ConfigError("an option of Invoke itself, which the verbs here do not follow", where=option, fix=fix)
