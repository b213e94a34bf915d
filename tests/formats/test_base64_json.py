"""Bytes in JSON are read as absl::Base64Unescape does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfs_workflow.formats.base64_json import base64_object, decode_base64, is_base64


@given(st.binary())
def test_bytes_come_back_with_padding_and_without(content: bytes) -> None:
    value = base64_object(content)
    assert is_base64(value)
    assert decode_base64(value["b64"]) == decode_base64(value["b64"].rstrip("=")) == content


@pytest.mark.parametrize("text", ["YQ", "YQ==", "YQ..", " Y Q = =\n"])
def test_padding_and_spaces_do_not_matter(text: str) -> None:
    assert decode_base64(text) == b"a"


@pytest.mark.parametrize("text", ["%", "YQ=", "YQ===", "Y", "ä"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever the reason
        decode_base64(text)


@pytest.mark.parametrize("value", ["YQ==", {"b64": 1}, {"b64": "YQ==", "a": 1}, {}, None])
def test_only_an_object_with_the_one_key_is_base64(value: object) -> None:
    assert not is_base64(value)
