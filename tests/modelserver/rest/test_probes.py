"""What balancers and orchestrators ask for: alive, ready, and every model at once."""

from __future__ import annotations

from pathlib import Path

from tests.support.modelserver import graphs
from tests.support.modelserver.running import BUNDLED, LISTENING, configured, launched


def test_every_model_is_listed_with_its_states_and_ready_means_that_every_wanted_version_serves(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    flag = configured(tmp_path, {"half_plus_two": BUNDLED})
    poll = ("--model_config_file_poll_wait_seconds=1", "--max_num_load_retries=0")
    with launched(flag, *poll) as server:
        server.wait_for(LISTENING)
        assert server.get("/healthz") == (200, b"ok\n")
        assert server.get("/readyz") == (200, b"ok\n")
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": "123", "state": "AVAILABLE", "status": status}
        half = {"name": "half_plus_two", "model_version_status": [version]}
        assert server.get("/v1/models") == (200, {"models": [half]})
        configured(tmp_path, {"half_plus_two": BUNDLED, "late": tmp_path / "late"})
        server.wait_for(r"\(Re-\)adding model: late")
        assert server.get("/readyz") == (503, b"not ready\n")
        assert server.get("/v1/models") == (200, {"models": [half, {"name": "late", "model_version_status": []}]})
        assert server.get("/healthz")[0] == 200
        graphs.plus(tmp_path / "late" / "1", 1.0)
        server.wait_for(r"Successfully loaded servable version \{name: late version: 1\}")
        assert server.get("/readyz")[0] == 200
        graphs.corrupt(tmp_path / "late" / "2")
        server.wait_for(r"Encountered an error for servable version \{name: late version: 2\}")
        assert server.get("/readyz")[0] == 503
        assert server.predict([1.0], "late") == [2.0]


def test_a_probe_is_for_get_alone_and_a_slash_at_the_end_is_malformed(tmp_path: Path) -> None:
    with launched(configured(tmp_path, {"half_plus_two": BUNDLED})) as server:
        server.wait_for(LISTENING)
        assert server.post("/readyz", {})[0] == 404
        assert server.request("HEAD", "/readyz") == (200, b"")
        assert server.get("/v1/models/") == (400, {"error": "Malformed request: GET /v1/models/"})
        assert server.get("/v1/models/metadata")[0] == 404
