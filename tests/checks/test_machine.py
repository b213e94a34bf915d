"""Processor and memory; the processor's features are injected, since this machine has them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.checks.findings import is_ok, one
from tests.support.needs import missing
from tfs_workflow.checks import machine
from tfs_workflow.checks.finding import FindingStatus

GIB = 1 << 30


def test_this_machines_processor_is_good_enough_for_the_tests_themselves() -> None:
    if platform.machine() != "x86_64":
        missing("an x86-64 processor")
    assert is_ok(machine.processor(machine.cpu_flags(), platform.machine()))


def test_a_processor_without_avx_from_injected_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name : QEMU Virtual CPU\nflags\t\t: fpu sse2 sse4_1 sse4_2\n")
    (found,) = machine.processor(machine.cpu_flags(cpuinfo), "x86_64")
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 3)
    assert "without avx" in found.evidence
    assert "132" in found.evidence
    assert found.fix


def test_an_injected_processor_without_avx2_is_only_slower_and_arm64_is_not_asked() -> None:
    (slower,) = machine.processor(frozenset(machine.NEEDED), "x86_64")
    assert "slower for want of avx2, fma" in slower.evidence
    assert is_ok([slower])
    assert is_ok(machine.processor(frozenset(), "aarch64"))
    assert machine.cpu_flags(Path("/nowhere")) == frozenset()


@pytest.mark.parametrize(
    ("available", "limit", "models", "words"),
    [(GIB, 200 << 20, 0, "raise server.memory"), (GIB, 64 * GIB, 0, "lower"), (GIB, None, 2 * GIB, "end other")],
)
def test_too_little_memory_with_injected_sizes(available: int, limit: int | None, models: int, words: str) -> None:
    found = one(machine.memory(available, 8 * GIB, limit, models), "machine: memory")
    assert found.status is FindingStatus.WARNING
    assert words in found.fix


def test_enough_memory() -> None:
    assert is_ok(machine.memory(machine.available_memory_bytes(), 0, None, 0))
