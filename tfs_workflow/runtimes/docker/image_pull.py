"""The image of the docker runtime: present, pulled with progress, or removed.

A pull fails for reasons that differ in their cure: no space, no permission, no such image, or a fault that passes.
Engines and registries give no codes for these, only texts, which differ between releases. So the texts are matched by
patterns, and a text that none fits is shown as it is. The engine repeats failed layers by itself; only what it gives up
at once is retried here.

A tag can move at any time. Setup records the digest, and the server is started by it
(docs/decisions/0011-image-by-digest.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from docker.errors import APIError, ImageNotFound
from docker.utils import parse_repository_tag

from tfs_workflow.errors import FetchFailedError, ToolMissingError
from tfs_workflow.runtimes.base import ImageIdentity
from tfs_workflow.runtimes.docker.engine import Engine, EngineFailedError, engine_errors
from tfs_workflow.sources.transfer import TransferContext, TransientFetchError, with_retries

# What engines and registries print when the same request may well succeed later.
TRANSIENT = re.compile(
    r"toomanyrequests|429|too many requests|received unexpected http status: 5\d\d|50[0-4] |internal server error"
    r"|unexpected eof|\beof\b|connection reset|connection refused|timeout|timed out|deadline exceeded|no such host"
    r"|temporary failure|network is unreachable|tls handshake|broken pipe|server misbehaving|short read|failed to copy",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"unauthorized|authentication required|access denied|no basic auth|denied:", re.IGNORECASE)
NOT_FOUND = re.compile(r"manifest unknown|not found|manifest for .* not found|does not exist", re.IGNORECASE)
NO_SPACE = re.compile(r"no space left on device", re.IGNORECASE)


def image_digest(engine: Engine, reference: str) -> str | None:
    """The registry digest of an image that is here (its id where it was built here), or None."""
    return image_identity(engine, reference).digest or None


def image_identity(engine: Engine, reference: str) -> ImageIdentity:
    """What the reference names on the engine; empty where it names nothing.

    An image has a registry digest for each repository that it was pulled from; that of the reference's own comes first.
    """
    with engine_errors("inspect the image"):
        try:
            found = engine.client.images.get(reference)
        except ImageNotFound:
            return ImageIdentity()
    digests: list[str] = found.attrs.get("RepoDigests") or []
    repository = _repository(reference)
    # A mirror and the original can have different digests for one image.
    matching = [d for d in digests if d.partition("@")[0].endswith(repository)] or digests
    return ImageIdentity(str(found.id), matching[0].partition("@")[2] if matching else str(found.id))


def pinned_reference(engine: Engine, reference: str, digest: str) -> str:
    """A reference that no tag can move: by registry digest, or by id for an image that was built here.

    The reference itself where no digest is known. ToolMissingError when the engine has no such image (any more).
    """
    if not digest:
        return reference
    with engine_errors("inspect the image"):
        for pinned in (f"{_repository(reference)}@{digest}", digest):
            with suppress(ImageNotFound):
                engine.client.images.get(pinned)
                return pinned
    raise ToolMissingError(
        "the image that setup recorded is not on the engine (any more)",
        where=reference,
        evidence=digest,
        fix="invoke setup pulls it",
    )


def _repository(reference: str) -> str:
    """The reference without its tag or digest; a port of the registry is neither."""
    return str(parse_repository_tag(reference)[0])


def pull(engine: Engine, reference: str, context: TransferContext) -> str:
    """Pull the image and return its digest; FetchFailedError with the reason, TransientFetchError where a retry may
    work.

    Progress is in bytes over all layers seen so far, so that the total grows while the engine finds more of them.
    """
    with_retries(lambda: _pull_once(engine, reference, context), context)
    digest = image_digest(engine, reference)
    if digest is None:
        raise FetchFailedError("the engine reported success, but the image is not there", where=reference)
    return digest


def remove(engine: Engine, reference: str) -> bool:
    """Remove the image; False when it was not there."""
    with engine_errors("remove the image"):
        try:
            engine.client.images.remove(reference)
        except ImageNotFound:
            return False
    return True


def _pull_once(engine: Engine, reference: str, context: TransferContext) -> None:
    layers: dict[str, tuple[int, int]] = {}
    engine_retried = False
    for event in _pull_events(engine, reference):
        context.check()
        engine_retried |= str(event.get("status")).startswith("Retrying in")
        if "error" in event:
            fault = explained(reference, str(event["error"]))
            if engine_retried:  # the engine itself retried five times, with growing pauses: more would not help
                raise FetchFailedError(fault.what, where=fault.where, evidence=fault.evidence, fix=fault.fix)
            raise fault
        detail = event.get("progressDetail") or {}
        # Extracting has a progress of its own, which would count each layer twice.
        if event.get("status") == "Downloading" and detail.get("total"):
            layers[event["id"]] = (detail["current"], detail["total"])
            context.progress(reference, sum(c for c, _ in layers.values()), sum(t for _, t in layers.values()))


def _pull_events(engine: Engine, reference: str) -> Iterator[dict[str, Any]]:
    try:
        with engine_errors("pull the image"):
            yield from engine.client.api.pull(reference, stream=True, decode=True)
    except EngineFailedError as error:
        cause = error.__cause__
        text = str(cause.explanation or cause) if isinstance(cause, APIError) else error.evidence
        raise explained(reference, text) from error


def explained(reference: str, text: str) -> FetchFailedError:
    """The registry's or the engine's words as one of our errors; order matters, since texts overlap.

    Space comes first: its text may also name a failed copy. A refusal comes before a missing image, since a registry
    reports both to strangers as "access denied … does not exist".
    """
    if NO_SPACE.search(text):
        return FetchFailedError(
            "no space for the image",
            where=reference,
            evidence=text,
            fix="free space on the engine: docker system prune",
        )
    if TRANSIENT.search(text):
        return TransientFetchError("the registry did not deliver the image", where=reference, evidence=text, fix=_LATER)
    if FORBIDDEN.search(text):
        return FetchFailedError("the registry refuses the image", where=reference, evidence=text, fix=_LOGIN)
    if NOT_FOUND.search(text):
        return FetchFailedError("no such image", where=reference, evidence=text, fix="check server.image: name and tag")
    return FetchFailedError("the image could not be pulled", where=reference, evidence=text, fix=_LATER)


_LATER = "check the network and the registry's limits, then run it again; runtime: embedded needs no image"
_LOGIN = "docker login to that registry, or check server.image: a missing image looks the same to strangers"
