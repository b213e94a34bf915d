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
from tfs_workflow.modelserver.rest import json_response
from tfs_workflow.modelserver.tensorflow.session import FloatCall
from tfs_workflow.protos.tensor_pb2 import DataType

_FLOAT = DataType.DT_FLOAT
# The largest result that needs no care for what waits meanwhile, in bytes of float32.
MOST_AT_ONCE_BYTES = 2**12


def predictions(servable: Servable, call: FloatCall, body: bytes) -> Content | None:
    """The answer; None when the request is not of the commonest kind. Raises StatusError when it fails."""
    numbers = small_numbers.read(body)
    if numbers is None:
        return None
    shape, values = numbers
    shape, content = servable.run_floats(call, shape, array("f", values))
    return printed(call, shape, content)


def printed(call: FloatCall, shape: Shape, content: bytes) -> Content:
    """The answer for a result; raises StatusError when it does not fit the format."""
    if 1 <= len(shape) <= 2 and 0 < len(content) <= MOST_AT_ONCE_BYTES:
        return json_response.float_rows(shape, content)
    tensor = Tensor(_FLOAT, shape, np.frombuffer(content, np.float32))
    return json_response.predictions({call.aliases[1]: tensor}, row_format=True)
