"""`predict --input rows.jsonl` against a loop of single `requests.post` calls, and its memory as the rows grow.

Both ask the same embedded server; the figures of `predict` are those of the whole process, interpreter included.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import requests

from benchmarks.lab import environment, lab, tfs

ROWS = 100_000
LOOP_ROWS = 2_000
MEMORY_ROWS = (10_000, 100_000, 1_000_000)
FASTER = 20
GROWTH_MIB = 8


def main() -> int:
    """Print one table; exit 1 when a target is missed."""
    with lab("embedded") as config:
        tfs("setup", config)
        tfs("serve", config)
        url = json.loads(tfs("status", config, "--json"))["rest_url"] + "/v1/models/half_plus_two:predict"
        # The loop is measured before and after, so that a noisy neighbour meets both.
        before = _loop(url, requests.post)
        streamed = {count: _predict(config, count) for count in MEMORY_ROWS}
        after = _loop(url, requests.post)
        with requests.Session() as session:
            session.trust_env = False
            kept_alive = _loop(url, session.post)
    loop = max(before, after)
    ratio = streamed[ROWS][0] / loop
    growth_mib = streamed[MEMORY_ROWS[-1]][1] - streamed[MEMORY_ROWS[0]][1]
    print(f"{'':34}{'rows/s':>10}{'ratio':>9}{'peak MiB':>10}")
    print(f"{'loop of requests.post':34}{loop:10.0f}{1:9.1f}")
    print(f"{'the same in one requests.Session':34}{kept_alive:10.0f}{kept_alive / loop:9.1f}")
    for count, (rate, peak_mib) in streamed.items():
        print(f"{f'predict --input, {count:,} rows':34}{rate:10.0f}{rate / loop:9.1f}{peak_mib:10.1f}")
    good = ratio >= FASTER and growth_mib <= GROWTH_MIB
    print(f"at {ROWS:,} rows {ratio:.1f} x the rows per second of the loop (at least {FASTER})")
    print(f"100 x the rows take {growth_mib:+.1f} MiB (at most {GROWTH_MIB})")
    return 0 if good else 1


def _loop(url: str, post: object) -> float:
    """Rows per second of one request a row, as people write it by hand."""
    assert callable(post)
    start = time.perf_counter()
    for number in range(LOOP_ROWS):
        post(url, json={"instances": [number / 8]}).raise_for_status()
    return LOOP_ROWS / (time.perf_counter() - start)


def _predict(config: Path, count: int) -> tuple[float, float]:
    """Rows per second and peak resident MiB of the verb in a process of its own; its answers are checked."""
    source, output = config.with_name("rows.jsonl"), config.with_name("predictions.jsonl")
    with source.open("w") as file:
        file.writelines(f"{number / 8}\n" for number in range(count))
    argv = [sys.executable, "-m", "tfs_workflow.cli.program", "predict", "--config", str(config)]
    start = time.perf_counter()
    child = subprocess.Popen([*argv, "--input", str(source), "--output", str(output)], env=environment())
    _, status, usage = os.wait4(child.pid, 0)
    taken_s = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("predict failed")
    with output.open() as file:
        right = sum(math.isclose(float(line), number / 16 + 2, rel_tol=1e-6) for number, line in enumerate(file))
    if right != count:
        raise SystemExit(f"{count - right} of {count} predictions are wrong or missing")
    return count / taken_s, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
