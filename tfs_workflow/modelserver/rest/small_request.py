"""The fast candidate for the commonest predict request: a few numbers in, a few numbers out.

It takes what json/small_numbers.py reads, for a default signature with one float input and one float output. Any other
request is left to the general way, which gives the same answers in about twice the time
(docs/decisions/0009-http-server.md). Reading and running are apart, since a front may have read the numbers already.
"""

from __future__ import annotations

from array import array

import numpy as np

from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.exchange import Content, Shape
from tfs_workflow.modelserver.inference.servable import Servable
from tfs_workflow.modelserver.json import small_numbers
from tfs_workflow.modelserver.json.small_numbers import MOST_OUTPUT_BYTES
from tfs_workflow.modelserver.rest import json_response
from tfs_workflow.modelserver.tensorflow.session import FloatCall
from tfs_workflow.protos.tensor_pb2 import DataType

_FLOAT = DataType.DT_FLOAT


def predictions(servable: Servable, call: FloatCall, body: bytes) -> Content | None:
    """The answer; None when the request is not of the commonest kind. Raises StatusError when it fails."""
    numbers = small_numbers.read(body)
    if numbers is None:
        return None
    shape, values = numbers
    shape, content = servable.run_floats(call, shape, array("f", values))
    # The run is done, so that the general printer takes over and not the general way.
    if 1 <= len(shape) <= 2 and 0 < len(content) <= MOST_OUTPUT_BYTES:
        return small_numbers.printed(shape, content)
    return printed_any(call, shape, content)


def printed_any(call: FloatCall, shape: Shape, content: bytes) -> Content:
    """The answer for a result that is not small; raises StatusError when it does not fit the format."""
    tensor = Tensor(_FLOAT, shape, np.frombuffer(content, np.float32))
    return json_response.predictions({call.aliases[1]: tensor}, row_format=True)
