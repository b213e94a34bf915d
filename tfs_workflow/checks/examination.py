"""doctor: every check at the same time, before setup, after it or while serving.

Doctor is called when something is wrong, so any check may hang or raise: a network drive, an engine, a damaged state
file. Each topic runs by itself (runner.py), and a topic that fails leaves the others whole. Facts that several topics
need are fetched once, in the background. Nothing is changed and nothing is fetched, so that doctor may run beside any
other verb, without the lock.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tfs_workflow.checks import docker_host, machine, selinux, settings, tools
from tfs_workflow.checks.finding import Finding, ok
from tfs_workflow.checks.model.model_checks import model_findings
from tfs_workflow.checks.model.rank_checks import rank_findings
from tfs_workflow.checks.port_use import port_finding
from tfs_workflow.checks.runner import gathered, in_background
from tfs_workflow.checks.tensorflow_packages import installed, tensorflow_findings, tensorflow_version
from tfs_workflow.config.load import LoadedConfig, load
from tfs_workflow.config.types import Config, Model, Source
from tfs_workflow.errors import ConfigError, ToolMissingError, WorkflowError
from tfs_workflow.runtimes.base import ModelServer
from tfs_workflow.runtimes.kinds import FALLBACK, KINDS, PREFERRED, RuntimeKind, runtime_kind
from tfs_workflow.runtimes.own_keys import is_official
from tfs_workflow.runtimes.process.process_runtime import ProcessRuntime
from tfs_workflow.runtimes.spec import ServerSpec
from tfs_workflow.runtimes.spec_builder import build_spec
from tfs_workflow.sources.registry import model_source
from tfs_workflow.sources.source import ModelSource
from tfs_workflow.state.fingerprints import served_files
from tfs_workflow.state.project_state import read_state
from tfs_workflow.state.setup_record import SetupRecord, source_list
from tfs_workflow.state.workspace import Workspace

if TYPE_CHECKING:
    from tfs_workflow.runtimes.docker.engine_info import EngineFacts

# Longer than an engine's own timeout (engine_info.py), so that its error is shown and not this one.
DEADLINE_S = 15.0
DEFAULT_IMAGE = "tensorflow/serving:2.20.0"
Topics = dict[str, Callable[[], Iterable[Finding]]]


def doctor(path: str | None) -> list[Finding]:
    """The findings of every possible check; changes nothing and fetches nothing."""
    try:
        loaded = load(path)
    except ConfigError as error:
        return gathered(_without_yaml(error), DEADLINE_S)
    return gathered(_Examination.of(loaded).topics(), DEADLINE_S)


def _without_yaml(error: ConfigError) -> Topics:
    """The checks of the machine alone, without a YAML that names the runtime."""
    facts = in_background(partial(_engine_facts, DEFAULT_IMAGE))
    return {
        "configuration": partial(settings.broken, error),
        "engine": partial(_engine, facts, "auto", DEFAULT_IMAGE),
        "machine": partial(machine.processor, machine.cpu_flags(), platform.machine()),
        "tools": partial(_tools, Path.cwd(), False, None),
    }


@dataclass(frozen=True)
class _Examination:
    """One project as doctor examines it; `facts` is None where no engine is involved."""

    loaded: LoadedConfig
    workspace: Workspace | None
    record: SetupRecord | None
    facts: Future[EngineFacts] | None
    obstacle: ConfigError | None = None

    @classmethod
    def of(cls, loaded: LoadedConfig) -> _Examination:
        """Read what setup recorded, and start to query the engine where one may be needed."""
        workspace, record, obstacle = None, None, None
        try:
            workspace = Workspace.open(loaded.workspace, loaded.config.project)
            record = read_state(workspace).setup if workspace else None
        except ConfigError as error:
            obstacle = error
        needed = loaded.config.runtime if loaded.config.runtime != "auto" or record is None else record.runtime
        facts = None
        if needed == "auto" or runtime_kind(needed).is_container:
            facts = in_background(partial(_engine_facts, loaded.config.server.image))
        return cls(loaded, workspace, record, facts, obstacle)

    @property
    def config(self) -> Config:
        """The YAML's values."""
        return self.loaded.config

    def topics(self) -> Topics:
        """Every topic, in the order in which it is shown."""
        return {
            "configuration": self.configuration,
            "engine": self.engine,
            "machine": self.machine,
            "ports": self.ports,
            **{f"model {name}": partial(self.model, name) for name in self.config.models},
            "tools": self.tools,
        }

    def kind(self) -> RuntimeKind:
        """The runtime that serves, or would: for auto what setup chose, else docker where an engine answers."""
        if self.config.runtime != "auto":
            return runtime_kind(self.config.runtime)
        if self.record is not None:
            return runtime_kind(self.record.runtime)
        return PREFERRED if self.engine_facts() else FALLBACK

    def engine_facts(self) -> EngineFacts | None:
        """The engine's facts; None where none is involved or none answers."""
        try:
            return self.facts.result() if self.facts else None
        except WorkflowError:
            return None

    def configuration(self) -> Iterator[Finding]:
        """The YAML, the workspace and what the chosen runtime needs to be installed."""
        yield from settings.configuration_findings(self.loaded, self.kind().name)
        if self.obstacle is not None:
            raise self.obstacle

    def engine(self) -> Iterator[Finding]:
        """The engine, or why there is none; then the server that the runtime starts."""
        if self.facts is None:
            why = (
                f" (chosen by an earlier setup: {self.record.reason}; invoke setup --update chooses again)"
                if self.config.runtime == "auto" and self.record
                else ""
            )
            yield ok(docker_host.CHECK, f"not needed by runtime: {self.kind().name}{why}")
        else:
            server = self.config.server
            yield from _engine(self.facts, self.config.runtime, server.image, server.expose)
        facts = self.engine_facts()
        if facts and self.kind().is_container:
            yield from docker_host.thread_limit(facts.processors, self.spec().pids)
        kind = self.kind()
        if not kind.is_container:
            binary = kind.require(self.config.server.native_binary)
            yield ok("server", binary or f"{kind.name}, on TensorFlow {tensorflow_version()}")
        if kind.own_code:
            yield from tensorflow_findings(installed(), DEFAULT_IMAGE)

    def machine(self) -> Iterator[Finding]:
        """Processor and memory of the machine that serves."""
        facts = self.engine_facts()
        if facts is None or facts.local:
            yield from machine.processor(machine.cpu_flags(), platform.machine())
        spec = self.spec()
        sizes = [_size_bytes(model.base_path) for model in spec.models]
        limit = spec.memory_bytes if self.kind().is_container else None
        total = facts.memory_bytes if facts else 0
        yield from machine.memory(machine.available_memory_bytes(), total, limit, sum(sizes))

    def ports(self) -> Iterator[Finding]:
        """Both ports of the YAML."""
        facts = self.engine_facts()
        published = (facts.published if facts else None) or {}
        ours = {port for server in self.processes() for port in (server.rest_port, server.grpc_port)}
        ours |= {port for port, holder in published.items() if holder.project == self.config.project}
        for key in ("rest_port", "grpc_port"):
            port = getattr(self.config.server, key)
            yield port_finding(key, port, self.spec().address, ours, published, here=facts is None or facts.local)

    def processes(self) -> list[ModelServer]:
        """The project's servers that are local processes."""
        nowhere = self.loaded.workspace
        names = [kind.name for kind in KINDS if not kind.is_container]
        found = (ProcessRuntime(name, nowhere, nowhere).find(self.config.project) for name in names)
        return [server for servers in found for server in servers]

    def model(self, name: str) -> Iterator[Finding]:
        """One model: its files where they are here, else what setup would fetch."""
        server = self.spec()
        spec = next((model for model in server.models if model.name == name), None)
        if spec is None:
            sources = ", else ".join(self.source(source).description for source in self.config.models[name].source)
            yield ok(f"model {name}: source", f"not fetched yet; invoke setup takes {sources}")
            return
        kind = self.kind()
        if kind.is_container:
            label = selinux.label_of(spec.base_path)
            yield from selinux.container_access(name, spec.base_path, selinux.is_enforcing(), label)
        version = server_version(kind.name, self.config.server.image)
        traits = {"embedded": kind.own_code, "tflite": server.prefers_tflite}
        yield from model_findings(spec, kind.reader(), version, server.tags, **traits)
        if not kind.own_code:
            yield from rank_findings(spec, dict(server.environment), restarts=server.restart != "no")

    def spec(self) -> ServerSpec:
        """The server spec of the models whose files are here."""
        paths = {name: path for name, model in self.config.models.items() if (path := self.base_path(name, model))}
        here = {name: model for name, model in self.config.models.items() if name in paths}
        facts = self.engine_facts() if self.kind().is_container else None
        processors = self.record.processors if self.record else facts.processors if facts else 0
        return build_spec(
            self.config.model_copy(update={"models": here}), self.kind().name, paths, {}, processors=processors
        )

    def base_path(self, name: str, model: Model) -> Path | None:
        """Where the model's files are: from setup, else where its first source serves them in place."""
        record = self.record.models.get(name) if self.record else None
        # A record of other sources describes files of another model.
        if record and record.sources == source_list(model):
            return Path(record.base_path)
        return self.source(model.source[0]).base_path

    def source(self, configured: Source) -> ModelSource:
        """What a source of the YAML means."""
        return model_source(configured, self.loaded.path.parent)

    def tools(self) -> Iterator[Finding]:
        """What the verbs use besides."""
        git = any(self.source(one).needs_git for model in self.config.models.values() for one in model.source)
        directory = self.workspace.path if self.workspace else Path.cwd()
        yield from _tools(directory, git, self.engine_facts())


def server_version(runtime: str, image: str) -> str:
    """TensorFlow's version in the server, from the image's tag or the installed wheel; empty where not known."""
    if runtime_kind(runtime).has_image:
        tag = image.partition("@")[0].rpartition(":")[2]
        found = re.match(r"\d+\.\d+(\.\d+)?", tag) if is_official(image) else None
        return found[0] if found else ""
    return tensorflow_version() if runtime_kind(runtime).own_code else ""


def _engine_facts(image: str) -> EngineFacts:
    from tfs_workflow.runtimes.docker.engine_info import engine_facts  # noqa: PLC0415  # docker-py only where it is needed

    return engine_facts(image)


def _engine(facts: Future[EngineFacts], runtime: str, image: str, expose: bool = False) -> Iterator[Finding]:
    try:
        found = facts.result()
    except ToolMissingError as error:
        yield docker_host.without_engine(error, runtime)
    else:
        yield from docker_host.engine_findings(found, image, expose)


def _tools(directory: Path, git_needed: bool, facts: EngineFacts | None) -> Iterator[Finding]:
    yield from tools.git(git_needed)
    yield from tools.credentials()
    ahead_s = {"file system": tools.file_system_ahead_s(directory)}
    yield from tools.clock(ahead_s | ({"engine": facts.clock_ahead_s} if facts else {}))
    yield from tools.proxies()


def _size_bytes(base_path: Path) -> int:
    return sum(path.stat().st_size for path in served_files(base_path)) if base_path.is_dir() else 0
