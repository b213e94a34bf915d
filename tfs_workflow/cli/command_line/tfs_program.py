"""The program `tfs`: Invoke's Program with only the options that apply here, and a one-line error for a wrong word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

from tfs_workflow.cli import console
from tfs_workflow.cli.command import CommandOptions, reported_errors
from tfs_workflow.cli.command_line.chain import Chain, contexts_by_name, read_chain
from tfs_workflow.cli.command_line.help_text import overview, verbs_below
from tfs_workflow.cli.command_line.suggestions import meant_word
from tfs_workflow.errors import ConfigError

# After these verbs, a word that is neither an option nor a verb is the value of this option.
_POSITIONAL = {"serve": "--path", "convert": "--file", "export": "--kind"}


class TfsProgram(Program):
    """`tfs`: common options may stand anywhere, `serve` takes a path, a usage error ends with exit code 2."""

    def __init__(self, verbs: Collection, version: str) -> None:
        super().__init__(name="tfs", binary="tfs", binary_names=["tfs"], version=version, namespace=verbs)
        self.verbs = verbs

    def core_args(self) -> list[Argument]:
        """Only the options of Invoke that apply here."""
        names = ("help", "version", "complete", "print-completion-script")
        listing = Argument(names=("list", "l"), kind=bool, default=False, help="List the verbs.")
        return [listing, *(argument for argument in super().core_args() if argument.name in names)]

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: ARG002  # Invoke's names
        """Run the verbs of a command line."""
        self.normalize_argv(argv)
        options = CommandOptions(json="--json" in self.argv)
        with reported_errors(options), suppress(Exit):  # Invoke raises Exit when there is nothing left to run
            self._run()

    def _run(self) -> None:
        self.create_config()
        self.collection = self.scoped_collection = self.verbs
        self.list_root, self.list_depth, self.list_format = None, None, "flat"
        self.contexts = contexts_by_name(self.collection.to_contexts())
        chain = read_chain(_with_positional(self._spelled_out(self.argv[1:]), self.contexts), self.contexts)
        self.argv = [self.argv[0], *chain.words]
        try:
            self.parse_core_args()
            self._run_core_options()
            self.parse_tasks()
        except (ParseError, ValueError) as error:
            raise self._usage_error(error) from error
        self.parse_cleanup()
        self._give_common_options(chain)
        self.config.load_overrides({"tasks": {"dedupe": False}})  # a verb that is given twice runs twice
        self.execute()

    def _spelled_out(self, words: list[str]) -> list[str]:
        """The words with `help` and `version` replaced by options; lists the verbs where the only word is a group."""
        match words:
            case ["help", *rest]:
                return ["--help", *rest[:1]]
            case ["version"]:
                return ["--version"]
            case [group] if group in self.collection.collections:
                self._list(group)
        return words

    def print_task_help(self, name: str) -> None:
        """Print the help of one verb: its purpose and its options."""
        doc = (self.collection[name].__doc__ or "").strip()
        console.result(f"tfs {name} [options]\n\n  {doc}\n\nOptions:")
        self.print_columns(self.contexts[name].help_tuples())

    def _run_core_options(self) -> None:
        if self.args.version.value:
            self.print_version()
            raise Exit
        if self.args["print-completion-script"].value:
            from invoke.completion.complete import print_completion_script  # noqa: PLC0415

            print_completion_script(shell=self.args["print-completion-script"].value, names=self.binary_names)
            raise Exit

    def parse_cleanup(self) -> None:
        """Run --help, --list and --complete, and print the help without a verb."""
        topic = self.args.help.value
        if isinstance(topic, str) and topic not in self.contexts:
            raise self._unknown_verb(topic)
        if isinstance(topic, str):
            self.print_task_help(topic)
            raise Exit
        if self.args.list.value and not topic:
            self._list("")
        if self.args.complete.value:
            super().parse_cleanup()
        if topic or not self.tasks:
            self.print_help()
            raise Exit

    def _list(self, group: str) -> NoReturn:
        """List every verb, or those of one group."""
        for line in verbs_below(self.collection, group):
            console.result(line)
        raise Exit

    def print_help(self) -> None:
        """Print the help of the program on one screen."""
        console.result(overview(self.collection))

    def _give_common_options(self, chain: Chain) -> None:
        console.set_json_lines(len(chain.verbs) > 1)
        for task in self.tasks:
            for name in ("config", "json", "verbose", "dry-run"):
                value = getattr(chain.options, name.replace("-", "_"))
                if value:
                    task.args[name].set_value(value, cast=False)

    def _usage_error(self, error: Exception) -> ConfigError:
        """The error for a command line that Invoke's parser rejects."""
        text = str(error)
        context = getattr(error, "context", None)
        if text.startswith("No idea what"):
            word = text.split("'", 1)[1].rsplit("'", 1)[0]
            return self._unknown_option(word, context) if word.startswith("-") else self._unknown_verb(word)
        if "needed value" in text and (flag := _last_flag(self.argv)):
            return ConfigError("needs a value", where=flag)
        return ConfigError(text)

    def _unknown_verb(self, word: str) -> ConfigError:
        meant = meant_word(word, set(self.contexts))
        fix = f"did you mean `tfs {meant}`?" if meant else "tfs --help lists the verbs"
        return ConfigError(f"there is no verb {word!r}", fix=fix)

    def _unknown_option(self, word: str, context: ParserContext | None) -> ConfigError:
        name = word.partition("=")[0]
        known = {*(context.flags if context else ()), "--config", "--json", "--verbose", "--dry-run", "--help"}
        verb = f" of {context.name}" if context and context.name else ""
        meant = meant_word(name, (flag for flag in known if flag.startswith("--")))
        fix = f"did you mean {meant}?" if meant else f"tfs --help{verb.replace(' of', '')} lists the options"
        return ConfigError(f"there is no option {name}{verb}", fix=fix)


def _with_positional(words: list[str], contexts: dict[str, ParserContext]) -> list[str]:
    """The command line with the option inserted before a positional word."""
    return list(_placed(words, contexts))


def _placed(words: list[str], contexts: dict[str, ParserContext]) -> Iterator[str]:
    verb, is_value, is_open = "", False, False
    for word in words:
        if is_value or word.startswith("-"):
            flag = contexts[verb].flags.get(word) if verb else None
            is_value = not is_value and (word == "--config" or (flag is not None and flag.takes_value))
        elif word in contexts:
            verb, is_open = word, word in _POSITIONAL
        elif is_open:
            is_open = False
            yield _POSITIONAL[verb]
        yield word


def _last_flag(argv: list[str]) -> str:
    return next((word for word in reversed(argv) if word.startswith("--")), "")
