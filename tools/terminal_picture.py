"""Draw docs/pictures/terminal.svg from a real run of `tfs` on a pseudo terminal: `invoke dev.pictures`.

The run serves a copy of the bundled model with the embedded runtime, without Docker, network or YAML. Ports, process
ids and times differ with each run; they are replaced by constants, so that the same output gives the same picture.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from html import escape
from pathlib import Path

import pexpect

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "terminal.svg"
MODEL = Path(__file__).parents[1] / "tfs_workflow" / "bundled" / "half_plus_two" / "00000123"
COMMANDS = (
    "tfs serve ./my_model",
    "tfs predict",
    "tfs predict --instances '[8, 16]'",
    "tfs status",
    "tfs teardown",
)
_CONSTANTS = {
    r"\bwork-[0-9a-f]{8}\b": "work-5e2b7c90",
    r"http://127\.0\.0\.1:\d+": "http://127.0.0.1:8501",
    r"gRPC 127\.0\.0\.1:\d+": "gRPC 127.0.0.1:8500",
    r"up \d+ min \d+ s": "up 0 min 2 s",
    r"(?<=embedded server )\d+": "4711",
}
_LINE, _LETTER, _MARGIN = 20, 7.9, 16


def main() -> None:
    """Run the commands and write the picture."""
    PICTURE.write_text(picture(terminal_lines()), encoding="utf-8")


def terminal_lines() -> list[str]:
    """The commands, each behind a prompt, and what they print."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory) / "work"
        shutil.copytree(MODEL, work / "my_model")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TFS_")}
        # Without colours there are no progress bars either, which a terminal erases at the end.
        environment |= {"TFS_RUNTIME": "embedded", "XDG_CACHE_HOME": f"{directory}/cache", "NO_COLOR": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        try:
            return [line for command in COMMANDS for line in _command_lines(command, work, environment)]
        finally:
            pexpect.run("tfs teardown --purge", cwd=work, env=environment, timeout=60)


def _command_lines(command: str, directory: Path, environment: dict[str, str]) -> list[str]:
    text, code = pexpect.run(command, withexitstatus=True, cwd=directory, env=environment, timeout=60, encoding="utf-8")
    if code != 0:
        raise SystemExit(f"{command} exited {code}\n{text}")
    for pattern, constant in _CONSTANTS.items():
        text = re.sub(pattern, constant, text)
    return [f"$ {command}", *text.replace("\r", "").splitlines()]


def picture(lines: list[str]) -> str:
    """The SVG of a terminal that shows these lines; commands are bold."""
    width = round(2 * _MARGIN + _LETTER * max(map(len, lines)))
    height = 2 * _MARGIN + _LINE * len(lines)
    rows = (_row(line, _MARGIN + _LINE * (row + 0.7)) for row, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="13">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#16202c"/>\n{"".join(rows)}</svg>\n'
    )


def _row(line: str, y: float) -> str:
    style = 'fill="#8fd18b" font-weight="bold"' if line.startswith("$ ") else 'fill="#dde5ee"'
    return f'<text x="{_MARGIN}" y="{y:g}" xml:space="preserve" {style}>{escape(line)}</text>\n'


if __name__ == "__main__":
    main()
