"""A small gRPC server that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.services import Method
from tfs_workflow.protos.tensor_pb2 import TensorProto
from tfs_workflow.runtimes.ports import free_port

# A method's answer, made from the request's bytes; what it raises is the library's business.
Answer = Callable[[bytes, grpc.ServicerContext], bytes]


class ScriptedServer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Answers each method as `answers` says; counts the requests that arrive."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.answers: dict[Method, Answer] = {services.GET_MODEL_METADATA: lambda _request, _context: metadata()}
        self.requests: list[str] = []

    def service(self, handler_call_details: Any) -> Any:
        """The handler for a call's method; none, and so UNIMPLEMENTED, where it has no answer."""
        self.requests.append(handler_call_details.method)
        for method, answer in self.answers.items():
            if method.path == handler_call_details.method:
                return grpc.unary_unary_rpc_method_handler(answer)
        return None


@contextmanager
def listening(server: ScriptedServer) -> Iterator[ScriptedServer]:
    """The server, answering until the block ends."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    listener = grpc.server(ThreadPoolExecutor(8), [server], options=unlimited)
    listener.add_insecure_port(server.address)
    listener.start()
    try:
        yield server
    finally:
        listener.stop(0).wait()


def refusing(code: grpc.StatusCode, text: str) -> Answer:
    """An answer that is this status."""

    def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, text)
        raise AssertionError("abort raises")

    return refuse


def metadata(dtype: str = "DT_FLOAT") -> bytes:
    """The metadata of a model that takes x and gives y."""
    found = apis.SignatureDefMap()
    signature = found.signature_def["serving_default"]
    signature.inputs["x"].dtype = signature.outputs["y"].dtype = dtype  # type: ignore[assignment]  # protobuf takes a name
    signature.inputs["x"].tensor_shape.unknown_rank = True
    answer = apis.GetModelMetadataResponse()
    answer.metadata["signature_def"].value = found.SerializeToString()
    return answer.SerializeToString()


def echoing(request: bytes, _context: grpc.ServicerContext) -> bytes:
    """Hands the input x back as the output y."""
    x = apis.PredictRequest.FromString(request).inputs["x"]
    return apis.PredictResponse(outputs={"y": TensorProto.FromString(x.SerializeToString())}).SerializeToString()
