"""The REST client of a model server: status, metadata and predictions over kept-alive connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from tfs_workflow.client.access.credentials import NO_CREDENTIALS, TOKEN_FIX, Credentials
from tfs_workflow.client.access.rest_session import rest_session, verification
from tfs_workflow.client.interface import (
    CONNECT_TIMEOUT_S,
    PREDICT_TIMEOUT_S,
    STATUS_TIMEOUT_S,
    ModelRef,
    RequestRejectedError,
    ServerUnreachableError,
    State,
    VersionStatus,
    explain,
)
from tfs_workflow.client.lost_request import BROKEN, BROKEN_FIX, ConnectionBrokenError, add_shapes, json_shapes
from tfs_workflow.client.rows import JsonRequest
from tfs_workflow.errors import PredictionFailedError, ServerNotReadyError, WorkflowError
from tfs_workflow.formats.savedmodel import Signature
from tfs_workflow.formats.signature_text import from_metadata

if TYPE_CHECKING:
    from typing_extensions import Self


class RestJsonClient:
    """A client of one model server; several threads may share it.

    A request is sent once: only a connection that the server closed while it was idle is opened again.
    """

    def __init__(
        self, rest_url: str, timeout_s: float = PREDICT_TIMEOUT_S, credentials: Credentials = NO_CREDENTIALS
    ) -> None:
        self.rest_url = rest_url.rstrip("/")
        self.timeout_s = timeout_s
        self._session = rest_session(self.rest_url, credentials)
        self._verify = verification(credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def status(self, model: str, version: int | None = None, label: str | None = None) -> list[VersionStatus]:
        """The versions of a model as the server lists them, newest first; empty for an unknown model.

        Raises ServerUnreachableError while nothing listens, and ServerNotReadyError where the listener is not a model
        server.
        """
        response = self._get(self.model_url(model, version, label), STATUS_TIMEOUT_S)
        try:
            if response.status_code == 200:
                return [_version_status(entry) for entry in _document(response)["model_version_status"]]
            if response.status_code == 404 and "error" in _document(response):
                return []
        except (PredictionFailedError, KeyError, TypeError, ValueError) as error:
            raise _not_a_model_server(response) from error
        raise _unauthorized(response) if response.status_code == 401 else _not_a_model_server(response)

    def metadata(self, model: str, version: int | None = None, label: str | None = None) -> dict[str, Signature]:
        """Signature name to signature of a served version; raises ServerUnreachableError or RequestRejectedError."""
        response = self._get(self.model_url(model, version, label) + "/metadata", self.timeout_s)
        if response.status_code != 200:
            raise _rejected(response, response.url)
        try:
            return from_metadata(_document(response))
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_model_server(response) from error

    def served_version(self, model: str, label: str) -> int:
        """The version that a label leads to; raises as `metadata` does."""
        response = self._get(self.model_url(model, label=label) + "/metadata", self.timeout_s)
        if response.status_code != 200:
            raise _rejected(response, response.url)
        try:
            return int(_document(response)["model_spec"]["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_model_server(response) from error

    def predict(  # noqa: PLR0913  # a request's own parts, by name
        self,
        model: str,
        instances: Sequence[Any] | None = None,
        *,
        inputs: Any = None,
        version: int | None = None,
        label: str | None = None,
        signature: str | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The predictions for rows (`instances`: one a row, in order) or the outputs for columns (`inputs`).

        Raises ServerUnreachableError, or RequestRejectedError with what the signature expects.
        """
        body: dict[str, Any] = {"inputs": inputs} if instances is None else {"instances": instances}
        if signature:
            body["signature_name"] = signature
        url = self.predict_url(model, version, label)
        try:
            answer = self._post(url, json.dumps(body).encode(), timeout_s or self.timeout_s)
        except RequestRejectedError as error:
            explain(error, ModelRef(model, version, label, signature), self.metadata, rows=instances is not None)
            raise
        except ConnectionBrokenError as error:
            add_shapes(error, json_shapes(None if instances is None else list(instances), inputs))
            raise
        for form in ("predictions", "outputs"):
            if form in answer:
                return answer[form]
        raise PredictionFailedError("the answer has no predictions", where=url, evidence=repr(answer)[:200])

    def send(self, target: ModelRef, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response to a whole request as api_rest.md describes it; `verb` is predict, classify or regress.

        The body names the signature.

        Raises ServerUnreachableError, PredictionFailedError or RequestRejectedError with what the signature expects.
        """
        try:
            url = self.model_url(target.model, target.version, target.label)
            return self._post(f"{url}:{verb}", json.dumps(body).encode(), self.timeout_s)
        except RequestRejectedError as error:
            named = replace(target, signature=body.get("signature_name"))
            explain(error, named, self.metadata, rows="instances" in body)
            raise

    def predict_document(self, target: ModelRef, document: JsonRequest) -> Any:
        """The predictions or outputs for one request, in one call."""
        return self.predict(
            target.model,
            document.instances,
            inputs=document.inputs,
            version=target.version,
            label=target.label,
            signature=target.signature or document.signature,
        )

    def predict_rows(self, target: ModelRef, rows: Sequence[bytes]) -> list[Any]:
        """The predictions for rows of JSON text; raises RequestRejectedError without what the signature expects."""
        signature = f'"signature_name": {json.dumps(target.signature)}, ' if target.signature else ""
        url = self.predict_url(target.model, target.version, target.label)
        body = f'{{{signature}"instances": ['.encode() + b",".join(rows) + b"]}"
        predictions = self._post(url, body, self.timeout_s).get("predictions")
        return predictions if isinstance(predictions, list) else []

    def _post(self, url: str, body: bytes, timeout_s: float) -> Mapping[str, Any]:
        try:
            response = self._session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=self._timeout(timeout_s),
                allow_redirects=False,
                verify=self._verify,
            )
        except requests.RequestException as error:
            raise self._translated(error, url, timeout_s) from error
        if response.status_code != 200:
            raise _rejected(response, url)
        return _document(response)

    def model_url(self, model: str, version: int | None = None, label: str | None = None) -> str:
        """The URL of a model, or of one of its versions by number or label (api_rest.md)."""
        url = f"{self.rest_url}/v1/models/{quote(model, safe='')}"
        if version is not None:
            return f"{url}/versions/{version}"
        return f"{url}/labels/{quote(label, safe='')}" if label else url

    def predict_url(self, model: str, version: int | None = None, label: str | None = None) -> str:
        """The URL for prediction requests."""
        return self.model_url(model, version, label) + ":predict"

    def _get(self, url: str, timeout_s: float) -> requests.Response:
        try:
            return self._session.get(url, timeout=self._timeout(timeout_s), allow_redirects=False, verify=self._verify)
        except requests.exceptions.SSLError as error:
            raise _distrusted(url, error) from error
        except requests.RequestException as error:
            # A container's published port accepts connections before the server inside listens, and drops them.
            raise self._unreachable(url) from error

    def _translated(self, error: requests.RequestException, url: str, timeout_s: float) -> WorkflowError:
        """The error for a request without a response: no server, a slow server, or a lost connection."""
        if isinstance(error, requests.exceptions.SSLError):
            return _distrusted(url, error)
        if isinstance(error, requests.ConnectTimeout) or isinstance(_cause(error), NewConnectionError):
            return self._unreachable(url)
        if isinstance(error, requests.Timeout) or isinstance(_cause(error), ReadTimeoutError):
            return PredictionFailedError(f"no answer within {timeout_s:g} s", where=url)
        return ConnectionBrokenError(
            BROKEN,
            where=url,
            evidence=str(error),
            fix=BROKEN_FIX,
        )

    def _timeout(self, timeout_s: float) -> tuple[float, float]:
        return min(CONNECT_TIMEOUT_S, timeout_s), timeout_s

    def _unreachable(self, url: str) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"nothing answers at {self.rest_url}",
            where=url,
            fix="invoke status shows what runs; invoke serve starts it",
        )


def server_text(content: bytes) -> str:
    """The server's error text; the start of the body where that is not the usual JSON document."""
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content[:500].decode(errors="replace").strip() or "the server gave no reason"


def _not_a_model_server(response: requests.Response) -> ServerNotReadyError:
    return ServerNotReadyError(
        f"the listener is not a model server, or it fails: {server_text(response.content)}",
        where=response.url,
        evidence=f"HTTP {response.status_code}",
        fix="see what listens on this port; invoke serve uses another one with server.rest_port: auto",
    )


def _rejected(response: requests.Response, where: str) -> RequestRejectedError:
    fix = TOKEN_FIX if response.status_code == 401 else ""
    return RequestRejectedError(server_text(response.content), response.status_code, where=where, fix=fix)


def _unauthorized(response: requests.Response) -> ServerNotReadyError:
    text, evidence = server_text(response.content), f"HTTP {response.status_code}"
    return ServerNotReadyError(text, where=response.url, evidence=evidence, fix=TOKEN_FIX)


def _distrusted(url: str, error: requests.exceptions.SSLError) -> ServerNotReadyError:
    return ServerNotReadyError(
        "the server's certificate is not the expected one, or it does not speak TLS",
        where=url,
        evidence=str(_cause(error)),
        fix="give connect(…, ca=…) the certificate of its authority, or invoke serve again",
    )


def _cause(error: requests.RequestException) -> object:
    """urllib3's error below the coarser one of requests."""
    cause = error.args[0] if error.args else None
    return getattr(cause, "reason", cause)


def _document(response: requests.Response) -> Mapping[str, Any]:
    """The JSON object of a response; TensorFlow Serving's NaN and Infinity are read as floats."""
    try:
        document = json.loads(response.content)
    except ValueError as error:
        fix = "name an output *_bytes in the model if it holds bytes that are not UTF-8" if response.content else ""
        raise PredictionFailedError(
            f"the answer is not JSON: {error}", where=response.url, evidence=repr(response.content[:200]), fix=fix
        ) from error
    if not isinstance(document, dict):
        raise PredictionFailedError(
            "the answer is not a JSON object", where=response.url, evidence=repr(response.content[:200])
        )
    return document


def _version_status(entry: Mapping[str, Any]) -> VersionStatus:
    status = entry.get("status", {})
    name = entry.get("state", "UNKNOWN")
    state = State(name) if name in State.__members__ else State.UNKNOWN
    return VersionStatus(int(entry["version"]), state, status.get("error_code", "OK"), status.get("error_message", ""))
