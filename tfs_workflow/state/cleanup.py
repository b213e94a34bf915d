"""Cleans up after a killed run: its child processes and unfinished files.

A verb that gets SIGKILL cannot end its children: a git process may go on writing into `staging/`. A recorded process id
is not safe, since the kernel reuses it. A variable in the environment is there from the first instruction and inherited
by all that git starts, so the next holder of the lock finds them by it.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

# The environment variable by which a process that writes into `staging/` is found when its parent was killed.
STAGED_FOR = "TFS_WORKFLOW_STAGED_FOR"
_END_S = 5
# A bound, so that the removal ends even while something still writes.
_REMOVAL_PASSES = 20


def end_processes(staging: Path) -> None:
    """Kill the processes that write below `staging`, found by their environment since a pid may have been reused.

    The caller holds the workspace's lock, so that no living verb owns them. Processes of other users cannot be read and
    are skipped.
    """
    import psutil  # noqa: PLC0415  # only where a run was killed

    orphans = [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(STAGED_FOR, "").startswith(f"{staging}/")
    ]
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            process.kill()
    # Until they are gone, or they would write into directories that are removed next.
    psutil.wait_procs(orphans, timeout=_END_S)


def remove(path: Path) -> None:
    """Remove a file or a whole directory, never through a link; concurrent removal by another process is fine."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    # More than once: a process that was just killed may still write a last file while it ends.
    for _ in range(_REMOVAL_PASSES):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
