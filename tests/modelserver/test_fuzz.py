"""A short run of the fuzzer; benchmarks/modelserver/fuzz.py makes the long ones."""

from __future__ import annotations

from tests.support.modelserver.fuzz import fuzz


def test_made_up_and_mutated_bytes_harm_nothing() -> None:
    assert fuzz(inputs=4000, seed=7)
