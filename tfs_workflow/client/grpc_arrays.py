"""The gRPC client of a model server, on this package's own messages: it needs neither TensorFlow nor its stubs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError, EncodeError, Message

from tfs_workflow.client.access.credentials import TOKEN_FIX
from tfs_workflow.client.interface import (
    CONNECT_TIMEOUT_S,
    LOOPBACK,
    PREDICT_TIMEOUT_S,
    STATUS_TIMEOUT_S,
    ModelRef,
    RequestRejectedError,
    ServerCertificate,
    ServerUnreachableError,
    State,
    VersionStatus,
    explain,
)
from tfs_workflow.client.lost_request import BROKEN, BROKEN_FIX, ConnectionBrokenError, add_expectation, add_shapes
from tfs_workflow.client.signature_cache import SignatureCache, fitted_inputs
from tfs_workflow.client.tensor_codec import decode, model_spec, predict_request
from tfs_workflow.errors import PredictionFailedError, ServerNotReadyError, WorkflowError
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, Signature, signature_of
from tfs_workflow.formats.status_codes import HTTP_STATUS, Code
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.services import Method

if TYPE_CHECKING:
    from typing_extensions import Self

    from tfs_workflow.client.interface import Array, Inputs

# What gRPC prints where an open connection ended under a call, and not where it could not connect.
_BROKEN = re.compile(r"Socket closed|Connection reset|Broken pipe|GOAWAY|Stream removed", re.IGNORECASE)
MAX_MESSAGE_BYTES = 2**31 - 1
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # Retry soon: gRPC's default backoff of up to two minutes would miss a server that starts a moment later.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Despite its name, this bounds one attempt to connect.
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),
    # Without a pool of its own, a client would wait for another client's failed attempts.
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcArrayClient:
    """A `Client` over gRPC; `address` is HOST:PORT or unix:PATH.

    With `tls`, the certificate of the server is trusted that is given, else those of the system. Each call carries the
    metadata.
    """

    def __init__(
        self,
        address: str,
        timeout_s: float = PREDICT_TIMEOUT_S,
        *,
        tls: bool | ServerCertificate = False,
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.address = address
        self.timeout_s = timeout_s
        options: list[tuple[str, int | str]] = [*_CHANNEL_OPTIONS]
        if address.rpartition(":")[0].strip("[]") in LOOPBACK:
            # A proxy is for addresses outside: requests to this machine bypass it.
            options.append(("grpc.enable_http_proxy", 0))
        trusted = tls if isinstance(tls, ServerCertificate) else None
        if trusted and trusted.name:
            options.append(("grpc.ssl_target_name_override", trusted.name))
        credentials = grpc.ssl_channel_credentials(trusted.roots if trusted else None)
        self._channel = (
            grpc.secure_channel(address, credentials, options) if tls else grpc.insecure_channel(address, options)
        )
        self._metadata = tuple(metadata.items())
        self._calls: dict[Method, Any] = {}
        self._signatures = SignatureCache(self.metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and cancel requests that are in flight."""
        self._channel.close()

    def status(self, model: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The versions of a model, newest first; see `Client`."""
        request = apis.GetModelStatusRequest(model_spec=model_spec(ModelRef(model, version, label)))
        try:
            answer = self._send(services.GET_MODEL_STATUS, request, STATUS_TIMEOUT_S)
        except RequestRejectedError as error:
            if error.status == 404:
                return []
            raise
        found = [_version_status(entry) for entry in answer.model_version_status]
        return sorted(found, key=lambda entry: entry.version, reverse=True)

    def metadata(self, model: str, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signature name to signature; see `Client`."""
        request = apis.GetModelMetadataRequest(
            model_spec=model_spec(ModelRef(model, version, label)), metadata_field=["signature_def"]
        )
        packed = self._send(services.GET_MODEL_METADATA, request, self.timeout_s).metadata["signature_def"]
        found = self._parsed(apis.SignatureDefMap, packed.value).signature_def
        return {name: signature_of(found[name]) for name in sorted(found) if not name.startswith("__")}

    def predict(  # noqa: PLR0913  # a request's own parts, by name
        self,
        model: str,
        inputs: Inputs,
        *,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Array]:
        """Output name to array; see `Client`."""
        target = ModelRef(model, version, label, signature)
        try:
            return self.run(target, fitted_inputs(inputs, self.signature(target)), timeout_s)
        except RequestRejectedError as error:
            explain(error, target, self.metadata)
            raise

    def signature(self, target: ModelRef) -> Signature:
        """The target's signature, from a cache that is a few seconds old at most."""
        return self._signatures.of(target)

    def run(self, target: ModelRef, inputs: Mapping[str, Array], timeout_s: float | None = None) -> dict[str, Array]:
        """Output name to array, for arrays in the signature's types.

        Raises RequestRejectedError without what the signature expects.
        """
        signature = self.signature(target)
        size_bytes = sum(array.nbytes for array in inputs.values())
        if size_bytes > MAX_MESSAGE_BYTES:
            raise PredictionFailedError(
                f"{size_bytes} bytes are more than the {MAX_MESSAGE_BYTES} that a message holds"
            )
        request = predict_request(target, inputs, signature.inputs)
        try:
            answer = self._send(services.PREDICT, request, timeout_s or self.timeout_s)
        except RequestRejectedError:
            self._signatures.forget(target)
            raise
        except ServerUnreachableError as error:
            # The signature came over this connection, so that there was a server.
            if _BROKEN.search(error.evidence):
                raise _lost(error, target, inputs, signature) from error
            raise
        return {name: decode(answer.outputs[name]) for name in sorted(answer.outputs)}

    def _send(self, method: Method, request: Message, timeout_s: float) -> Any:
        where = f"{self.address} {method.name}"
        try:
            content = self._call(method)(request.SerializeToString(), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._translated(error, where, timeout_s) from error
        except (EncodeError, ValueError) as error:  # more than 2 GiB; or a closed channel
            raise PredictionFailedError(f"the request cannot be sent: {error}", where=where) from error
        return self._parsed(method.response, content)

    def _call(self, method: Method) -> Any:
        """The method with bytes in and out: messages are encoded and decoded here, so that their errors are caught."""
        if method not in self._calls:
            self._calls[method] = self._channel.unary_unary(method.path)
        return self._calls[method]

    def _parsed(self, message: Any, content: bytes) -> Any:
        try:
            return message.FromString(content)
        except DecodeError as error:
            raise PredictionFailedError(f"the answer is not a {message.DESCRIPTOR.name}", where=self.address) from error

    def _translated(self, error: Any, where: str, timeout_s: float) -> WorkflowError:
        """The error for a gRPC status: no server, a slow server, another listener, or a rejected request."""
        code, text = error.code(), error.details() or ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return PredictionFailedError(f"no answer within {timeout_s:g} s", where=where)
        if code is grpc.StatusCode.UNIMPLEMENTED or "http1" in text:
            return ServerNotReadyError(
                "the listener is not a model server's gRPC port",
                where=where,
                evidence=f"gRPC {code.name}: {text}",
                fix="REST and gRPC use different ports: invoke status shows both",
            )
        if code is grpc.StatusCode.UNAVAILABLE:
            # gRPC returns UNAVAILABLE when it cannot connect or loses the connection, and so does a busy server.
            return ServerUnreachableError(
                f"nothing answers at {self.address}" if "connect" in text else f"the server is not available: {text}",
                where=where,
                evidence=text,
                fix="invoke status shows what runs; invoke serve starts it",
            )
        http_status, evidence = HTTP_STATUS[Code(code.value[0])], f"gRPC {code.name}"
        fix = TOKEN_FIX if code is grpc.StatusCode.UNAUTHENTICATED else ""
        return RequestRejectedError(
            text or "the server gave no reason", http_status, where=where, evidence=evidence, fix=fix
        )


def _lost(
    error: ServerUnreachableError, target: ModelRef, inputs: Mapping[str, Array], signature: Signature
) -> ConnectionBrokenError:
    broken = ConnectionBrokenError(BROKEN, where=error.where, evidence=error.evidence, fix=BROKEN_FIX)
    add_shapes(broken, {name: array.shape for name, array in inputs.items()})
    add_expectation(broken, target, {target.signature or DEFAULT_SIGNATURE: signature})
    return broken


def _version_status(entry: apis.ModelVersionStatus) -> VersionStatus:
    name = apis.ModelVersionStatus.State.Name(entry.state) if entry.state in _STATES else "UNKNOWN"
    code = apis.Code.Name(entry.status.error_code)
    return VersionStatus(entry.version, State(name), code, entry.status.error_message)


_STATES = set(apis.ModelVersionStatus.State.values())
