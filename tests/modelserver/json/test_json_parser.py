"""JSON as RapidJSON reads and writes it."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfs_workflow.modelserver.json import json_parser, json_writer, rapidjson_numbers
from tfs_workflow.modelserver.json.grisu import shortest
from tfs_workflow.modelserver.status_error import StatusError

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)  # fmt: skip
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


def failure(text: bytes) -> str:
    with pytest.raises(StatusError) as caught:
        json_parser.parse(text)
    return caught.value.message


@given(values)
def test_every_document_is_read_as_pythons_json_reads_it(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert json_parser.Parser(text).document() == value
    assert json_parser.Parser(json.dumps(value, indent=1).encode()).document() == value


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fall_over(text: bytes) -> None:
    with contextlib.suppress(StatusError):
        json_parser.parse(text)


TOKENS = [*'[]{},:"\\u019eE+-.tfnNI \n', '"a"', "true", "null", "NaN", "1e9"]


@example(["1e9", "0", "0"])
@example(["0", "e", "9", "9", "9"])
@given(st.lists(st.sampled_from(TOKENS), max_size=12))
def test_what_pythons_parser_takes_is_taken_and_read_the_same(parts: list[str]) -> None:
    text = "".join(parts).encode()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    if value != value or b"Inf" in text:  # noqa: PLR0124  # NaN is not itself
        return
    if re.search(rb"[eE]\+?[019]{3}", text):  # Python reads 1e900 as infinity and 0e900 as zero
        with contextlib.suppress(StatusError):
            json_parser.parse(text)
        return
    assert json.dumps(json_parser.Parser(text).document()) == json.dumps(value) or b'"' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b" ", "The document is empty. at offset: 1"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a":1 "b"}', "Missing a comma or '}' after an object member. at offset: 7"),
        (b"{a:1}", "Missing a name for object member. at offset: 1"),
        (b'{"a":1,}', "Missing a name for object member. at offset: 7"),
        (b"[1 2]", "Missing a comma or ']' after an array element. at offset: 3"),
        (b"[1,]", "Invalid value. at offset: 3"),
        (b"[truE]", "Invalid value. at offset: 4"),
        (b"[nul", "Invalid value. at offset: 4"),
        (b"[Infinitx]", "Invalid value. at offset: 8"),
        (b"[-x]", "Invalid value. at offset: 2"),
        (b"[1.]", "Miss fraction part in number. at offset: 3"),
        (b"[1e]", "Miss exponent in number. at offset: 3"),
        (b"[1e400]", "Number too big to be stored in double. at offset: 1"),
        (b'["a', "Missing a closing quotation mark in string. at offset: 3"),
        (b'["\\x"]', "Invalid escape character in string. at offset: 2"),
        (b'["\\u12g4"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
        (b'["\\ud800x"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b"[" * 100_000, "Invalid value. at offset: 100000"),
        (b"[" + b"1," * 50 + b"x]", "Invalid value. at offset: 101"),
    ],
)
def test_errors_have_rapidjsons_words_and_offsets(text: bytes, message: str) -> None:
    assert failure(text) == f"JSON Parse error: {message}"


def test_an_empty_text_has_tensorflow_servings_own_words() -> None:
    assert failure(b"") == "JSON Parse error: The document is empty"


def test_what_tensorflow_serving_takes_beyond_json() -> None:
    assert json_parser.parse(b"[Infinity,-Infinity,Inf,-Inf]") == [math.inf, -math.inf] * 2
    assert math.isnan(json_parser.parse(b"[NaN]")[0])
    assert json_parser.parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}
    assert json_parser.parse(b"[1]\0anything") == [1]
    assert json_parser.parse(b'["\xff"]') == ["\udcff"]


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"a":1,"b":[{"c":1,"c":2}],"a":2}', b'{"a":1,"\\u0061":2}'])
def test_of_equal_keys_the_first_counts(text: bytes) -> None:
    assert json_parser.parse(text)["a"] == 1


def test_integers_keep_their_kind_up_to_64_bits() -> None:
    parsed = json_parser.Parser(
        b"[18446744073709551615,18446744073709551616,-9223372036854775808,-9223372036854775809]"
    )
    assert [type(value) for value in parsed.document()] == [int, float, int, float]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"), (0.1, "0.1"), (1e6, "1000000.0"), (1234567.5, "1234567.5"), (1e300, "1e300"),
        (-0.0, "-0.0"), (math.nan, ""), (-math.inf, ""), ([1, math.nan, 2], "[1, "), (7, "7"), (True, "true"),
        (None, "null"),
        ("a\"\\\n\x01é/", '"a\\"\\\\\\n\\u0001é/"'), ({}, "{}"), ([], "[]"),
        ([1, [2.5, "x"], []], '[1, [2.5, "x"], []]'),
        ({"a": [1.0], "b": {"c": {}}}, '{\n    "a": [1.0],\n    "b": {\n        "c": {}\n    }\n}'),
        ([1e21, 1e20, 123456.789], "[1e21, 100000000000000000000.0, 123456.789]"),
        ([1e-7, 0.001, 5e-324], "[1e-7, 0.001, 5e-324]"),
    ],
)  # fmt: skip
def test_values_are_quoted_in_messages_as_tensorflow_serving_quotes_them(value: Any, text: str) -> None:
    assert json_writer.pretty(value) == text


def test_long_values_are_cut_and_cost_no_more_than_what_is_shown() -> None:
    # Stopped after the token that makes it 256 characters long, or longer.
    assert json_writer.pretty([1] * 1000) == "[1" + ", 1" * 85
    assert json_writer.pretty({"x" * 300: [1]}) == '{\n    "' + "x" * 300 + '"'
    assert json_writer.pretty("y" * 3000) == '"' + "y" * 3000 + '"'
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert json_writer.pretty(deep) == "[" * 256


@pytest.mark.parametrize("text", [b'{"a": 1} x', b'{"a": 1}{"a": 2}', b'{"a": 1}]', b'{"a": 1}\xff'])
def test_what_follows_the_first_document_is_not_read(text: bytes) -> None:
    assert json_parser.parse(text) == {"a": 1}


def test_a_repeated_key_is_quoted_twice() -> None:
    value = json_parser.parse(b'{"b64": "SoHu", "b64": "SoHv"}')
    assert value == {"b64": "SoHu"}
    assert json_writer.pretty(value) == '{\n    "b64": "SoHu",\n    "b64": "SoHv"\n}'


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        # Recorded from TensorFlow Serving 2.20: RapidJSON reads and prints some doubles otherwise than Python.
        ("7.136845944002627e-18", "7.136845944002628e-18"),
        ("-2.797565946434044e-10", "-2.7975659464340438e-10"),
        ("-1.2260762735349797e-16", "-1.2260762735349795e-16"),
        ("2.1438930340368146e26", "2.1438930340368147e26"),
        ("4.9e-324", "0.0"),
        ("18446744073709551616", "18446744073709553000.0"),
        ("-9223372036854775809", "-9223372036854776000.0"),
        ("1e38", "1e38"),
        ("-0", "-0.0"),
        ("0.007849313096476539", "0.007849313096476539"),
        ("1e-400", "0.0"),
        ("0e400", "Number too big to be stored in double. at offset: 0"),
        ("9" * 400, "Number too big to be stored in double. at offset: 0"),
    ],
)
def test_numbers_are_quoted_as_rapidjson_reads_and_prints_them(text: str, quoted: str) -> None:
    try:
        found = json_writer.pretty(json_parser.parse_exactly(text.encode()))
    except StatusError as error:
        found = error.message.removeprefix("JSON Parse error: ")
    assert found == quoted


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=5e-324))
def test_grisus_digits_read_back_to_the_same_double(value: float) -> None:
    digits, exponent = shortest(value)
    assert float(f"{digits}e{exponent}") == value
    assert len(digits) <= 17


@given(st.integers(-(2**63), 2**64 - 1))
def test_whole_numbers_are_read_exactly(number: int) -> None:
    assert rapidjson_numbers.read(str(number).encode()) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_is_read_within_a_few_units_in_the_last_place(value: float) -> None:
    read = rapidjson_numbers.read(repr(value).encode())
    assert read is not None
    if abs(value) > 1e-290:
        assert math.isclose(read, value, rel_tol=1e-15)
