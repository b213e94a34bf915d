"""The Docker engine: which one it is, whether it can mount our files, and whether it has room, a GPU and the image.

Every function takes the engine's facts as data, so that an engine with a GPU, without space or on another machine needs
no such engine in a test. Setup uses the same findings before it pulls an image, and raises the first failure: what
doctor reports and what setup rejects cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfs_workflow.checks.finding import Finding, failed, failure, ok, warning
from tfs_workflow.errors import ToolMissingError, WorkflowError
from tfs_workflow.runtimes.own_keys import is_official
from tfs_workflow.runtimes.spec_builder import needed_pids

if TYPE_CHECKING:
    from tfs_workflow.runtimes.docker.engine_info import EngineFacts

# What the images take once they are unpacked, roughly: tensorflow/serving:2.20.0, and the same for GPUs.
IMAGE_BYTES, GPU_IMAGE_BYTES = 1 << 30, 8 << 30
# The first part of every finding's name here.
CHECK = "engine"
_ELSEWHERE = "point DOCKER_HOST or the docker context at a local engine, or set runtime: embedded"


def engine_findings(facts: EngineFacts, image: str, expose: bool = False) -> Iterator[Finding]:
    """Everything about an engine that answers; with `expose` its ports may be open to the network."""
    kind = "Podman" if facts.podman else "Docker"
    traits = ", rootless" if facts.rootless else ""
    yield ok(CHECK, f"{kind} {facts.version} at {facts.address} ({facts.origin}{traits})")
    yield from locality(facts.address, facts.local, expose)
    yield from room(facts, image)
    yield from gpu(facts, image)
    yield from architecture(facts.architecture, image, facts.image_architecture)


def without_engine(error: WorkflowError, runtime: str) -> Finding:
    """A missing engine, which is a failure only where the YAML names docker."""
    found = failed(CHECK, error)
    if runtime != "auto":
        return found
    return warning(CHECK, f"{found.evidence}; runtime: auto takes the embedded server instead", found.fix)


def thread_limit(processors: int, pids: int) -> Iterator[Finding]:
    """The container's limit on threads: a server that may not start one ends, with its pthread_create in the log."""
    needed = needed_pids(processors)
    if pids < needed:
        evidence = f"TensorFlow Serving starts about {needed} threads on {processors} processors, {pids} are allowed"
        fix = f"set server.pids to auto and run invoke setup, or to at least {needed}"
        yield warning("configuration: server.pids", evidence, fix)


def locality(address: str, local: bool, expose: bool = False) -> Iterator[Finding]:
    """A remote engine has neither the models' directories nor this machine's loopback.

    The models are copied to it (#2004); its ports can only be reached where they are open to the network.
    """
    check = f"{CHECK}: location"
    if local:
        yield ok(check, "local: it can mount this machine's directories")
    elif address.startswith("ssh:"):
        evidence = f"{address} is another machine, whose ports are not reached through ssh"
        yield failure(check, evidence, f"run tfs on that machine, {_ELSEWHERE}", ToolMissingError)
    elif expose:
        yield ok(check, f"{address} is another machine: models are copied to it, ports are open to its whole network")
    else:
        evidence = f"{address} is another machine: what it publishes on its own loopback cannot be reached from here"
        fix = f"set server.expose: true to open its ports to the network, run tfs on that machine, {_ELSEWHERE}"
        yield failure(check, evidence, fix, ToolMissingError)


def room(facts: EngineFacts, image: str) -> Iterator[Finding]:
    """Space for an image that is still to be pulled."""
    check = f"{CHECK}: disk space"
    if facts.free_bytes is None:
        return
    free = f"{facts.free_bytes / 1e9:.1f} GB free"
    needed = GPU_IMAGE_BYTES if is_gpu(image) else IMAGE_BYTES
    if facts.image_architecture:
        yield ok(check, f"{free}; {image} is here already")
    elif facts.free_bytes < needed:
        yield warning(
            check, f"{free}; {image} takes about {needed / 1e9:.0f} GB", "free space on the engine: docker system prune"
        )
    else:
        yield ok(check, f"{free}; {image} is still to be pulled")


def gpu(facts: EngineFacts, image: str) -> Iterator[Finding]:
    """A GPU image needs NVIDIA's runtime, and as the default one, since the container requests no devices."""
    check = f"{CHECK}: GPU"
    if not is_gpu(image):
        return
    if "nvidia" not in facts.runtimes:
        yield failure(
            check,
            f"{image} is for GPUs; the engine has no nvidia runtime, only {', '.join(facts.runtimes)}",
            "install nvidia-container-toolkit and restart the engine, or take the image without -gpu",
            ToolMissingError,
        )
    elif facts.default_runtime != "nvidia":
        yield warning(
            check,
            f"the nvidia runtime is there, but {facts.default_runtime} is the default",
            "sudo nvidia-ctk runtime configure --set-as-default, then restart the engine",
        )
    else:
        yield ok(check, "nvidia is the engine's default runtime")


def architecture(engine: str, image: str, image_architecture: str) -> Iterator[Finding]:
    """TensorFlow Serving's own images are for amd64 alone; under emulation they lack AVX."""
    check = f"{CHECK}: architecture"
    offered = image_architecture or ("amd64" if is_official(image) else "")
    fix = "set runtime: embedded, or build an image for it: invoke image.build, then server.image"
    if offered and engine and offered != engine:
        here = "would run emulated, without AVX" if image_architecture else "has no image for it"
        yield failure(check, f"the engine is {engine}, {image} is {offered}: it {here}", fix, ToolMissingError)
    else:
        yield ok(check, engine + (f", as {image}" if offered else ""))


def is_gpu(image: str) -> bool:
    """Whether the tag is one of the GPU variants."""
    return image.partition("@")[0].endswith("-gpu")
