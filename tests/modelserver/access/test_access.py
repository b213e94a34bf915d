"""TLS and the bearer token of the embedded server, in one process and with fronts."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.certificates import NAME, Pair, openssl, self_signed, signed
from tests.support.modelserver.families import BODY, RIGHT
from tests.support.modelserver.running import Running, launched, read_response, serving
from tests.support.waiting import until
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis
from tfs_workflow.protos.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tfs_workflow.protos.tensor_pb2 import DataType, TensorProto

EACH = pytest.mark.parametrize("fronts", ["--fronts=0", "--fronts=1", "--fronts=2"])
PREDICT = "/v1/models/half_plus_two:predict"
SECRET = "correct-horse-battery-staple"
RIGHT_TOKEN = f"Bearer {SECRET}"


def tls_flags(pair: Pair) -> tuple[str, str]:
    return f"--tls_certificate_file={pair.certificate}", f"--tls_key_file={pair.key}"


def trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


def over_tls(server: Running, context: ssl.SSLContext, path: str = PREDICT, body: bytes = BODY) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection("127.0.0.1", server.rest_port, timeout=60, context=context)
    try:
        connection.request("POST" if body else "GET", path, body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def predict_call(channel: grpc.Channel, *metadata: tuple[str, str]) -> list[float]:
    method = services.PREDICT
    request = apis.PredictRequest(model_spec={"name": "half_plus_two"})
    one = TensorProto(dtype=DataType.DT_FLOAT, tensor_shape={"dim": [{"size": 1}]}, float_val=[1.0])
    request.inputs["x"].CopyFrom(one)
    call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
    return list(call(request, timeout=60, metadata=metadata).outputs["y"].float_val)


def secure_channel(server: Running, certificate: Path) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    return grpc.secure_channel(f"127.0.0.1:{server.grpc_port}", credentials, (("grpc.ssl_target_name_override", NAME),))


@EACH
def test_both_ports_speak_tls_and_nothing_else(tmp_path: Path, fronts: str) -> None:
    pair = self_signed(tmp_path)
    with serving(*tls_flags(pair), fronts) as server:
        assert over_tls(server, trusting(pair.certificate)) == (200, RIGHT)
        large = json.dumps({"instances": [1.0] * 500_000}).encode()
        status, answer = over_tls(server, trusting(pair.certificate), body=large)
        assert (status, json.loads(answer)) == (200, {"predictions": [2.5] * 500_000})
        with secure_channel(server, pair.certificate) as channel:
            assert predict_call(channel) == [2.5]
        with pytest.raises((OSError, http.client.HTTPException)):
            server.get("/healthz")  # without TLS
        assert over_tls(server, trusting(pair.certificate), "/healthz", b"") == (200, b"ok\n")
        assert server.end() == 0
        assert not any("Traceback" in line for line in server.lines)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    with serving(*tls_flags(pair)) as server:
        old = trusting(pair.certificate)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", server.rest_port)) as plain, pytest.raises(ssl.SSLError):
            old.wrap_socket(plain)


@EACH
def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path, fronts: str) -> None:
    used, after = self_signed(tmp_path), tmp_path / "after"
    after.mkdir()
    renewed = self_signed(after)
    with serving(*tls_flags(used), fronts) as server:
        assert over_tls(server, trusting(used.certificate))[0] == 200
        shutil.copy(renewed.certificate, used.certificate)
        # The key is still the old one: what was read before stays in use.
        server.wait_for("What was read before stays in use. Error: INVALID_ARGUMENT: Cannot use the certificate")
        shutil.copy(renewed.key, used.key)
        until(lambda: is_trusted(server, trusting(renewed.certificate)))
        # With two fronts each reads them by itself.
        until(lambda: is_trusted_by_grpc(server, renewed.certificate))


def is_trusted_by_grpc(server: Running, certificate: Path) -> bool:
    with secure_channel(server, certificate) as channel:
        try:
            return predict_call(channel) == [2.5]
        except grpc.RpcError:
            return False


def is_trusted(server: Running, context: ssl.SSLContext) -> bool:
    try:
        return over_tls(server, context)[0] == 200
    except ssl.SSLError:
        return False


def no_certificate(directory: Path) -> tuple[list[str], str]:
    return [*tls_flags(Pair(directory / "none.pem", directory / "key.pem"))], "Cannot read .*none.pem: No such file"


def key_of_another(directory: Path) -> tuple[list[str], str]:
    other, _ = signed(directory)
    own = Pair(directory / "certificate.pem", other.key)
    return [*tls_flags(own)], "Cannot use the certificate .* with the key .*own.key: .*mismatch"


def encrypted_key(directory: Path) -> tuple[list[str], str]:
    pair = self_signed(directory)
    locked = directory / "locked.pem"
    openssl("rsa", "-aes256", "-passout", "pass:secret", "-in", str(pair.key), "-out", str(locked))
    return [*tls_flags(pair._replace(key=locked))], "Cannot use the certificate .* with the key .*locked.pem"


def key_alone(directory: Path) -> tuple[list[str], str]:
    return [f"--tls_key_file={directory}/key.pem"], "must be given together"


def both_ways(directory: Path) -> tuple[list[str], str]:
    return [*tls_flags(self_signed(directory)), "--ssl_config_file=x"], "is for gRPC alone"


def no_token_file(directory: Path) -> tuple[list[str], str]:
    return [f"--token_file={directory}/token"], "Cannot read .*token: No such file"


def empty_token(directory: Path) -> tuple[list[str], str]:
    (directory / "token").write_text("\n")
    return [f"--token_file={directory}/token"], "Invalid token file .*token: expected one line"


@pytest.mark.parametrize("fronts", ["--fronts=0", "--fronts=2"])
@pytest.mark.parametrize(
    "mistake", [no_certificate, key_of_another, encrypted_key, key_alone, both_ways, no_token_file, empty_token]
)
def test_a_mistake_ends_the_start_with_one_message(
    tmp_path: Path, mistake: Callable[[Path], tuple[list[str], str]], fronts: str
) -> None:
    flags, message = mistake(tmp_path)
    with launched(*flags, "--model_name=m", f"--model_base_path={tmp_path}", fronts) as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("^$")
        (error,) = (line for line in server.lines if "Failed to start server" in line)
        server.wait_for(f"Error: INVALID_ARGUMENT: .*{message}")
        assert "Traceback" not in "".join(server.lines), error


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def authorized(server: Running, value: str, path: str = PREDICT) -> tuple[int, Any]:
    return server.request("POST", path, BODY, **({"Authorization": value} if value else {}))


@EACH
def test_rest_wants_the_token(token_file: Path, fronts: str) -> None:
    with serving(f"--token_file={token_file}", fronts) as server:
        assert authorized(server, RIGHT_TOKEN)[0] == 200
        assert authorized(server, f"bearer  {SECRET}")[0] == 200
        for wrong in ("", "Bearer", "Bearer wrong", f"Basic {SECRET}", SECRET, f"{RIGHT_TOKEN}x", RIGHT_TOKEN[:-1]):
            status, answer = authorized(server, wrong)
            assert (status, list(answer)) == (401, ["error"]), wrong
        assert server.get("/v1/models/half_plus_two")[0] == 401
        assert server.get("/v1/models")[0] == server.get("/nowhere")[0] == 401
        assert server.request("OPTIONS", PREDICT, Origin="http://a")[0] == 401
        # Probes have no place for a secret.
        assert server.get("/healthz") == (200, b"ok\n")
        assert server.get("/readyz") == (200, b"ok\n")
        assert SECRET not in "".join(server.lines)


def test_a_refusal_says_what_is_wanted_and_reads_no_body(token_file: Path) -> None:
    with serving(f"--token_file={token_file}") as server, server.connect() as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: 100000000\r\n"
        connection.sendall(f"{head}\r\n".encode())
        status, headers, body = read_response(connection)
        assert (status, headers["www-authenticate"], headers["connection"]) == (401, "Bearer", "close")
        assert json.loads(body) == {"error": "This server wants a bearer token: Authorization: Bearer TOKEN"}
        with server.connect() as other:
            other.sendall(f"{head}Authorization: Bearer wrong\r\n\r\n".encode())
            assert read_response(other)[1]["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("offer", ["Upgrade: h2c\r\nConnection: Upgrade\r\n", "Expect: 100-continue\r\n"])
def test_no_header_leads_around_the_token(token_file: Path, offer: str) -> None:
    with serving(f"--token_file={token_file}") as server, server.connect() as connection:
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\n{offer}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        assert read_response(connection)[0] == 401


@EACH
def test_a_pipelined_request_without_the_token_is_refused_after_the_answer_before_it(
    token_file: Path, fronts: str
) -> None:
    with serving(f"--token_file={token_file}", fronts) as server, server.connect() as connection:
        start = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: {len(BODY)}\r\n"
        good = f"{start}Authorization: {RIGHT_TOKEN}\r\n\r\n".encode() + BODY
        connection.sendall(good + f"{start}\r\n".encode() + BODY + good)
        with connection.makefile("rb") as answers:
            received = answers.read()
        assert received.count(RIGHT) == 1
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.count(b"HTTP/1.1 401 ") == 1


@EACH
def test_another_token_counts_from_then_on_also_on_kept_connections(token_file: Path, fronts: str) -> None:
    with serving(f"--token_file={token_file}", fronts) as server, server.connect() as kept:
        request = f"POST {PREDICT} HTTP/1.1\r\nContent-Length: {len(BODY)}\r\nAuthorization: {RIGHT_TOKEN}\r\n\r\n"
        for _ in range(3):
            kept.sendall(request.encode() + BODY)
            assert read_response(kept)[0] == 200
        token_file.write_text("")
        server.wait_for("What was read before stays in use. Error: INVALID_ARGUMENT: Invalid token file")
        assert authorized(server, RIGHT_TOKEN)[0] == 200
        token_file.write_text("another-token-than-before")
        until(lambda: authorized(server, "Bearer another-token-than-before")[0] == 200)
        # With two fronts each reads it by itself.
        until(lambda: authorized(server, RIGHT_TOKEN)[0] == 401)
        until(lambda: status_of(kept, request.encode() + BODY) == 401)


def status_of(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    return read_response(connection)[0]


@EACH
def test_grpc_wants_the_token(token_file: Path, fronts: str) -> None:
    flags = (f"--token_file={token_file}", fronts, "--enable_grpc_healthcheck_service")
    with serving(*flags) as server, grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        assert predict_call(channel, ("authorization", RIGHT_TOKEN)) == [2.5]
        for wrong in ((), (("authorization", "Bearer wrong"),), (("authorization", ""),)):
            with pytest.raises(grpc.RpcError) as caught:
                predict_call(channel, *wrong)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        method = services.HEALTH_CHECK
        ask = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
        assert ask(HealthCheckRequest(), timeout=60).status == HealthCheckResponse.SERVING
        assert predict_call(channel, ("authorization", RIGHT_TOKEN)) == [2.5]
