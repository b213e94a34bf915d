"""Write docs/configuration.md from the YAML's types and docs/cli.md from the tasks: `invoke dev.docs`."""

from __future__ import annotations

from pathlib import Path

from tools.reference.command_page import command_page
from tools.reference.configuration_page import configuration_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"configuration.md": configuration_page, "cli.md": command_page}


def main() -> None:
    """Write both pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
