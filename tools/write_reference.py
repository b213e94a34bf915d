"""Write the generated pages: configuration.md from the types, cli.md from the tasks, examples.md from the examples."""

from __future__ import annotations

from pathlib import Path

from tools.reference.command_page import command_page
from tools.reference.configuration_page import configuration_page
from tools.reference.examples_page import examples_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"configuration.md": configuration_page, "cli.md": command_page, "examples.md": examples_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
