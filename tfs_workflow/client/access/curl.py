"""How curl reaches a server with TLS and a token; the token itself is in no command line of ours."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

from tfs_workflow.client.access.credentials import Credentials
from tfs_workflow.client.access.server_certificate import certified_name
from tfs_workflow.client.interface import LOOPBACK


def curl_access(rest_url: str, credentials: Credentials, token_file: str) -> tuple[str, str]:
    """The command with its options, and the address to give it in place of `rest_url`.

    A certificate is for a name and seldom for a loopback address: curl asks for the name and connects to the address.
    """
    words = ["curl"]
    if token_file:
        # The shell reads the file, and curl hides this argument from the list of processes.
        words.append(f'--oauth2-bearer "$(cat {shlex.quote(token_file)})"')
    if not credentials.certificate:
        return " ".join(words), rest_url
    words.append(f"--cacert {shlex.quote(credentials.certificate)}")
    address, parts = urlsplit(rest_url).netloc, urlsplit(rest_url)
    name = certified_name(address, credentials.pem)
    if not name or name in LOOPBACK:
        return " ".join(words), rest_url
    return " ".join([*words, f"--connect-to ::{address}"]), f"https://{name}:{parts.port}"
