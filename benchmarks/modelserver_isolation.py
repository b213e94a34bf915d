"""How long a small request takes alone, beside a slow model, and beside huge requests.

python -m benchmarks.modelserver_isolation [--seconds 10]
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.modelserver_wrk import BUNDLED, Server, free_port, instances, started, table
from tests.modelserver import graphs

SMALL = "/v1/models/half_plus_two:predict"
BODY = instances(1.0, 2.0, 5.0)


def latencies_ms(server: Server, seconds: float) -> list[float]:
    """Small requests one after another over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    taken = []
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s:
        began_s = time.perf_counter()
        connection.request("POST", SMALL, BODY)
        connection.getresponse().read()
        taken.append((time.perf_counter() - began_s) * 1000)
    return taken


def beside(job: Callable[[], object], server: Server, seconds: float) -> list[float]:
    """Measure while two threads do the job again and again."""
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            job()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken = latencies_ms(server, seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return taken


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        graphs.slow(Path(directory, "slow", "1"), products=10, size=1000)
        models = {"half_plus_two": BUNDLED, "slow": Path(directory, "slow")}
        text = "".join(
            f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
            for name, path in models.items()
        )
        Path(directory, "models.config").write_text(f"model_config_list {{ {text} }}")
        port = free_port()
        command = [sys.executable, "-m", "tfs_workflow.modelserver", f"--model_config_file={directory}/models.config"]
        command += ["--bind_address=127.0.0.1", "--port=0", f"--rest_api_port={port}"]
        with started("embedded", command, port, SMALL, BODY) as server:
            huge = instances(*([1.5] * 1000 for _ in range(4000)))
            cases: dict[str, Callable[[], object] | None] = {
                "alone": None,
                "beside two slow requests": lambda: server.post("/v1/models/slow:predict", instances(1.0)),
                f"beside two requests of {len(huge) / 1e6:.0f} MB": lambda: server.post(SMALL, huge),
            }
            rows = []
            for name, job in cases.items():
                taken = sorted(beside(job, server, options.seconds) if job else latencies_ms(server, options.seconds))
                p99 = taken[int(len(taken) * 0.99)]
                rows.append([name, f"{statistics.median(taken):.2f} ms", f"{p99:.1f} ms", f"{taken[-1]:.0f} ms"])
            print(table(["a small request", "p50", "p99", "longest"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
