"""Parts of gRPC requests, and a request as a warm-up file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tfs_workflow.formats.tfrecord import framed
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.tensor_pb2 import DT_FLOAT, TensorProto


def floats(*values: float, shape: tuple[int, ...] | None = None, content: bool = False) -> TensorProto:
    """A tensor of these floats, in a field of values or as content."""
    tensor = TensorProto(dtype=DT_FLOAT, tensor_shape={})
    for size in shape if shape is not None else (len(values),):
        tensor.tensor_shape.dim.add(size=size)
    if content:
        tensor.tensor_content = np.array(values, np.float32).tobytes()
    else:
        tensor.float_val.extend(values)
    return tensor


def example(x: float) -> dict[str, Any]:
    """A tf.Example with one float feature."""
    return {"features": {"feature": {"x": {"float_list": {"value": [x]}}}}}


def write_warmup(version: Path, request: apis.PredictRequest) -> None:
    """A warm-up file of the same request twice."""
    record = apis.PredictionLog(predict_log={"request": request}).SerializeToString()
    (version / "assets.extra").mkdir()
    (version / "assets.extra" / "tf_serving_warmup_requests").write_bytes(framed(record) * 2)
