"""`serve` against a hand-written `docker run` with a curl loop, and `teardown` against a plain `docker stop`.

python -m benchmarks.docker_life IMAGE
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.lab import BUNDLED, lab, report, seconds, tfs
from tfs_workflow.config.load import load
from tfs_workflow.sources.transfer import TransferContext
from tfs_workflow.workflow.start import start

ROUNDS = 7
PORT = 18501
NAME = "tfs-bench-by-hand"
# The entry script of tensorflow/serving 2.20.0. Ours execs the server, which `docker stop` would profit from.
ENTRY_SCRIPT = """#!/bin/bash

tensorflow_model_server --port=8500 --rest_api_port=8501 \\
--model_name=${MODEL_NAME} --model_base_path=${MODEL_BASE_PATH}/${MODEL_NAME} \\
"$@"
"""
CURL_LOOP = f"""
until curl -fs http://127.0.0.1:{PORT}/v1/models/half_plus_two | grep -q AVAILABLE; do sleep 0.01; done
"""


def by_hand(image: str, script: Path) -> None:
    """What people write: run, then poll every 10 ms."""
    mounts = ["-v", f"{BUNDLED}:/models/half_plus_two:ro", "-v", f"{script}:/usr/bin/tf_serving_entrypoint.sh:ro"]
    argv = ["docker", "run", "-d", "--name", NAME, "-p", f"127.0.0.1:{PORT}:8501", *mounts]
    subprocess.run([*argv, "-e", "MODEL_NAME=half_plus_two", image], check=True, capture_output=True)
    subprocess.run(["bash", "-c", CURL_LOOP], check=True)


def stop_by_hand() -> None:
    """What people type."""
    subprocess.run(["docker", "stop", NAME], check=True, capture_output=True)


def remove_by_hand() -> None:
    """Outside the measurement."""
    subprocess.run(["docker", "rm", "-f", NAME], check=False, capture_output=True)


def start_to_return(config: Path) -> float:
    """Seconds from the decision to start until every model is AVAILABLE, without the interpreter's own start."""
    taken = seconds(lambda: start(load(config), TransferContext()))
    tfs("teardown", config)
    return taken


def main() -> int:
    """Print the three ratios; exit 1 when one is missed."""
    image = sys.argv[1] if len(sys.argv) > 1 else "tfs-workflow/model-server:test"
    good = True
    with lab("docker", image=image) as config:
        tfs("setup", config)
        script = config.with_name("entrypoint.sh")
        script.write_text(ENTRY_SCRIPT)
        script.chmod(0o755)
        inside: list[float] = []
        whole: list[float] = []
        hand: list[float] = []
        teardowns: list[float] = []
        stops: list[float] = []
        for _ in range(ROUNDS):
            inside.append(start_to_return(config))
            whole.append(seconds(lambda: tfs("serve", config)))
            teardowns.append(seconds(lambda: tfs("teardown", config)))
            hand.append(seconds(lambda: by_hand(image, script)))
            if len(stops) < 3:
                stops.append(seconds(stop_by_hand))
            remove_by_hand()
        middle = statistics.median
        good &= report("serve on Docker, start to return / docker run + curl loop", middle(inside), middle(hand), 1.15)
        good &= report("invoke serve, whole process / by hand + 0.7 s", middle(whole), middle(hand) + 0.7, 1)
        good &= report("invoke teardown / docker stop of the entry script", middle(teardowns), middle(stops), 0.1)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
