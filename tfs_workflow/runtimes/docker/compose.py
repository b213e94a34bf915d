"""A Compose file for the container of a project, translated from the same description as the container itself.

A file that was written beside `container.py` would lose a hardening the first time that one of them changes. So the
arguments of `containers.create` are the only source, and each has a translation here. What finds a container again is
left out, its name and its labels: a server that Compose started is not one for `invoke teardown` to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tfs_workflow.runtimes.docker.container import CONFIG_DIR, base_path, creation
from tfs_workflow.runtimes.spec import ServerSpec, server_files

SERVICE = "model-server"
# Keys that Compose takes as they are.
_SAME = ("image", "init", "user", "cap_drop", "security_opt", "read_only", "pids_limit", "mem_limit", "memswap_limit")
# What finds the container again, and what only docker-py needs.
LEFT_OUT = ("name", "labels", "use_config_proxy")


def compose_document(spec: ServerSpec, uid: int, gid: int) -> dict[str, Any]:
    """The Compose file as data; `uid` and `gid` are the user's, root becomes nobody.

    The server's configuration is inside it, which Compose supports from 2.23.1 on (https://docs.docker.com/reference/
    compose-file/configs/). A port of 0 is published on any free one.
    """
    # The directory of the configuration is replaced by Compose's own configs below.
    arguments = creation(spec, Path(CONFIG_DIR), uid, gid)
    files = server_files(spec, partial(base_path, spec))
    service = {key: arguments[key] for key in _SAME if arguments[key] is not None} | _translated(arguments)
    service["configs"] = [{"source": _id(name), "target": f"{CONFIG_DIR}/{name}"} for name in files]
    service["stop_grace_period"] = f"{spec.stop_timeout_s}s"
    return {
        "name": spec.project.lower().replace(".", "-"),
        "services": {SERVICE: service},
        "configs": {_id(name): {"content": _literal(text)} for name, text in files.items()},
    }


def _translated(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that Compose names or spells differently."""
    log, restart = arguments["log_config"], arguments["restart_policy"]
    service: dict[str, Any] = {
        "entrypoint": arguments["entrypoint"],
        "command": [_literal(flag) for flag in arguments["command"]],
        "environment": {name: _literal(value) for name, value in arguments["environment"].items()},
        "tmpfs": [f"{place}:{options}" for place, options in arguments["tmpfs"].items()],
        "volumes": [_volume(mount) for mount in arguments["mounts"] if mount["Target"] != CONFIG_DIR],
        "ports": [_published(inside, *outside) for inside, outside in arguments["ports"].items()],
        "logging": {"driver": log["Type"], "options": log["Config"]},
    }
    if arguments["nano_cpus"]:
        service["cpus"] = arguments["nano_cpus"] / 1e9
    if restart:
        service["restart"] = f"{restart['Name']}:{restart['MaximumRetryCount']}"
    return service


def _volume(mount: Mapping[str, Any]) -> dict[str, Any]:
    # A missing model is an error; by default Compose would create an empty directory.
    return {
        "type": mount["Type"],
        "source": _literal(mount["Source"]),
        "target": mount["Target"],
        "read_only": mount["ReadOnly"],
        "bind": {"create_host_path": False},
    }


def _published(inside: str, address: str, outside: int | None) -> str:
    return f"{address}:{outside or ''}:{inside.removesuffix('/tcp')}"


def _id(name: str) -> str:
    return name.replace(".", "-")


def _literal(text: str) -> str:
    """Text in which Compose substitutes no variable."""
    return text.replace("$", "$$")
