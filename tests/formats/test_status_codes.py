"""One table of status codes holds gRPC's numbers and gives each an HTTP status and a reason."""

from __future__ import annotations

import grpc

from tfs_workflow.formats.status_codes import HTTP_REASONS, HTTP_STATUS, Code
from tfs_workflow.protos import serving_apis_pb2 as apis


def test_the_codes_are_those_of_grpc_and_tensorflow() -> None:
    codes = {code.name: code.value for code in Code}
    assert codes == {code.name: code.value[0] for code in grpc.StatusCode}
    assert codes.items() <= dict(apis.Code.items()).items()


def test_every_code_has_an_http_status_with_a_reason() -> None:
    assert HTTP_STATUS.keys() == set(Code)
    assert set(HTTP_STATUS.values()) <= HTTP_REASONS.keys()
