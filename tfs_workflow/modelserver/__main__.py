"""`python -m tfs_workflow.modelserver`: starts the server, or names a missing package in one line."""

from __future__ import annotations

import os
import sys
import threading

_MISSING = 3


def main() -> int:
    """Run the server with the process's arguments; returns the exit code."""
    # Usage errors and --help need none of the packages, so they are answered before any is imported.
    from tfs_workflow.modelserver import flags  # noqa: PLC0415  # imported when needed

    try:
        parsed = flags.parse(sys.argv[1:])
    except flags.UsageError as error:
        sys.stderr.write(f"{error}\n{flags.usage(sys.argv[0])}")
        # TensorFlow Serving's own exit code: main returns -1 (model_servers/main.cc).
        return 255
    if "--help" in parsed.unknown:
        sys.stdout.write(flags.usage("tensorflow_model_server"))
        return 0
    try:
        return _run(parsed)
    except ImportError as error:
        return _report_missing(str(error))


def _run(parsed: object) -> int:
    from tfs_workflow.modelserver import packages  # noqa: PLC0415

    missing = packages.first_missing()
    if missing is not None:
        return _report_missing(f"No module named {missing!r}")
    from tfs_workflow.modelserver.tensorflow import capi  # noqa: PLC0415

    failures: list[str] = []

    def load() -> None:
        try:
            capi.load()
        except (capi.LibraryMissingError, ImportError) as error:
            failures.append(str(error))

    # The library takes most of the start, nearly all of it without the GIL: everything else is imported meanwhile.
    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    from tfs_workflow.modelserver import server  # noqa: PLC0415

    # The server module uses the library only when it runs, so that importing it beside the load is safe.
    loading.join()
    return _report_missing(failures[0]) if failures else server.run(parsed)  # type: ignore[arg-type]


def _report_missing(what: str) -> int:
    sys.stderr.write(f"The embedded model server needs more packages ({what}): pip install 'tfs-workflow[embedded]'\n")
    return _MISSING


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of TensorFlow still run; taking the library down under them would end in a crash.
    os._exit(code)
