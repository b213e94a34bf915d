"""Loads TensorFlow's library while the rest of the server is imported, or names in one line what is missing."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Sequence

from tfs_workflow.modelserver import packages

_MISSING = 3
# The packages with extension modules that the engine imports, and the server of one process with its front.
ENGINE_EXTENSIONS = (
    "bisect",
    "google.protobuf.descriptor",
    "google_crc32c",
    "mmap",
    "numpy",
    "orjson",
    "simdjson",
    "uvloop",
)
SERVER_EXTENSIONS = (*ENGINE_EXTENSIONS, "httptools", "ngh2", "zlib")


def with_library(imported: Callable[[], Callable[[], int]], extensions: Sequence[str]) -> int:
    """Load the library; then call what `imported` has imported meanwhile. Returns its exit code, or one of our own.

    All of `extensions` are installed (packages_missing).
    """
    from tfs_workflow.modelserver.tensorflow import capi  # noqa: PLC0415  # only once its packages are there

    # To open an extension module waits for the library's load, and holds the GIL: these are imported before.
    for name in extensions:
        importlib.import_module(name)
    failures: list[str] = []

    def load() -> None:
        try:
            capi.load()
        except (capi.LibraryMissingError, ImportError) as error:
            failures.append(str(error))

    # The library takes most of the start, nearly all of it without the GIL: everything else is imported meanwhile.
    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    # What is imported uses the library only when it runs, so that importing it beside the load is safe.
    run = imported()
    loading.join()
    return report_missing(failures[0]) if failures else run()


def packages_missing() -> int:
    """An exit code, after a line that names the missing package; 0 when all are there."""
    missing = packages.first_missing()
    return 0 if missing is None else report_missing(f"No module named {missing!r}")


def report_missing(what: str) -> int:
    """Print what is missing; returns the exit code."""
    sys.stderr.write(f"The embedded model server needs more packages ({what}): pip install 'tfs-workflow[embedded]'\n")
    return _MISSING
