"""The metrics page of a server with fronts goes on counting after an end of engine or front."""

from __future__ import annotations

from pathlib import Path

from tests.support.modelserver.families import clients_of, crashing, engine_of, fronts_of, metrics_of, monitored, unrun
from tests.support.modelserver.running import serving
from tests.support.waiting import until

REQUESTS = ":tensorflow:serving:request_count"
OWN = ":tfs_workflow:modelserver:"


def test_counters_go_on_after_an_end_of_the_engine(tmp_path: Path) -> None:
    ok = f'{REQUESTS}{{model_name="half_plus_two",status="OK"}}'
    with serving("--fronts=2", monitored(tmp_path)) as server:
        for count in range(1, 4):
            for _ in range(20):
                server.predict([1.0])
            engine = engine_of(server)
            engine.kill()
            until(lambda engine=engine: engine_of(server).pid != engine.pid)  # type: ignore[misc]
            seen = metrics_of(server)
            assert seen[ok] == 20 * count
            assert seen[f'{OWN}end_count{{process="engine",exit_code="137"}}'] == count
        latency = ":tensorflow:serving:request_latency"
        labels = 'model_name="half_plus_two",API="predict",entrypoint="REST"'
        assert seen[f"{latency}_count{{{labels}}}"] == 60
        assert seen[f'{latency}_bucket{{{labels},le="+Inf"}}'] == 60
        assert seen[f"{latency}_sum{{{labels}}}"] > 60 * 10
        (loads,) = [value for key, value in seen.items() if "load_attempt_count{" in key]
        assert loads == 4


def test_under_load_every_right_answer_is_counted(tmp_path: Path) -> None:
    with serving("--fronts=2", monitored(tmp_path)) as server:
        with clients_of(server) as clients:
            engine = engine_of(server)
            engine.kill()
            until(lambda: engine_of(server).pid != engine.pid)
            clients.wait_for_more()
        seen = metrics_of(server)
        counted = seen[f'{REQUESTS}{{model_name="half_plus_two",status="OK"}}']
        failed = unrun(server, "engine_ended")
        assert failed == sum(count for what, count in clients.seen.items() if what != "right")
        # An answer that was counted and not sent any more is given, and counted, by the next engine.
        assert clients.seen["right"] <= counted <= clients.seen["right"] + 8 + failed


def test_a_crash_and_an_end_of_a_front_are_counted(tmp_path: Path) -> None:
    with crashing(tmp_path / "m", "--fronts=1", monitored(tmp_path)) as server:
        assert server.post("/v1/models/m:predict", {"inputs": []})[0] == 500
        (front,) = fronts_of(server)
        front.kill()
        server.wait_for("A front ended with exit code 137")
        until(lambda: len(fronts_of(server)) == 1)
        assert server.post("/v1/models/m:predict", {"inputs": []})[0] == 400
        seen = metrics_of(server)
        assert unrun(server, "engine_ended") == 1
        assert seen[f'{OWN}end_count{{process="engine",exit_code="134"}}'] == 1
        assert seen[f'{OWN}end_count{{process="front",exit_code="137"}}'] == 1
        assert seen[f'{REQUESTS}{{model_name="m",status="INVALID_ARGUMENT"}}'] == 1
