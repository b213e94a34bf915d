"""How long a small request takes alone, beside a slow model, and beside requests of some size and huge ones.

python -m benchmarks.modelserver.isolation [--seconds 10]

Each load is a wrk of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from benchmarks.modelserver.load import BUNDLED, instances, started, table
from tests.support.modelserver import graphs
from tests.support.modelserver.running import free_port

SMALL = "/v1/models/half_plus_two:predict"
SLOW = "/v1/models/slow:predict"
BODY = instances(1.0, 2.0, 5.0)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="length of each measurement")
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
        larger, huge = (instances(*([1.5] * 1000 for _ in range(rows))) for rows in (60, 4000))
        with started("embedded", command, port, SMALL, BODY) as server:
            for _ in range(100):
                server.post(SMALL, BODY)
            cases: dict[str, AbstractContextManager[None]] = {
                "alone": nullcontext(),
                "beside two slow requests": server.loaded(SLOW, instances(1.0), 2),
                f"beside four requests of {len(larger) / 1e6:.1f} MB": server.loaded(SMALL, larger, 4),
                f"beside two requests of {len(huge) / 1e6:.0f} MB": server.loaded(SMALL, huge, 2),
            }
            rows = []
            for name, beside in cases.items():
                with beside:
                    load = server.load(SMALL, BODY, 1, options.seconds)
                times = (load.p50_ms, load.p99_ms, load.longest_ms)
                rows.append([name, *(f"{time_ms:.2f} ms" for time_ms in times)])
            print(table(["a small request", "p50", "p99", "longest"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
