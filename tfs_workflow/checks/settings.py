"""The configuration: what TensorFlow Serving would reject, or silently ignore.

TensorFlow Serving ignores an unknown flag after one line in its log, and accepts settings that contradict each other.
The YAML's types cannot find these: they depend on the runtime and on the release in the image. So they are findings,
most of them warnings, as a list of flags by release can never be complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tfs_workflow.checks.access_files import access_findings
from tfs_workflow.checks.finding import Finding, failed, failure, ok, warning
from tfs_workflow.client.access.server_certificate import read_ssl_config
from tfs_workflow.config.introspection import suggestion
from tfs_workflow.config.load import LoadedConfig
from tfs_workflow.config.types import Batching, Config
from tfs_workflow.errors import ConfigError
from tfs_workflow.modelserver.flags import FLAGS, OWN, UsageError, parse
from tfs_workflow.runtimes.kinds import runtime_kind
from tfs_workflow.runtimes.own_keys import is_official
from tfs_workflow.sources.registry import model_source

EMBEDDED_FLAGS = frozenset(flag.name for flag in OWN)
# The first release with a flag, from tensorflow/serving's RELEASE.md; what is not here is older, or not known to us.
FLAG_SINCE = {
    "use_alts_credentials": (2, 6),
    "thread_pool_factory_config_file": (2, 6),
    "tensorflow_session_config_file": (2, 8),
    "num_request_iterations_for_warmup": (2, 8),
    # In 2.20 and not in a main.cc that has the flags above: at the earliest of 2.8; which release is not documented.
    "mixed_precision": (2, 8),
    "skip_initialize_tpu": (2, 8),
    "enable_grpc_healthcheck_service": (2, 8),
    "enable_serialization_as_tensor_content": (2, 8),
    "xla_gpu_compilation_enabled": (2, 8),
    "enable_per_model_metrics": (2, 8),
}
CONTAINER_KEYS = ("memory", "cpus", "restart")


def configuration_findings(loaded: LoadedConfig, runtime: str) -> Iterator[Finding]:
    """Everything that passes the YAML's types and that the server would not do."""
    config = loaded.config
    overrides = f", changed by {', '.join(loaded.overrides)}" if loaded.overrides else ""
    yield ok("configuration", f"{loaded.path} is good{overrides}")
    if loaded.foreign:
        evidence = f"ignored, as they name no key of the YAML: {', '.join(loaded.foreign)}"
        yield warning("configuration: environment", evidence, "nothing to do where they belong to another program")
    yield from access_findings(config, runtime)
    yield from _flags(config, runtime)
    yield from _mistaken_sources(loaded)
    yield from _without_effect(config, runtime)
    if runtime_kind(runtime).has_image and not re.search(r"[^/]:[^/]+$|@", config.server.image.replace(":latest", "")):
        evidence = f"{config.server.image} is another image whenever somebody pushes one"
        yield warning("configuration: server.image", evidence, "name a release, such as tensorflow/serving:2.20.0")


def broken(error: ConfigError) -> Iterator[Finding]:
    """One finding for each problem of a YAML that cannot be used; checks that need it are left out."""
    for line in str(error).splitlines() if not error.where else [error.what]:
        where = f"{error.where}: " if error.where else ""
        yield failure("configuration", f"{where}{line.strip()}", error.fix or "mend it in the YAML", ConfigError)
    evidence = "models and ports are not checked while the YAML cannot be used"
    yield warning("configuration: rest", evidence, "mend the YAML, then invoke doctor again")


def known_flags(runtime: str, image: str) -> list[str]:
    """The flags of the server that will run: TensorFlow Serving's, and those of our own server where that runs."""
    kind = runtime_kind(runtime)
    ours = kind.own_code or (kind.has_image and not is_official(image))
    return [flag.name for flag in FLAGS if ours or flag.name not in EMBEDDED_FLAGS]


def newer_flag(name: str, image: str) -> str:
    """Why an official image's release does not know the flag, or an empty string.

    An image of another name, or a tag without a release, is not judged.
    """
    tag = re.match(r"(\d+)\.(\d+)", image.partition("@")[0].rpartition(":")[2])
    since = FLAG_SINCE.get(name)
    if not (tag and since and is_official(image)) or tuple(map(int, tag.groups())) >= since:
        return ""
    return f"{image} does not know this flag: it came with {'.'.join(map(str, since))} or later"


def _flags(config: Config, runtime: str) -> Iterator[Finding]:
    known = known_flags(runtime, config.server.image)
    for name, value in config.server.flags.items():
        check = f"configuration: server.flags.{name}"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name not in known:
            yield warning(check, "the server does not know this flag, says so once and goes on", _meant(name, known))
        elif runtime_kind(runtime).has_image and (newer := newer_flag(name, config.server.image)):
            yield warning(check, newer, "take a newer image, or remove the flag")
        elif refused := _refused(name, text):
            yield failure(check, refused, "give a value of the flag's type", ConfigError)
        else:
            yield from _flag_meaning(check, name, text, config, runtime)


def _meant(name: str, known: list[str]) -> str:
    # A parameter of the batching file, which is easily taken for a flag.
    if name in Batching.model_fields:
        return f"it is a batching parameter: write it as server.batching.{name}"
    meant = suggestion(name, known)
    return f"did you mean {meant}?" if meant else "remove it; `tensorflow_model_server --help` lists them all"


def _refused(name: str, text: str) -> str:
    try:
        parse([f"--{name}={text}"])
    except UsageError as error:
        return str(error)
    return ""


def _flag_meaning(check: str, name: str, text: str, config: Config, runtime: str) -> Iterator[Finding]:
    """Flags that are good by themselves and not here."""
    if name == "file_system_poll_wait_seconds" and text.startswith("-"):
        fix = "remove it, or set 0 to look once"
        yield failure(check, "the server never looks for its models and becomes AVAILABLE never", fix, ConfigError)
    elif name == "allow_version_labels_for_unavailable_models" and text in ("false", "0"):
        if any(model.labels for model in config.models.values()):
            evidence = "labels are refused in the first configuration, even on versions that are there"
            yield failure(check, evidence, "remove the flag; serve sets it", ConfigError)
    elif name.endswith("_file") and text:
        if runtime_kind(runtime).is_container:
            evidence = f"the container has no {text}: only models and the generated configuration are mounted"
            yield failure(check, evidence, "bake the file into an image, or take another runtime", ConfigError)
        elif not Path(text).is_file():
            yield failure(check, f"there is no file {text}", "give an absolute path", ConfigError)
        elif name == "ssl_config_file":
            yield from _ssl_config(check, Path(text))


def _ssl_config(check: str, path: Path) -> Iterator[Finding]:
    try:
        read_ssl_config(path)
    except ConfigError as error:
        yield failed(check, error)


def _mistaken_sources(loaded: LoadedConfig) -> Iterator[Finding]:
    for name, model in loaded.config.models.items():
        for source in model.source:
            if mistake := model_source(source, loaded.path.parent).mistake():
                yield failure(f"configuration: models.{name}.source", *mistake, ConfigError)


def _without_effect(config: Config, runtime: str) -> Iterator[Finding]:
    if not runtime_kind(runtime).is_container:
        for key in CONTAINER_KEYS:
            if key in config.server.model_fields_set and getattr(config.server, key) not in (None, "no"):
                evidence = f"has no effect with runtime: {runtime}, which is no container"
                yield warning(f"configuration: server.{key}", evidence, "remove it, or set runtime: docker")
    if runtime_kind(runtime).always_exposed and not config.server.expose:
        evidence = "tensorflow_model_server itself listens on every interface, whatever server.expose says"
        yield warning("configuration: server.expose", evidence, "close the ports in the firewall, or take docker")
