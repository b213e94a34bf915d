"""Request targets, taken apart as libevent's evhttp_uri_parse does it for TensorFlow Serving.

Python's urllib.parse accepts almost anything and decodes early. TensorFlow Serving rejects a target with a character
that a URI may not have, and matches its routes before decoding. So a model named `a%2Fb` can be addressed, and a space
is a 400. The expression below accepts what evhttp_uri_parse accepts.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_CHARACTERS = r"[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2}"
_TARGET = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):)?"
    r"(?://(?P<authority>[^/?#]*))?"
    rf"(?P<path>(?:{_CHARACTERS})*)"
    rf"(?:\?(?P<query>(?:{_CHARACTERS}|\?)*))?"
    rf"(?:#(?P<fragment>(?:{_CHARACTERS}|\?)*))?"
)


class RequestTarget(NamedTuple):
    """A request target: its path, and the path with query and fragment, which TensorFlow Serving routes by."""

    path: str
    routed: str


def parse(target: bytes) -> RequestTarget | None:
    """The parts of a target; None where it is not a URI.

    The path is `/` where the target has none. Percent signs are not decoded.
    """
    match = _TARGET.fullmatch(target.decode("latin-1")) if target.isascii() else None
    if match is None:
        return None
    path = match["path"] or "/"
    routed = path
    # An empty query keeps its question mark, which makes another path of it.
    if match["query"] is not None:
        routed += "?" + match["query"]
    if match["fragment"] is not None:
        routed += "#" + match["fragment"]
    return RequestTarget(path, routed)


def unquote(text: str) -> str:
    """Percent signs decoded; bytes that are no UTF-8 become surrogate escapes."""
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
