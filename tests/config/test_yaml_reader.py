"""What the reader keeps of a YAML text, and what it refuses, with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tfs_workflow.config.yaml_reader import MAX_DEPTH, MAX_NODES, MAX_SIZE_BYTES, read_file, read_text
from tfs_workflow.errors import ConfigError


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read_text(text, "f.yaml").problems]


def test_values_keep_the_place_where_they_were_written() -> None:
    document = read_text("a:\n  - b: 1\n    c: x\n", "f.yaml")
    assert document.value == {"a": [{"b": 1, "c": "x"}]}
    assert str(document.place(("a", 0, "c"))) == "f.yaml:3:8"
    assert str(document.place(("a", 0, "c"), of_key=True)) == "f.yaml:3:5"
    assert str(document.place(("a", 0, "missing"))) == "f.yaml:2:5"


def test_scalars_are_read_as_yaml_1_1_reads_them() -> None:
    text = "{t: true, n: null, i: 12, f: 1.5, nan: .nan, s: 'x', d: 2024-01-31, e: =}"
    value = read_text(text, "f.yaml").value
    assert str(value.pop("nan")) == "nan"
    assert value == {"t": True, "n": None, "i": 12, "f": 1.5, "s": "x", "d": "2024-01-31", "e": "="}


def test_keys_are_text_as_written() -> None:
    assert read_text("{on: 1, 2024: 2, 1.50: 3}", "f.yaml").value == {"on": 1, "2024": 2, "1.50": 3}


def test_aliases_and_merges_are_followed() -> None:
    document = read_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [{x: 8}, {x: 9}]}\n", "f.yaml")
    assert document.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}, "d": {"x": 8}}
    assert str(document.place(("b", "x"))) == "f.yaml:1:11"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a: duplicate key, first at f.yaml:1:1"),
        ("a: {b: 1, 'b': 2}\n", "f.yaml:1:11: a.b: duplicate key, first at f.yaml:1:5"),
        ("v: [00000123]", "f.yaml:1:5: v.0: YAML 1.1 reads 00000123 as octal, which is 83: write 123"),
        ("p: 14:30", "f.yaml:1:4: p: YAML 1.1 reads 14:30 in base 60, which is 870: put it in quotes"),
        ("a: b: c", "f.yaml:1:5: not YAML: a second ': ' in one line"),
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: not YAML: a tab; indent with spaces"),
        ("a:\n\t- b\n", "f.yaml:2:1: not YAML: a tab; indent with spaces"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: not YAML: a second document"),
        ("a: *x\n", "f.yaml:1:4: not YAML: an alias (*name) without its anchor"),
        ("a: b\nc: \x01\n", "f.yaml:2:4: not YAML: control character '\\x01'"),
        ("a: {\n", "f.yaml:2:1: not YAML: "),
        ("a: !!python/object/apply:os.system [x]\n", "f.yaml:1:4: a: the tag tag:yaml.org,2002:python/object"),
        ("a: !!int x\n", "f.yaml:1:4: a: 'x' is no int"),
        ("a: !!set {x}\n", "f.yaml:1:4: a: the tag tag:yaml.org,2002:set is not taken here"),
        ("a: &a [*a]\n", "f.yaml:1:4: a.0: an alias that holds itself"),
        ("a: &a {b: *a}\n", "f.yaml:1:4: a.b: an alias that holds itself"),
        ("? [a]\n: b\n", "f.yaml:1:3: expected a plain key, got a collection"),
        ("[" * 5000, "f.yaml: expected at most 50 levels, got more"),
        ("a: " + "9" * 5000, "f.yaml:1:4: a: "),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, expected: str) -> None:
    assert [p for p in problems(text) if p.startswith(expected)], problems(text)


def flow(levels: int) -> str:
    return "[" * levels + "]" * levels


def block(levels: int) -> str:
    return "- " * levels + "x"


def mapping(levels: int) -> str:
    return "\n".join(" " * level + "a:" for level in range(levels))


@pytest.mark.parametrize("nested", [flow, block, mapping])
def test_fifty_levels_are_read(nested: Callable[[int], str]) -> None:
    assert problems(nested(MAX_DEPTH)) == []


# libyaml has its own limit at 1000 levels from PyYAML 6.0.4 on.
@pytest.mark.parametrize("levels", [51, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("nested", [flow, block, mapping])
def test_more_levels_are_refused_with_one_message(nested: Callable[[int], str], levels: int) -> None:
    assert problems(nested(levels)[:MAX_SIZE_BYTES]) == ["f.yaml: expected at most 50 levels, got more"]


def test_a_flood_of_values_is_refused() -> None:
    assert problems("[" + "1," * (MAX_NODES + 1) + "]") == [f"f.yaml: expected at most {MAX_NODES} values, got more"]


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    levels = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert "aliases count each time" in problems("\n".join(levels))[0]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null"])
def test_nothing_is_none(text: str) -> None:
    assert read_text(text, "f.yaml").value is None


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file[\s\S]*invoke config.init"):
        read_file(tmp_path / "x.yaml")


def test_a_file_that_is_not_there_suggests_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "tfs.yaml").touch()
    with pytest.raises(ConfigError, match=r"no such file[\s\S]*did you mean .*tfs.yaml\?"):
        read_file(tmp_path / "tsf.yaml")


def test_a_directory_suggests_the_yaml_in_it(tmp_path: Path) -> None:
    (tmp_path / "tfs.yaml").touch()
    with pytest.raises(ConfigError, match=r"got a directory[\s\S]*did you mean .*tfs.yaml"):
        read_file(tmp_path)


def test_bytes_that_are_not_utf8_are_named_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("a: 1\nb: ä".encode() + b"\xe4\n")
    with pytest.raises(ConfigError, match=r"x.yaml:2:5: expected UTF-8 text, got byte 0xe4"):
        read_file(path)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(path).value == {"a": 1}


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"#" * (MAX_SIZE_BYTES + 1))
    with pytest.raises(ConfigError, match=f"expected at most {MAX_SIZE_BYTES} bytes"):
        read_file(path)
