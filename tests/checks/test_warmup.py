"""The warm-up file is read as the server will read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.findings import one
from tests.support import models
from tfs_workflow.checks.finding import Finding, FindingStatus
from tfs_workflow.checks.model.model_checks import model_findings
from tfs_workflow.formats.savedmodel import WARMUP_FILE
from tfs_workflow.formats.tfrecord import framed, masked_crc32c
from tfs_workflow.protos.serving_apis_pb2 import PredictionLog
from tfs_workflow.runtimes.spec import ModelSpec


def request(model: str = "m") -> bytes:
    log = PredictionLog()
    log.predict_log.request.model_spec.name = model
    return framed(log.SerializeToString())


def checked(directory: Path, content: bytes) -> Finding:
    base_path = models.good(directory)
    path = base_path / "1" / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return one(model_findings(ModelSpec("m", base_path)), "model m v1: warm-up")


def test_the_checksum_is_the_published_one() -> None:
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8a9136aa; the mask is TensorFlow's.
    crc = 0x8A9136AA
    assert masked_crc32c(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_good_file_says_how_many_requests_it_holds(tmp_path: Path) -> None:
    found = checked(tmp_path, request() * 1000)
    assert (found.status, found.evidence) == (FindingStatus.OK, "1000 requests")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no TFRecord at all", "length is wrong"),
        (request()[:5], "cut off in a record's header"),
        (request() + request()[:-3], "cut off"),
        (request("m").replace(b"m", b"n"), "checksum is wrong"),
        (framed(b"\xff\xff\xff"), "record 1 of the warm-up file is no PredictionLog"),
        (request() + framed(b""), "record 2 of the warm-up file is no PredictionLog"),
        (request() * 1001, "1001 warm-up requests"),
    ],
    ids=["foreign", "header", "cut", "damaged", "no-message", "no-request", "too-many"],
)
def test_a_file_that_would_keep_the_version_from_serving(tmp_path: Path, content: bytes, words: str) -> None:
    found = checked(tmp_path, content)
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 4)
    assert words in found.evidence


def test_a_file_in_another_place_is_told_where_to_go(tmp_path: Path) -> None:
    base_path = models.good(tmp_path)
    (base_path / "1" / WARMUP_FILE.name).write_bytes(request())
    found = one(model_findings(ModelSpec("m", base_path)), "model m v1: warm-up")
    assert found.status is FindingStatus.WARNING
    assert str(base_path / "1" / WARMUP_FILE) in found.fix
