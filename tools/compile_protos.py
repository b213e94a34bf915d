"""Compile tfs_workflow/protos/*.proto with a pinned protoc, so that the code runs with every protobuf we allow.

    python tools/compile_protos.py

Code made by a newer protoc refuses to run with an older protobuf; 31.1 is the oldest that we support.
"""

from __future__ import annotations

import subprocess
import tempfile
import venv
from pathlib import Path

GRPCIO_TOOLS = "grpcio-tools==1.75.1"  # the last release that carries protoc 31.1
ROOT = Path(__file__).parents[1]


def compile_protos(python: Path) -> None:
    """Write the *_pb2.py and *_pb2.pyi files beside their sources."""
    sources = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tfs_workflow" / "protos").glob("*.proto"))]
    protoc = [str(python), "-m", "grpc_tools.protoc", "--proto_path=.", "--python_out=.", "--pyi_out=."]
    subprocess.run([*protoc, *sources], cwd=ROOT, check=True)


def main() -> None:
    """Make a temporary environment with the pinned compiler and run it."""
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        python = Path(scratch, "bin", "python")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", GRPCIO_TOOLS], check=True)
        compile_protos(python)


if __name__ == "__main__":
    main()
