"""RapidJSON itself, through python-rapidjson, says where a document is wrong; ours must say the same."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
import rapidjson

from tfs_workflow.modelserver.json import json_parser
from tfs_workflow.modelserver.status_error import StatusError

DOCUMENTS = 10_000
# Bytes that matter to a parser. N, I and line breaks are left out: how RapidJSON reads NaN and Infinity, and how it
# names a bare control character in a string, has changed since 1.1.
INSERTED = b'[]{}",:\\u0e19-+.tfna '
CHARACTERS = 'abé"\\\n/'


def document(chance: random.Random, depth: int = 0) -> Any:
    """A value, smaller the deeper it lies."""
    if depth < 5 and chance.random() < 0.5:
        size = chance.randrange(4)
        if chance.random() < 0.5:
            return [document(chance, depth + 1) for _ in range(size)]
        return {str(i): document(chance, depth + 1) for i in range(size)}
    scalars = (None, True, -0.0, chance.randrange(-(10**6), 10**6), chance.randrange(2**64))
    number = chance.random() * 10.0 ** chance.randrange(-20, 20)
    return chance.choice([*scalars, number, "".join(chance.choices(CHARACTERS, k=4))])


def damaged(chance: random.Random) -> bytes:
    """The text of a document with up to three places changed."""
    text = bytearray(json.dumps(document(chance), ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text) + 1)
        if chance.random() < 0.5:
            text[at:at] = bytes(chance.choices(INSERTED, k=chance.randrange(1, 4)))
        else:
            del text[at : at + chance.randrange(1, 3)]
    return bytes(text)


def ours(text: bytes) -> tuple[str, str]:
    """What is wrong, and where; nothing where nothing is."""
    try:
        json_parser.Parser(text).document()
    except StatusError as error:
        return parts(r"JSON Parse error: (?P<what>.*) at offset: (?P<at>\d+)", error.message)
    return "", ""


def parts(pattern: str, text: str) -> tuple[str, str]:
    match = re.fullmatch(pattern, text)
    assert match is not None, text
    return match["what"].replace("'", ""), match["at"]


def rapidjsons(text: bytes) -> tuple[str, str] | None:
    """None for bytes that are no UTF-8, which this binding checks and TensorFlow Serving does not."""
    try:
        rapidjson.loads(text.decode().encode())
    except rapidjson.JSONDecodeError as error:
        what, at = parts(r"Parse error at offset (?P<at>\d+): (?P<what>.*)", str(error))
        # TensorFlow Serving stops at the end of the first document.
        return ("", "") if "must not be followed" in what else (what, at)
    except ValueError:
        return None
    return "", ""


@pytest.mark.parametrize("seed", range(4))
def test_errors_and_their_offsets_are_rapidjsons(seed: int) -> None:
    chance = random.Random(seed)
    compared = faulty = 0
    for _ in range(DOCUMENTS // 4):
        text = damaged(chance)
        wanted = rapidjsons(text)
        if wanted is not None:
            assert ours(text) == wanted, text
            compared += 1
            faulty += wanted != ("", "")
    assert compared > DOCUMENTS // 4 * 0.9
    assert faulty > DOCUMENTS // 4 * 0.2
