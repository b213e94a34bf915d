"""Warm-up files: requests that a server sends to a version by itself when it has loaded it, before it serves it.

A version's first request is slow: TensorFlow builds what later ones reuse. TensorFlow Serving reads the requests from
`assets.extra/tf_serving_warmup_requests` of the version's directory, a TFRecord file of at most 1000 PredictionLog.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from tfs_workflow.client.interface import ModelRef
from tfs_workflow.errors import ConfigError, ToolMissingError
from tfs_workflow.formats.savedmodel import MAX_WARMUP_RECORDS, WARMUP_FILE, Signature
from tfs_workflow.formats.tfrecord import framed
from tfs_workflow.quality.asking import signature_of_case
from tfs_workflow.quality.cases import Case
from tfs_workflow.state.atomic_file import write_errors, writing_whole


def warmup_content(target: ModelRef, cases: Iterable[Case], signatures: Mapping[str, Signature]) -> bytes:
    """The content of a warm-up file; the same cases give the same bytes.

    Raises ConfigError for more requests than a server takes, PredictionFailedError for a signature that the model lacks
    and InvalidInputError for a request that does not fit its signature.
    """
    try:
        from tfs_workflow.quality.prediction_logs import prediction_log  # noqa: PLC0415  # it needs numpy
    except ModuleNotFoundError as error:
        fix = "pip install 'tfs-workflow[client]'"
        raise ToolMissingError(f"the package {error.name} is not installed", where="warmup", fix=fix) from error
    chosen = list(islice(cases, MAX_WARMUP_RECORDS + 1))
    if len(chosen) > MAX_WARMUP_RECORDS:
        raise ConfigError(
            f"more than the {MAX_WARMUP_RECORDS} warm-up requests that a server takes",
            where=chosen[-1].where,
            fix="give fewer: a handful for each signature is enough",
        )
    logs = (prediction_log(target.model, case, signature_of_case(case, target, signatures)) for case in chosen)
    return b"".join(framed(log.SerializeToString(deterministic=True)) for log in logs)


def write_warmup(version_dir: Path, content: bytes) -> Path:
    """Write a version's warm-up file, readable for the server's user; ConfigError where that cannot be."""
    path = version_dir / WARMUP_FILE
    with write_errors(path):
        if not path.parent.is_dir():
            path.parent.mkdir()
            path.parent.chmod(0o755)
        with writing_whole(path) as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
    return path
