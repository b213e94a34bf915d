"""The 919 generated requests with the answers of TensorFlow Serving 2.20.0 (tests/peers/recorded)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "peers" / "recorded"
EXCHANGES = [json.loads(line) for line in (RECORDED / "exchanges.jsonl").read_text().splitlines()]
# Which of two faults is named depends on the order of a protobuf map, which is random in both servers.
UNORDERED = {"1384_made_sparse_predict", "1466_made_keras_two_predict"}


def request_bytes(request: Mapping[str, Any]) -> bytes:
    """A request as it was sent."""
    if request.get("raw"):
        return content(request["raw"])
    head = request["line"] + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in request["headers"] or [])
    return bytes(head.encode("latin1") + b"\r\n" + content(request["body"]))


def content(body: Mapping[str, str]) -> bytes:
    """A recorded body."""
    return str(body["text"]).encode() if "text" in body else base64.b64decode(body.get("base64", ""))
