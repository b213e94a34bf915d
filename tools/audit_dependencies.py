"""Ask whether a pinned dependency has a known vulnerability, and never take silence for a no.

python tools/audit_dependencies.py [--required] [constraints.txt]

Uses pip-audit, which must be on PATH. Exit code 1 for a vulnerability. Where the vulnerability service does not answer,
that is a warning that names what was not audited; with --required it fails as well.
"""

# ruff: noqa: T201  # a command that talks to its caller

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 600


def pins(text: str) -> list[list[str]]:
    """The `name==version` lines, whatever Python or system they are for, in lists that hold each name once."""
    lists: list[list[str]] = []
    for line in text.splitlines():
        pin = line.partition(";")[0].partition("#")[0].strip()
        if pin:
            name = pin.partition("==")[0]
            fitting = next((one for one in lists if not any(p.startswith(f"{name}==") for p in one)), None)
            if fitting is None:
                lists.append(fitting := [])
            fitting.append(pin)
    return lists


def audited(pinned: list[str]) -> list[dict[str, Any]]:
    """What pip-audit says of each; what it said nothing about is skipped, with its own last words as the reason."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pinned) + "\n")
        file.flush()
        argv = ["pip-audit", "--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off", "-r", file.name]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return [{"name": pin, "skip_reason": reason} for pin in pinned]
    told = {dependency["name"].lower().replace("_", "-") for dependency in found}
    forgotten = [pin for pin in pinned if pin.partition("==")[0].lower().replace("_", "-") not in told]
    return found + [{"name": pin, "skip_reason": "not in pip-audit's answer"} for pin in forgotten]


def vulnerabilities(found: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each."""
    for dependency in found:
        for one in dependency.get("vulns") or ():
            fixed = ", ".join(one.get("fix_versions") or ()) or "no release yet"
            yield f"{dependency['name']} {dependency['version']}: {one['id']} (fixed in {fixed})"


def main(argv: list[str] | None = None) -> int:
    """Audit and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--required", action="store_true", help="fail where the service does not answer")
    parser.add_argument("constraints", nargs="?", type=Path, default=ROOT / "constraints.txt")
    options = parser.parse_args(argv)
    found = [one for pinned in pins(options.constraints.read_text(encoding="utf-8")) for one in audited(pinned)]
    skipped = [one for one in found if one.get("skip_reason")]
    bad = list(vulnerabilities(found))
    for line in bad:
        print(f"VULNERABLE {line}")
    print(f"{len(found) - len(skipped)} of {len(found)} pinned dependencies audited, {len(bad)} vulnerabilities known")
    if skipped:
        names = ", ".join(str(one["name"]) for one in skipped[:5])
        print(
            f"WARNING: {len(skipped)} dependencies were NOT audited ({names}, …): {skipped[0]['skip_reason']}",
            file=sys.stderr,
        )
    return 1 if bad or (skipped and options.required) or not found else 0


if __name__ == "__main__":
    sys.exit(main())
