"""A switch to a new engine while the server runs: SIGHUP, with the flags as they are then."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.families import clients_of, engine_of, engines_of, metrics_of, monitored, send
from tests.support.modelserver.running import BUNDLED, Running, configured, launched, read_response, serving
from tests.support.waiting import until

SLOW = "/v1/models/s:predict"


@contextmanager
def switchable(tmp_path: Path, *flags: str) -> Iterator[Running]:
    """A server whose other flags are in a file."""
    write_flags(tmp_path, flags)
    # The last of a flag holds, so that the file's models do.
    with serving("--fronts=2", f"--flagfile={tmp_path}/flags") as server:
        yield server


def write_flags(tmp_path: Path, flags: Sequence[str]) -> None:
    (tmp_path / "flags").write_text("# flags of the engine\n\n" + "\n".join(flags) + "\n")


def labelled(tmp_path: Path, version: int) -> str:
    """The flag of a configuration with half_plus_two, and versions 1 and 2 of m, of which one has the label."""
    path = tmp_path / "models.config"
    path.write_text(
        f'model_config_list {{ config {{ name: "half_plus_two" base_path: "{BUNDLED}" model_platform: "tensorflow" }}'
        f' config {{ name: "m" base_path: "{tmp_path}/m" model_platform: "tensorflow"'
        f" model_version_policy {{ all {{}} }}"
        f' version_labels {{ key: "stable" value: {version} }} }} }}'
    )
    return f"--model_config_file={path}"


def stable(server: Running) -> object:
    return server.post("/v1/models/m/labels/stable:predict", {"instances": [0.0]})[1]["predictions"]


def switch(server: Running) -> None:
    """Switch, and wait until only the new engine is there."""
    before = engine_of(server).pid
    server.process.send_signal(signal.SIGHUP)

    def is_done() -> bool:
        pids = [engine.pid for engine in engines_of(server)]
        return len(pids) == 1 and before not in pids

    until(is_done)


def test_labels_and_flags_change_under_load_and_no_request_fails(tmp_path: Path) -> None:
    for version in (1, 2):
        graphs.plus(tmp_path / "m" / str(version), version)
    early = "--allow_version_labels_for_unavailable_models"
    with switchable(tmp_path, labelled(tmp_path, 1), early, monitored(tmp_path)) as server:
        assert stable(server) == [1.0]
        with clients_of(server) as clients:
            for version in (2, 1, 2):
                page = f"/metrics/{version}"
                write_flags(tmp_path, [labelled(tmp_path, version), early, monitored(tmp_path, page)])
                switch(server)
                assert stable(server) == [float(version)]
                assert server.get(page)[0] == 200
                clients.wait_for_more()
            clients.end()
        assert set(clients.seen) == {"right"}
        # Counted by four engines.
        counted = metrics_of(server, page)[':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"}']
        assert counted == clients.seen["right"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--model_base_path=/nowhere", "--monitoring_config_file=/nowhere"],
            "ended with exit code 255 before it served",
        ),
        (["--port=1"], "SIGHUP: --port cannot change while the server runs; restart it."),
        (["--num_load_threads=many"], "SIGHUP: Couldn't interpret value many for flag num_load_threads."),
    ],
)
def test_an_engine_that_does_not_come_up_leaves_the_one_before(tmp_path: Path, flags: Sequence[str], told: str) -> None:
    with switchable(tmp_path) as server, clients_of(server) as clients:
        before = engine_of(server).pid
        write_flags(tmp_path, flags)
        server.process.send_signal(signal.SIGHUP)
        assert server.wait_for(told).endswith("The engine that serves stays.")
        clients.wait_for_more()
        assert [one.pid for one in engines_of(server)] == [before]
        clients.end()
        assert set(clients.seen) == {"right"}


def test_a_file_of_flags_that_is_gone_leaves_the_engine(tmp_path: Path) -> None:
    with switchable(tmp_path) as server:
        (tmp_path / "flags").unlink()
        server.process.send_signal(signal.SIGHUP)
        assert "Couldn't read --flagfile=" in server.wait_for("SIGHUP: Couldn't read")
        assert server.predict([1.0]) == [2.5]


@pytest.mark.parametrize("ends", [False, True])
def test_what_is_in_work_is_finished_by_the_engine_before(tmp_path: Path, ends: bool) -> None:
    """Where that engine ends meanwhile, what it ran fails, and what it had not begun goes to its successor."""
    graphs.slow(tmp_path / "s" / "1", products=40)
    models = configured(tmp_path, {"s": tmp_path / "s", "half_plus_two": BUNDLED})
    one_thread = "--rest_api_num_threads=1"
    with switchable(tmp_path, models, one_thread) as server, server.connect() as slow, server.connect() as waiting:
        send(slow, SLOW, {"instances": [1.0]})
        old = engine_of(server)
        until(lambda: old.cpu_percent(0.05) > 20)
        send(waiting, "/v1/models/half_plus_two:predict", {"instances": [1.0]})
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("The new engine serves")
        assert server.predict([3.0]) == [3.5]
        if ends:
            old.kill()
        status, _, body = read_response(slow)
        assert status == (500 if ends else 200), body
        assert json.loads(read_response(waiting)[2]) == {"predictions": [2.5]}
        until(lambda: old.pid not in [one.pid for one in engines_of(server)])
        assert len(engines_of(server)) == 1
        assert server.predict([1.0]) == [2.5]
        assert server.end() == 0


def test_a_crash_while_the_new_engine_loads_waits_for_that(tmp_path: Path) -> None:
    graphs.toiling(tmp_path / "t" / "1", products=8)
    with switchable(tmp_path) as server, server.connect() as connection:
        old = engine_of(server)
        write_flags(tmp_path, [configured(tmp_path, {"half_plus_two": BUNDLED, "t": tmp_path / "t"})])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Loading servable version {name: t")
        old.kill()
        server.wait_for("the new one is loading already")
        send(connection, "/v1/models/half_plus_two:predict", {"instances": [1.0]})
        assert json.loads(read_response(connection)[2]) == {"predictions": [2.5]}
        assert server.predict([1.0], model="t") == [1.0]
        assert len(engines_of(server)) == 1


def test_an_end_while_the_new_engine_loads_ends_both(tmp_path: Path) -> None:
    graphs.toiling(tmp_path / "t" / "1", products=400)
    with switchable(tmp_path) as server:
        children = psutil.Process(server.process.pid).children()
        write_flags(tmp_path, [configured(tmp_path, {"half_plus_two": BUNDLED, "t": tmp_path / "t"})])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Loading servable version {name: t")
        children += engines_of(server)
        assert server.end() == 0
        assert psutil.wait_procs(children, timeout=60)[1] == []
        assert not any("The new engine ended" in line for line in server.lines)


def test_a_second_signal_gives_up_the_engine_that_is_loading(tmp_path: Path) -> None:
    with switchable(tmp_path) as server:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("SIGHUP: starting another engine")
        write_flags(tmp_path, ["--model_name=n"])
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("The new engine ended with exit code 137 before it served")
        server.wait_for("The new engine serves")
        # The fronts hear of it a moment later.
        until(lambda: server.predict([1.0], model="n") == [2.5])
        until(lambda: len(engines_of(server)) == 1)


def test_one_process_reads_its_flags_from_a_file_too(tmp_path: Path) -> None:
    write_flags(tmp_path, ["--enable_batching=maybe", "--enable_batching"])
    with launched(f"--flagfile={tmp_path}/flags") as server:
        assert server.process.wait(timeout=60) == 255
        server.wait_for("Couldn't interpret value maybe for flag enable_batching.")
    write_flags(tmp_path, ["--model_name=n"])
    with serving(f"--flagfile={tmp_path}/flags") as server:
        assert server.predict([1.0], model="n") == [2.5]
