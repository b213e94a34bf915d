"""Faults of the engine: stopped, restarted, slow, silent, dropping connections, full, and out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.faults.counting import Ended
from benchmarks.faults.fault import Fault, Inject
from benchmarks.faults.lab import Lab
from tests.support.chain import NEVER_READY
from tests.support.engine.private import PrivateEngine
from tests.support.engine.proxy import EngineFault, EngineProxy
from tests.support.registry import RegistryServer, random_image
from tests.support.waiting import until

LAYER_BYTES = 300_000
LARGE_BYTES = 20_000_000
BEFORE = {"setup": (), "serve": ("setup",), "status": ("setup", "serve"), "predict": ("setup", "serve")}


@dataclass
class EngineFaults:
    """One private engine with a socket in front of it, and a registry."""

    engine: PrivateEngine
    proxy: EngineProxy
    registry: RegistryServer

    def faults(self) -> list[Fault]:
        """Everything that can be done to them."""
        stopped = [
            Fault(f"engine stopped: `{verb}`", {3}, self.stopped(verb, *before))
            for verb, before in (*BEFORE.items(), ("teardown", ("setup", "serve")))
        ]
        return [
            *stopped,
            Fault("engine restarted between `setup` and `serve`", {0}, self.restarted("setup", "serve")),
            Fault("engine restarted while serving: `status`", {5}, self.restarted("serve", "status")),
            Fault("engine restarted while serving: `predict`", {5}, self.restarted("serve", "predict")),
            Fault("engine restarted while `serve` waits", {3, 5}, self.restarted_while_waiting, cleans_up=False),
            Fault(
                "engine drops every connection that lists containers: `serve`",
                {3},
                self.proxied("serve", "GET .*/containers/json", cut_after_bytes=5),
            ),
            Fault("engine slow (0.1 s before each piece): `serve`", {0}, self.proxied("serve", delay_s=0.1)),
            Fault("engine silent: `setup`", {3}, self.proxied("setup", cut_after_bytes=0, silent=True)),
            Fault("engine silent: `status`", {3}, self.proxied("status", cut_after_bytes=0, silent=True)),
            *self.dropping(),
            *self.registry_faults(),
            Fault("engine's disk full while the image is pulled", {7}, self.pull(LARGE_BYTES, full=True)),
            Fault("engine's disk full: `serve`", {3, 5}, self.serve_without_space),
            Fault("memory limit hit: `serve`", {5}, self.out_of_memory),
        ]

    def dropping(self) -> list[Fault]:
        """The connection ends in the middle of the answer to one kind of request."""
        cuts = {
            "the container is created": ("serve", "POST .*/containers/create"),
            "the container is started": ("serve", "POST .*/start"),
            "the container is inspected": ("serve", "GET .*/containers/[0-9a-f]{64}/json"),
            "containers are listed": ("status", "GET .*/containers/json"),
            "the container is stopped": ("teardown", "POST .*/stop"),
            "the container is removed": ("teardown", "DELETE .*/containers/"),
        }
        return [
            Fault(
                f"engine drops the connection while {what}: `{verb}`",
                {3},
                self.proxied(verb, request, cut_after_bytes=5, times=1),
            )
            for what, (verb, request) in cuts.items()
        ] + [
            Fault("engine drops the connection while the image is pulled", {3}, self.dropped_pull),
            Fault("engine drops the connection while logs are followed", {3}, self.dropped_logs),
        ]

    def registry_faults(self) -> list[Fault]:
        """The registry behind the engine."""
        return [
            Fault("registry answers 401", {7}, self.pull(status=401, headers={"WWW-Authenticate": "Basic realm=t"})),
            Fault("registry answers 404", {7}, self.pull(path="manifests", status=404)),
            Fault("registry answers 429 once", {0}, self.pull(path="manifests", status=429, times=1)),
            Fault("registry answers 500 for ever", {7}, self.pull(path="manifests", status=500)),
            Fault("registry drops a layer once", {0}, self.pull(layer=True, cut_after_bytes=LAYER_BYTES // 2, times=1)),
            Fault("registry is not there", {7}, self.pull(gone=True)),
        ]

    def stopped(self, verb: str, *before: str) -> Inject:
        """The verb with the engine stopped after these."""

        def inject(lab: Lab) -> Ended:
            if before:
                lab.ok(*before)
            self.engine.stop()
            try:
                return Ended.of(lab.run(verb))
            finally:
                self.engine.start()

        return inject

    def restarted(self, before: str, verb: str) -> Inject:
        """The verb with the engine restarted after another."""

        def inject(lab: Lab) -> Ended:
            lab.ok("setup", *({before} - {"setup"}))
            self.engine.restart()
            return Ended.of(lab.run(verb))

        return inject

    def restarted_while_waiting(self, lab: Lab) -> Ended:
        """Before the server is ready."""
        lab.ok("setup")
        lab.config["server"]["flags"] = NEVER_READY
        process = lab.start("serve")
        until(lambda: bool(lab.servers()), process)
        self.engine.restart()
        _, said = process.communicate(timeout=90)
        del lab.config["server"]["flags"]
        return Ended.said(process.returncode, said)

    def proxied(self, verb: str, request: str = "", **fault: Any) -> Inject:
        """The verb through the socket that does this to the engine's answers."""

        def inject(lab: Lab) -> Ended:
            if before := {"serve": ("setup",), "setup": ()}.get(verb, ("setup", "serve")):
                lab.ok(*before)
            return self._through_proxy(lab, EngineFault(request, **fault), verb)

        return inject

    def _through_proxy(self, lab: Lab, fault: EngineFault, *words: str) -> Ended:
        self.proxy.fault = fault
        lab.environment["DOCKER_HOST"] = self.proxy.host
        try:
            ended = Ended.of(lab.run(*words))
        finally:
            lab.environment["DOCKER_HOST"] = self.engine.host
        if not fault.met:
            raise AssertionError(f"no request met {fault}")
        return ended

    def dropped_logs(self, lab: Lab) -> Ended:
        """Somebody follows the log."""
        lab.ok("setup", "serve")
        return self._through_proxy(lab, EngineFault("GET .*/logs", cut_after_bytes=400), "logs", "--follow")

    def dropped_pull(self, lab: Lab) -> Ended:
        """The engine goes away while it pulls."""
        with _image(self, lab, LAYER_BYTES):
            return self._through_proxy(lab, EngineFault("POST .*/images/create", cut_after_bytes=200), "setup")

    def pull(
        self,
        size_bytes: int = LAYER_BYTES,
        *,
        full: bool = False,
        gone: bool = False,
        layer: bool = False,
        **fault: Any,
    ) -> Inject:
        """`setup` has to pull an image from a registry with this fault."""

        def inject(lab: Lab) -> Ended:
            with _image(self, lab, size_bytes) as reference:
                if gone:
                    lab.config["server"]["image"] = "127.0.0.1:1/" + reference.partition("/")[2]
                if layer:
                    fault["path"] = _layer(self, lab.project)
                if fault:
                    self.registry.fail(**fault)
                if not full:
                    return Ended.of(lab.run("setup"))
                with self.engine.without_space():
                    return Ended.of(lab.run("setup"))

        return inject

    def serve_without_space(self, lab: Lab) -> Ended:
        """No container can be made."""
        lab.ok("setup")
        with self.engine.without_space():
            return Ended.of(lab.run("serve"))

    def out_of_memory(self, lab: Lab) -> Ended:
        """The server needs more than it may take."""
        lab.ok("setup")
        lab.config["server"]["memory"] = "48m"
        ended = Ended.of(lab.run("serve"))
        del lab.config["server"]["memory"]
        return ended


@contextmanager
def _image(stage: EngineFaults, lab: Lab, size_bytes: int) -> Iterator[str]:
    """An image of random bytes in the registry, which the project asks for until the block ends."""
    reference = f"{stage.registry.address}/{lab.project}:1"
    kept, lab.config["server"]["image"] = lab.config["server"]["image"], reference
    _push(stage, lab.project, size_bytes)
    try:
        yield reference
    finally:
        stage.registry.faults.clear()
        lab.config["server"]["image"] = kept
        with stage.engine.client() as client:
            if client.images.list(name=reference.rpartition(":")[0]):
                client.images.remove(reference)


def _push(stage: EngineFaults, name: str, size_bytes: int) -> None:
    """Past the faults in front of the registry."""
    repository = f"127.0.0.1:{stage.registry.registry_port}/{name}"
    with stage.engine.client() as client:
        client.api.import_image_from_data(random_image(size_bytes), repository=repository, tag="1")
        if "error" in (said := client.images.push(repository, tag="1")):
            raise RuntimeError(f"the image cannot be pushed: {said}")
        client.images.remove(f"{repository}:1")


def _layer(stage: EngineFaults, name: str) -> str:
    """The request for the image's one layer, which is large enough to be broken in the middle."""
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    url = f"{stage.registry.url}/v2/{name}/manifests/1"
    manifest = requests.get(url, headers=accept, timeout=10).json()
    return f"GET .*blobs/{manifest['layers'][0]['digest']}"
