"""What verify says of a model whose second version has a weight that is 1e-3 off; a class of tests over `lab`."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import requests

from tests.support.command import CommandLine
from tests.support.faults import kill, servers
from tests.support.faulty import Fault, FaultyServer, serving
from tests.support.modelserver import graphs
from tests.support.waiting import until
from tfs_workflow.runtimes.ports import free_port

MODEL = "plus"
GOLDEN: list[dict[str, Any]] = [
    {"request": {"instances": [1.0, 2.0]}, "response": {"predictions": [3.0, 4.0]}},
    {"request": {"inputs": [[5.0], [6.0]]}, "response": {"outputs": [[7.0], [8.0]]}},
]


def serve_two_versions(lab: CommandLine) -> Path:
    """Let the lab serve a model that adds 2 in version 1 and 2.001 in version 2; the file of its golden cases."""
    base_path = lab.directory / "models" / MODEL
    graphs.plus(base_path / "1", 2.0)
    graphs.plus(base_path / "2", 2.001)
    lab.config["models"] = {
        MODEL: {
            "source": [{"directory": str(base_path)}],
            "versions": "all",
            "labels": {"stable": 1},
            "golden": "golden.jsonl",
            "example": {"instances": [1.0, 2.0]},
        }
    }
    write_golden(lab, GOLDEN)
    return lab.directory / "golden.jsonl"


def write_golden(lab: CommandLine, cases: list[Any]) -> None:
    """Write the golden cases of the lab's model."""
    (lab.directory / "golden.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))


class Verifications:
    """Whichever runtime serves: what holds is said to hold, what does not is shown, and nothing is left behind."""

    def test_a_changed_weight_is_found_by_a_server_that_is_there_only_for_it(self, lab: CommandLine) -> None:
        serve_two_versions(lab)
        assert lab.ok("verify", "--label", "stable").splitlines()[1].split()[:4] == ["plus", "stable", "2", "2"]
        assert servers(lab) == []
        done = lab.run("verify", "--version", "2", "--junit", "result.xml")
        assert done.returncode == 8
        assert "golden.jsonl:1\n  y[0]: wanted 3.0, got 3.001, off by 0.001\n" in done.stdout
        assert "golden.jsonl:2\n  y[0,0]: wanted 7.0, got 7.001" in done.stdout
        assert "plus: 2 of 2 cases did not hold" in done.stderr
        (suite,) = ElementTree.parse(lab.directory / "result.xml").getroot()
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
        assert servers(lab) == []

    def test_a_server_that_runs_is_asked_and_left(self, lab: CommandLine) -> None:
        golden = serve_two_versions(lab)
        lab.ok("setup", "serve")
        before = [server.id for server in servers(lab)]
        for transport in ("rest", "grpc"):
            document = lab.ok_json("verify", "--version", "1", "--transport", transport)
            assert (document["good"], document["models"][0]["held"]) == (True, 2)
        # A tolerance may be wider for an output.
        lab.config["models"][MODEL]["tolerance"] = {"outputs": {"y": {"absolute": 0.01}}}
        lab.ok("verify", "--version", "2")
        del lab.config["models"][MODEL]["tolerance"]
        # --record asks the same requests again, and overwrites nothing unasked.
        text = golden.read_text()
        assert "--force replaces them" in lab.fails(2, "verify", "--record", "--version", "2")
        assert golden.read_text() == text
        lab.ok("verify", "--record", "--force", "--version", "2")
        assert json.loads(golden.read_text().splitlines()[0])["request"] == GOLDEN[0]["request"]
        lab.ok("verify", "--version", "2")
        assert "2 of 2 cases did not hold" in lab.fails(8, "verify", "--version", "1")
        assert [server.id for server in servers(lab)] == before

    def test_versions_and_servers_are_compared(self, lab: CommandLine) -> None:
        serve_two_versions(lab)
        lab.ok("setup", "serve")
        (lab.directory / "rows.jsonl").write_text("[1.0, 2.0]\n[4.0, 3.0]\n")
        for against in ("1", "stable"):
            done = lab.run("verify", "--version", "2", "--against", against, "--from", "rows.jsonl")
            assert done.returncode == 8
            assert "plus: largest difference of y: 0.001\nplus: argmax changed in 0 of 2 rows (0.0%)" in done.stdout
        (server,) = servers(lab)
        # The same version by both transports is the same.
        over_grpc = f"grpc://127.0.0.1:{server.grpc_port}"
        document = lab.ok_json("verify", "--version", "2", "--against", over_grpc)
        assert document["models"][0]["largest_difference"]["y"] < 1e-6
        with serving(FaultyServer()) as other:
            # What it says of the model, and then no JSON.
            metadata = requests.get(f"{server.rest_url}/v1/models/plus/metadata", timeout=10).content
            other.faults = [Fault("GET ", 200, body=metadata), Fault("POST ", 200, body=b"no JSON")]
            address = f"http://127.0.0.1:{other.server_address[1]}"
            assert "the answer is not JSON" in lab.fails(6, "verify", "--against", address)

    def test_a_server_that_dies_in_the_middle_leaves_what_was_found(self, lab: CommandLine) -> None:
        process = self.asking(lab, serve_first=True)
        kill(servers(lab)[0])
        until(lambda: all(server.exit_code is not None for server in servers(lab)))
        output, message = process.communicate("4.0\n", timeout=60)
        assert process.returncode in (5, 6), message
        assert "Traceback" not in message
        document = json.loads(output)
        assert document["good"] is False
        assert document["partial"]
        assert document["models"][0]["cases"][0]["held"] is True
        assert "<error" in (lab.directory / "result.xml").read_text()

    def test_ctrl_c_in_the_middle_leaves_what_was_found_and_no_server(self, lab: CommandLine) -> None:
        process = self.asking(lab, serve_first=False)
        process.send_signal(signal.SIGINT)
        output, message = process.communicate(timeout=60)
        assert process.returncode == 130, message
        document = json.loads(output)
        assert (document["partial"], document["models"][0]["cases"][0]["held"]) == ("interrupted", True)
        assert servers(lab) == []

    def asking(self, lab: CommandLine, *, serve_first: bool) -> subprocess.Popen[str]:
        """A verify that has asked rows of its stdin, and waits for more."""
        serve_two_versions(lab)
        lab.config["server"] |= {"metrics": True, "rest_port": free_port()}
        lab.config["models"][MODEL]["smoke"] = False  # it would be counted, too
        lab.ok("setup")
        if serve_first:
            lab.ok("serve")
        process = lab.start("verify", "--from", "-", "--json", "--junit", "result.xml", stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write("1.0\n2.0\n3.0\n")
        process.stdin.flush()
        address = f"http://127.0.0.1:{lab.config['server']['rest_port']}/monitoring/prometheus/metrics"
        # Some servers count the question for the signature. At least two rows are answered, so one has its result.
        until(lambda: answered(address) >= 3, process)
        return process


def answered(address: str) -> int:
    """How many predictions a server's metrics count; 0 while there are none."""
    try:
        lines = requests.get(address, timeout=10).text.splitlines()
    except requests.RequestException:
        return 0
    return sum(int(float(line.split()[-1])) for line in lines if "request_count{" in line and f'"{MODEL}"' in line)
