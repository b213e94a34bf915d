"""Keys of the YAML that only our own server understands; where TensorFlow Serving itself runs, they are refused."""

from __future__ import annotations

from collections.abc import Iterator

from tfs_workflow.config.types import Config
from tfs_workflow.runtimes.kinds import RuntimeKind

_WHY = {
    "server.tls": "TensorFlow Serving has no REST over TLS",
    "server.token_file": "TensorFlow Serving asks for no token",
    "server.fronts": "TensorFlow Serving is one process",
}


def is_official(image: str) -> bool:
    """Whether it is TensorFlow Serving's own image, perhaps from a mirror."""
    return f"/{image.partition('@')[0].rsplit(':', 1)[0]}".endswith("/tensorflow/serving")


def refused_keys(config: Config, kind: RuntimeKind) -> Iterator[tuple[str, str, str]]:
    """Each given key that this runtime cannot have: the key, why, and the next step."""
    own_image = kind.has_image and not is_official(config.server.image)
    other = "invoke setup takes the embedded server for it" if config.runtime == "auto" else "set runtime: embedded"
    for key in [] if kind.own_code else config.server.own_keys:
        if key != "server.fronts":
            why = "a container of this tool has no file for it" if own_image else _WHY[key]
            fix = f"{other}; or remove the key, and put a proxy in front of the server"
            yield key, f"not with runtime: {kind.name}, {why}", fix
        elif not own_image:
            yield key, f"not with runtime: {kind.name}, {_WHY[key]}", f"{other}; or remove the key"


def own_flags(config: Config) -> dict[str, str]:
    """The flags of our own server for these keys."""
    server, flags = config.server, {}
    if server.tls:
        flags = {"tls_certificate_file": server.tls.certificate, "tls_key_file": server.tls.key}
    if server.token_file:
        flags["token_file"] = server.token_file
    return flags if server.fronts == "auto" else flags | {"fronts": str(server.fronts)}
