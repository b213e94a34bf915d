"""The machine: what its processor can do, and whether its memory is enough.

TensorFlow's builds use AVX without a check, so that an older processor ends the server with SIGILL, without a line in
its log. Memory is similar: the kernel's SIGKILL leaves no message. Both are visible beforehand, and only beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tfs_workflow.checks.finding import Finding, failure, ok, warning
from tfs_workflow.errors import ToolMissingError

# On other systems it is missing; then nothing is reported, as a wrong warning is worse than none.
CPUINFO = Path("/proc/cpuinfo")
# TensorFlow's release builds for x86-64, in its wheels and in TensorFlow Serving's images (.bazelrc, avx_linux).
NEEDED = ("sse4_1", "sse4_2", "avx")
FASTER = ("avx2", "fma")
# One small model in TensorFlow Serving 2.20.0.
# Memory of the server itself; a model needs about the size of its files in addition.
SERVER_BYTES = 310 << 20


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """The processor's features as Linux names them; empty where it does not say."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def processor(flags: frozenset[str], machine: str) -> Iterator[Finding]:
    """What the server's build needs; without it, it ends with exit code 132 and no word."""
    check = "machine: processor"
    if machine not in ("x86_64", "AMD64") or not flags:
        yield ok(check, f"{machine}; its features are not told")
    elif missing := [flag for flag in NEEDED if flag not in flags]:
        yield failure(
            check,
            f"{machine} without {', '.join(missing)}, which TensorFlow's builds need (exit code 132)",
            "take another machine or, in a virtual one, pass the host's processor through (-cpu host); "
            "else a server built for this processor, with runtime: native",
            ToolMissingError,
        )
    elif slower := [flag for flag in FASTER if flag not in flags]:
        yield ok(check, f"{machine} with {', '.join(NEEDED)}; slower for want of {', '.join(slower)}")
    else:
        yield ok(check, f"{machine} with {', '.join((*NEEDED, *FASTER))}")


def available_memory_bytes() -> int:
    """What a new process can have without swapping."""
    import psutil  # noqa: PLC0415  # slow to import, and only doctor needs it

    return int(psutil.virtual_memory().available)


def memory(available_bytes: int, total_bytes: int, limit_bytes: int | None, models_bytes: int) -> Iterator[Finding]:
    """Memory for the server and its models; `limit_bytes` is server.memory, where it counts."""
    check, needed = "machine: memory", SERVER_BYTES + models_bytes
    has = f"{available_bytes / 1e9:.1f} GB available, about {needed / 1e9:.1f} GB needed"
    if limit_bytes is not None and limit_bytes < needed:
        evidence = f"server.memory is {limit_bytes / 1e9:.1f} GB, about {needed / 1e9:.1f} GB are needed"
        yield warning(check, evidence, "raise server.memory, or the server is killed (exit code 137)")
    elif limit_bytes is not None and total_bytes and limit_bytes > total_bytes:
        evidence = f"server.memory is {limit_bytes / 1e9:.1f} GB, the machine has {total_bytes / 1e9:.1f} GB"
        yield warning(check, evidence, "lower server.memory: the machine ends before the limit does")
    elif available_bytes < needed:
        yield warning(check, has, "end other programs, or serve smaller models")
    else:
        yield ok(check, has)
