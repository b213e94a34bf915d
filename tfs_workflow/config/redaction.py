"""Addresses as they may be shown: without user names, passwords, tokens and signed queries.

Addresses of models appear in messages, in the lock file, in the state file and in logs. A password in an address, a
token as its user name and a signed query are secrets; all three are taken out before text leaves the configuration. A
user name without a password, as in `ssh://git@host`, stays.
"""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(?<=://)[^/@\s'\"]*:[^/\s'\"]*@")
_TOKEN = re.compile(r"(?<=http://)[^/@\s'\"]+@|(?<=https://)[^/@\s'\"]+@")
_QUERY = re.compile(r"\?[^\s'\")]+")


def without_secrets(text: str) -> str:
    """The text with the secrets of every address in it taken out; `ssh://git@host` keeps its plain user name."""
    return _QUERY.sub("?***", _TOKEN.sub("***@", _PASSWORD.sub("***@", text)))
