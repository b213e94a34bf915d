"""A port is free, ours, or held by somebody with a name; over real sockets."""

from __future__ import annotations

import os
import socket

from tfs_workflow.checks.finding import FindingStatus
from tfs_workflow.checks.port_use import port_finding
from tfs_workflow.runtimes.docker.engine_info import Holder
from tfs_workflow.runtimes.ports import free_port

LOOPBACK = "127.0.0.1"


def test_a_free_port_and_an_automatic_one() -> None:
    assert port_finding("rest_port", free_port(), LOOPBACK, set(), {}).status is FindingStatus.OK
    assert port_finding("rest_port", "auto", LOOPBACK, set(), {}).status is FindingStatus.OK


def test_a_port_that_a_process_holds_names_it() -> None:
    with socket.create_server((LOOPBACK, 0)) as holder:
        port = holder.getsockname()[1]
        found = port_finding("rest_port", port, LOOPBACK, set(), {})
        assert port_finding("rest_port", port, LOOPBACK, {port}, {}).status is FindingStatus.OK
    assert (found.status, found.kind.exit_code) == (FindingStatus.FAILURE, 5)
    assert f"port {port} is taken by process" in found.evidence
    assert f"(pid {os.getpid()})" in found.evidence
    assert "server.rest_port" in found.fix


def test_a_port_that_its_holder_would_share_counts_as_taken() -> None:
    # TensorFlow Serving's gRPC port: a second server would start, and get some of the requests.
    with socket.create_server((LOOPBACK, 0), reuse_port=True) as holder:
        assert port_finding("grpc_port", holder.getsockname()[1], LOOPBACK, set(), {}).status is FindingStatus.FAILURE


def test_a_port_that_a_container_publishes_names_the_container_with_injected_facts() -> None:
    port = free_port()
    found = port_finding("rest_port", port, LOOPBACK, set(), {port: Holder("web", "")})
    assert f"port {port} is taken by container web" in found.evidence
