"""Bytes in JSON as TensorFlow Serving writes them: {"b64": "…"} (json_tensor.cc).

JSON has no bytes. TensorFlow Serving marks them by an object with the only key `b64`; any other object is a named
input. It decodes with Abseil, which accepts missing padding and whitespace, unlike Python's decoder.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any


def is_base64(value: Any) -> bool:
    """Whether a JSON value is an object with the only key b64 and a string there."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_base64(text: str) -> bytes:
    """The bytes of a base64 text with or without padding; raises ValueError (absl::Base64Unescape)."""
    text = "".join(text.split())
    unpadded = text.rstrip("=.")
    padding = -len(unpadded) % 4
    if len(text) - len(unpadded) not in (0, padding):
        raise ValueError("wrong padding")
    try:
        return base64.b64decode(unpadded + "=" * padding, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def base64_object(content: bytes) -> dict[str, str]:
    """The JSON object of bytes, with padding."""
    return {"b64": base64.b64encode(content).decode()}
