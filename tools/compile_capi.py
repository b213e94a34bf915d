"""Compile tfs_workflow/modelserver/tensorflow/capi.h for cffi, so that the server does not read C when it starts.

python tools/compile_capi.py
"""

from __future__ import annotations

from pathlib import Path

import cffi

TENSORFLOW = Path(__file__).parents[1] / "tfs_workflow" / "modelserver" / "tensorflow"


def compile_capi(directory: Path) -> None:
    """Write capi_ffi.py into a directory."""
    ffi = cffi.FFI()
    ffi.cdef((TENSORFLOW / "capi.h").read_text())
    ffi.set_source("capi_ffi", None)
    ffi.compile(str(directory))


if __name__ == "__main__":
    compile_capi(TENSORFLOW)
