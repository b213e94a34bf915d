"""The file of a bearer token, which client and server read alike."""

from __future__ import annotations


def token_in(content: bytes) -> str:
    """The token that is the content of a file but for white space around it; ValueError where it is none."""
    token = content.strip()
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise ValueError("expected one line of printable ASCII without spaces")
    return token.decode("ascii")
