"""Counts what a reader of the code meets: sizes, names, folders, and how many files one run passes through.

Sizes alone praise code that is cut into ever smaller pieces. The walks are the counterweight: they trace a real
prediction and a real `serve`, and count how often a reader who follows them opens a file, and opens it again.

python -m tools.figures [DIRECTORY] [--against DIRECTORY] [--no-walks]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.figures.counts import counts
from tools.figures.walks import walks

ROOT = Path(__file__).parents[2]


def figures(checkout: Path, with_walks: bool = True) -> dict[str, str]:
    """Every figure of a checkout by its name."""
    return counts(checkout) | (walks(checkout) if with_walks else {})


def table(columns: dict[str, dict[str, str]]) -> str:
    """A Markdown table with a row for each figure and a column for each checkout."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    rows = [["figure", *columns], ["---"] * (len(columns) + 1)]
    rows += [[name, *(column.get(name, "") for column in columns.values())] for name in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--against", type=Path, help="a second checkout, in a column beside it")
    parser.add_argument("--no-walks", dest="walks", action="store_false", help="run nothing, count only")
    options = parser.parse_args(argv)
    columns = {"here": figures(options.directory.resolve(), options.walks)}
    if options.against:
        columns["against"] = figures(options.against.resolve(), options.walks)
    print(table(columns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
