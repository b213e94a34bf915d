"""A label moved by a reload against the replacement of the server: what a client beside it notices, and the seconds.

python -m benchmarks.replace [RUNTIME [IMAGE]]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.lab import lab, report, seconds, tfs
from tests.support.load import Load, load_on
from tests.support.reloads import LATEST, archived

ROUNDS = 5
IMAGE = "tfs-workflow/model-server:test"


@dataclass
class Lab:
    """A served project whose YAML is changed by each round."""

    path: Path
    url: str

    def served(self, change: dict[str, Any], of: str) -> tuple[float, Load]:
        """Change the server's or the model's keys and serve under load: the verb's seconds, and the client's count."""
        config = yaml.safe_load(self.path.read_text())
        (config["server"] if of == "server" else config["models"]["half_plus_two"]).update(change)
        self.path.write_text(yaml.safe_dump(config))
        with load_on(self.url, LATEST) as load:
            taken_s = seconds(lambda: tfs("serve", self.path))
        return taken_s, load


def rounds(project: Lab) -> tuple[list[tuple[float, Load]], list[tuple[float, Load]]]:
    """Reloads and replacements in turns."""
    reloads, replacements = [], []
    for number in range(ROUNDS):
        reloads.append(project.served({"labels": {"stable": 1 + number % 2}}, "model"))
        replacements.append(project.served({"metrics": number % 2 == 0}, "server"))
    return reloads, replacements


def shown(what: str, found: list[tuple[float, Load]]) -> float:
    """Print the medians of what the client noticed; the median of the verb's seconds."""
    refused = statistics.median(len(load.failures) for _, load in found)
    gap_s = statistics.median(load.gap_s for _, load in found)
    answered = sum(load.answered for _, load in found)
    print(f"{what}: {refused:g} requests refused, {gap_s:.2f} s without answers, {answered} answered beside it")
    return statistics.median(taken_s for taken_s, _ in found)


def main() -> int:
    """Print both; exit 1 when a reload lost a request or took longer than a replacement."""
    runtime = sys.argv[1] if len(sys.argv) > 1 else "embedded"
    server = {"image": sys.argv[2] if len(sys.argv) > 2 else IMAGE} if runtime == "docker" else {}
    with tempfile.TemporaryDirectory() as directory, lab(runtime, **server) as path:
        config = yaml.safe_load(path.read_text())
        source = archived(Path(directory), "1", "2")
        config["models"]["half_plus_two"] |= {"source": source, "versions": "all", "labels": {"stable": 2}}
        path.write_text(yaml.safe_dump(config))
        tfs("setup", path)
        url = json.loads(tfs("serve", path, "--json"))["rest_url"]
        reloads, replacements = rounds(Lab(path, url))
    reload_s = shown(f"{runtime}: label moved by a reload", reloads)
    replace_s = shown(f"{runtime}: server replaced", replacements)
    good = report("serve: reload / replacement, whole process", reload_s, replace_s, 1)
    return 0 if good and not any(load.failures for _, load in reloads) else 1


if __name__ == "__main__":
    sys.exit(main())
