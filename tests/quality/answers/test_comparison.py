"""What counts as the same answer."""

from __future__ import annotations

import math

import pytest

from tfs_workflow.config.types import Bounds, Tolerance
from tfs_workflow.formats.savedmodel import Signature, TensorSpec
from tfs_workflow.quality.answers.comparison import MOST_SHOWN, compare
from tfs_workflow.quality.answers.fit import fit
from tfs_workflow.quality.answers.outputs import outputs

NAN, INF = math.nan, math.inf


def texts(wanted: object, got: object) -> list[str]:
    return [str(one) for one in compare({"y": wanted}, {"y": got}, Tolerance()).differences]


def spec(dtype: str, *shape: int) -> TensorSpec:
    return TensorSpec("", dtype, shape)


@pytest.mark.parametrize(
    ("wanted", "got"),
    [
        (1.0, 1.00001),
        (0.0, 1e-6),
        (2, 2.0),
        (NAN, NAN),
        ([INF, -INF], [INF, -INF]),
        ([["a", {"b64": "YQ=="}], True], [["a", {"b64": "YQ=="}], True]),
        ([], []),
        (2**63, 2**63),
    ],
)
def test_the_same(wanted: object, got: object) -> None:
    assert texts(wanted, got) == []


@pytest.mark.parametrize(
    ("wanted", "got", "text"),
    [
        (1.0, 1.0001, "y: wanted 1.0, got 1.0001, off by 0.0001"),
        (1.0, NAN, "y: wanted 1.0, got NaN, off by inf"),
        (INF, 1.0, "y: wanted Infinity, got 1.0, off by inf"),
        (INF, -INF, "y: wanted Infinity, got -Infinity, off by inf"),
        (2**53, 2**53 + 1, "y: wanted 9007199254740992, got 9007199254740993, off by 1"),
        (1, 10**400, f"y: wanted 1, got {'1' + '0' * 58}…, off by inf"),
        (1, True, "y: wanted 1, got true"),
        ("a", "b", 'y: wanted "a", got "b"'),
        ([[1.0], [2.0]], [[1.0], [2.5]], "y[1,0]: wanted 2.0, got 2.5, off by 0.5"),
        ([[1.0, 2.0]], [[1.0], [2.0]], "y: shape wanted [1, 2], got [2, 1]"),
        ([1.0], None, "y: wanted [1.0], got null"),
    ],
)
def test_a_difference_names_place_and_distance(wanted: object, got: object, text: str) -> None:
    assert texts(wanted, got) == [text]


def test_a_tolerance_by_output_name_is_for_this_output_alone() -> None:
    tolerance = Tolerance(outputs={"loose": Bounds(absolute=1.0)})
    same, other = {"loose": [1.0], "tight": [1.0]}, {"loose": [1.9], "tight": [1.9]}
    assert [one.output for one in compare(same, other, tolerance).differences] == ["tight"]


def test_ten_differences_are_kept_and_all_are_counted() -> None:
    found = compare({"y": [0.0] * 25}, {"y": [1.0] * 25}, Tolerance())
    assert (len(found.differences), found.count, found.largest) == (MOST_SHOWN, 25, {"y": 1.0})


def test_an_output_that_one_side_lacks_is_a_difference() -> None:
    found = compare({"a": 1}, {"b": 1}, Tolerance())
    assert list(map(str, found.differences)) == [
        'a: output wanted "an output", got "none"',
        'b: output wanted "none", got "an output"',
    ]


def test_rows_whose_largest_number_moved_are_counted() -> None:
    found = compare(
        {"y": [[0.1, 0.9], [0.6, 0.4], [NAN, 0.1]]}, {"y": [[0.1, 0.9], [0.4, 0.6], [NAN, 0.1]]}, Tolerance()
    )
    assert (found.rows, found.moved) == (3, 1)


def test_outputs_have_names_in_every_form_of_a_response() -> None:
    one = Signature("", {}, {"y": spec("DT_FLOAT", -1)})
    two = Signature("", {}, {"a": spec("DT_FLOAT", -1), "b": spec("DT_STRING", -1)})
    assert outputs({"predictions": [1.0, 2.0]}, one) == outputs({"outputs": [1.0, 2.0]}, one) == {"y": [1.0, 2.0]}
    rows = [{"a": 1.0, "b": {"b64": "YQ=="}}, {"a": 2.0, "b": "b"}]
    columns = {"a": [1.0, 2.0], "b": [{"b64": "YQ=="}, "b"]}
    assert outputs({"predictions": rows}, two) == outputs({"outputs": columns}, two) == columns
    assert outputs({"predictions": [{"b64": "YQ=="}]}, one) == {"y": [{"b64": "YQ=="}]}
    assert outputs({"results": [[["a", 0.5]]]}, two) == {"results": [[["a", 0.5]]]}


@pytest.mark.parametrize(
    ("dtype", "got", "text"),
    [
        ("DT_FLOAT", [[1.0, 2.0, 3.0], [4.0, 5.0, NAN]], 'y[1,2]: wanted "a finite number", got NaN'),
        ("DT_FLOAT", [[1.0, 2.0, 3.0]], 'y: shape wanted "(any, 3)", got [1, 3]'),
        ("DT_FLOAT", [[1.0, 2.0], [3.0, 4.0]], 'y: shape wanted "(any, 3)", got [2, 2]'),
        ("DT_INT64", [[1, 2, 3], [4, 5, 6.5]], 'y[1,2]: type wanted "int64", got 6.5'),
        ("DT_BOOL", [[True] * 3, [True, True, 1]], 'y[1,2]: type wanted "bool", got 1'),
        ("DT_STRING", [["a"] * 3, ["a", {"b64": "YQ=="}, 1.0]], 'y[1,2]: type wanted "string", got 1.0'),
    ],
)
def test_without_a_recorded_answer_shape_type_and_finiteness_count(dtype: str, got: object, text: str) -> None:
    signature = Signature("", {}, {"y": spec(dtype, -1, 3)})
    assert list(map(str, fit({"y": got}, signature, 2).differences)) == [text]


def test_an_output_that_fits_has_no_difference_and_one_that_is_missing_has() -> None:
    signature = Signature("", {}, {"y": spec("DT_HALF", -1, 2), "z": TensorSpec("", "DT_FLOAT", None)})
    assert fit({"y": [[1.0, 2]], "z": 1.0}, signature, None).count == 0
    assert fit({"y": []}, signature, 0).count == 1
    assert fit({"results": [[["a", 0.5]], [["b", INF]]]}, signature, None).count == 1
