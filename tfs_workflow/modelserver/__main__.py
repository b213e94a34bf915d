"""`python -m tfs_workflow.modelserver`: starts the server, or names a missing package in one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from tfs_workflow.modelserver import flags
from tfs_workflow.modelserver.flags import Flags
from tfs_workflow.modelserver.tensorflow import startup


def main() -> int:
    """Run the server with the process's arguments; returns the exit code."""
    # A hook may announce the end while the models load; it counts from when they serve.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))
    # Usage errors and --help need no packages, so they are answered before any is imported.
    try:
        arguments = flags.expanded(sys.argv[1:])
        parsed = flags.parse(arguments)
    except flags.UsageError as error:
        sys.stderr.write(f"{error}\n{flags.usage(sys.argv[0])}")
        return flags.FAILED
    if "--help" in parsed.unknown:
        sys.stdout.write(flags.usage("tensorflow_model_server"))
        return 0
    try:
        return _run(parsed, arguments)
    except ImportError as error:
        return startup.report_missing(str(error))


def _run(parsed: Flags, arguments: list[str]) -> int:
    code = startup.packages_missing()
    if code:
        return code
    if parsed.fronts > 0 and parsed.names_a_model and not parsed.version:
        from tfs_workflow.modelserver.processes import parent  # noqa: PLC0415  # a server of one process needs none

        return parent.run(parsed, arguments, sys.argv[1:])

    def imported() -> Callable[[], int]:
        from tfs_workflow.modelserver import server  # noqa: PLC0415  # beside the load of the library

        return lambda: server.run(parsed)

    return startup.with_library(imported, startup.SERVER_EXTENSIONS)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of TensorFlow still run; taking the library down under them would end in a crash.
    os._exit(code)
