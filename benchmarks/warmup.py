"""The first request to a model with warm-up requests, and to the same model without."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import yaml

from benchmarks.lab import environment, report, seconds, tfs

ROUNDS = 5
# An image classifier without trained weights: what its first run builds does not depend on them.
EXPORT = """\
import keras, sys
keras.applications.MobileNetV2(weights=None).export(sys.argv[1], verbose=False)
"""
ROW = [[[0.5, 0.5, 0.5]] * 224] * 224


def _first_request(config: Path) -> tuple[float, float]:
    """The seconds that the first and the second request to a server take that was just started."""
    url = json.loads(tfs("serve", config, "--json"))["rest_url"]
    body = json.dumps({"instances": [ROW]}).encode()

    def ask() -> None:
        with urllib.request.urlopen(f"{url}/v1/models/images:predict", body, timeout=60) as answer:
            answer.read()

    try:
        return seconds(ask), seconds(ask)
    finally:
        tfs("teardown", config)


def _config(directory: Path, name: str) -> Path:
    model = {"source": {"directory": str(directory / name)}, "smoke": False}
    config = {
        "project": f"bench-{directory.name}-{name}",
        "workspace": f"workspace-{name}",
        "runtime": "embedded",
        "server": {"rest_port": "auto", "grpc_port": "auto"},
        "models": {"images": model},
    }
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    tfs("setup", path)
    return path


def main() -> int:
    """Print the ratio of the two, and that of the second requests; exit 1 when the first is missed."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        for name in ("cold", "warm"):
            place = str(directory / name / "1")
            subprocess.run([sys.executable, "-c", EXPORT, place], check=True, capture_output=True, env=environment())
        cold, warm = _config(directory, "cold"), _config(directory, "warm")
        (directory / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
        tfs("warmup", warm, "--in-place", "--from", str(directory / "rows.jsonl"))
        taken: dict[Path, list[tuple[float, float]]] = {cold: [], warm: []}
        for _ in range(ROUNDS):
            for config, found in taken.items():
                found.append(_first_request(config))
    first, second = zip(*(map(statistics.median, zip(*found, strict=True)) for found in taken.values()), strict=True)
    good = report("first request, warm / cold", first[1], first[0], 0.8)
    report("second request, warm / cold", second[1], second[0], 1.5)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
