"""A systemd unit that runs the embedded or the native server in the foreground.

A process that a verb starts has nobody who restarts it after a crash or at boot; systemd does both, and takes away the
same rights as the container loses. The server's configuration is inside the unit, as credentials, so that a later
`serve` in the same workspace cannot change what the unit starts (systemd.exec(5), SetCredential).
"""

from __future__ import annotations

import pwd
from collections.abc import Iterator, Sequence

from tfs_workflow.runtimes.spec import ServerSpec, server_files, server_flags

# Expanded by systemd in a command line; no path holds it.
_CREDENTIALS = "${CREDENTIALS_DIRECTORY}"
RESTARTS = 5
# In a quoted word the backslash itself is escaped; a bare colon would separate source and target.
_COLON = r"\\:"
_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
"""


def systemd_unit(spec: ServerSpec, command: Sequence[str], uid: int) -> str:
    """The text of the unit; `command` runs the server without its flags, as the user of `uid`.

    Both ports of the spec must be above 0.
    """
    return "\n".join(_lines(spec, command, uid)) + "\n"


def _lines(spec: ServerSpec, command: Sequence[str], uid: int) -> Iterator[str]:
    yield "[Unit]"
    yield f"Description=TensorFlow model server of {spec.project}"
    yield "After=network.target"
    yield "StartLimitIntervalSec=60"
    yield f"StartLimitBurst={RESTARTS}"
    yield "\n[Service]\nType=exec"
    flags = server_flags(spec, _CREDENTIALS, spec.rest_port, spec.grpc_port)
    yield f"ExecStart={' '.join(_word(word) for word in (*command, *flags))}"
    for name, text in server_files(spec, lambda model: str(model.base_path.resolve())).items():
        yield f"SetCredential={name}:{_escaped(text)}"
    variables = {**dict(spec.environment), "PYTHONUNBUFFERED": "1"}
    yield from (f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items())
    # The models and the environment of Python belong to this user. Root has no capabilities here.
    yield f"User={pwd.getpwuid(uid).pw_name}"
    yield "Restart=on-failure"
    yield f"TimeoutStopSec={spec.stop_timeout_s}"
    yield from _limits(spec)
    yield from (f"BindReadOnlyPaths={_quoted(path).replace(':', _COLON)}" for path in _model_paths(spec))
    yield f"{_HARDENING}\n[Install]\nWantedBy=multi-user.target"


def _limits(spec: ServerSpec) -> Iterator[str]:
    yield f"TasksMax={spec.pids}"
    if spec.memory_bytes:
        yield f"MemoryMax={spec.memory_bytes}\nMemorySwapMax=0"
    if spec.cpus:
        yield f"CPUQuota={spec.cpus * 100:.0f}%"
    if not spec.expose:
        # tensorflow_model_server listens on every interface, whatever its flags.
        yield "IPAddressDeny=any\nIPAddressAllow=localhost"


def _model_paths(spec: ServerSpec) -> Iterator[str]:
    """Every place of the models, of which PrivateTmp would hide one below /tmp."""
    for model in spec.models:
        yield str(model.base_path.resolve())
        yield from (str(place) for _, place in model.links)


def _word(word: str) -> str:
    """One word of a command line: systemd expands variables in it."""
    before, credentials, after = word.partition(_CREDENTIALS)
    return f'"{before}{credentials}{after}"' if credentials else _quoted(word).replace("$", "$$")


def _quoted(word: str) -> str:
    """A word of any setting: systemd expands specifiers and escapes in it."""
    return '"' + _escaped(word).replace('"', '\\"').replace("%", "%%") + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
