"""Rows out of tables and images, through a real server that serves models exported for it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from tests.support.exported import export_models
from tests.support.modelserver.running import configured, serving
from tfs_workflow.client.bulk.images import image_row
from tfs_workflow.client.bulk.predict_file import BulkOptions, predict_file, predict_text
from tfs_workflow.client.bulk.row_source import signature_of
from tfs_workflow.client.interface import ModelRef
from tfs_workflow.client.rest_json import RestJsonClient
from tfs_workflow.client.rows import JsonRequest, MalformedInputError
from tfs_workflow.errors import ConfigError

pytestmark = pytest.mark.slow

IDS, TEXT, VECTOR, IMAGE, PIXELS = (ModelRef(name) for name in ("ids", "text", "vector", "image", "pixels"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestJsonClient]:
    directory = tmp_path_factory.mktemp("exported")
    config = configured(tmp_path_factory.mktemp("config"), export_models(directory))
    with (
        serving(config) as server,
        RestJsonClient(f"http://127.0.0.1:{server.rest_port}") as found,
    ):
        yield found


def predicted(client: RestJsonClient, target: ModelRef, source: Path, tmp_path: Path, **bulk: Any) -> list[Any]:
    output = tmp_path / "out.jsonl"
    predict_file(client, target, str(source), str(output), bulk=BulkOptions(**bulk))
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_a_csv_with_a_column_for_each_input(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("a,b\n1,2\n3,4\n")
    assert predicted(client, IDS, source, tmp_path) == [3, 7]


def test_a_csv_whose_columns_are_one_vector(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("height,width,depth\n1,2,3\n0.5,0.5,0.5\n")
    assert predicted(client, VECTOR, source, tmp_path) == [6.0, 1.5]


def test_a_column_of_ids_is_kept_beside_the_prediction(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"key": "x", "a": 1, "b": 2}\n{"key": "y", "a": 3, "b": 4}\n')
    assert predicted(client, IDS, source, tmp_path, id_field="key") == [
        {"id": "x", "prediction": 3},
        {"id": "y", "prediction": 7},
    ]


def test_a_column_of_ids_in_a_table(client: RestJsonClient, tmp_path: Path) -> None:
    expected = [{"id": "x", "prediction": 3}, {"id": "y", "prediction": 7}]
    (tmp_path / "rows.csv").write_text("key,a,b\nx,1,2\ny,3,4\n")
    assert predicted(client, IDS, tmp_path / "rows.csv", tmp_path, id_field="key") == expected
    parquet.write_table(pa.table({"a": [1, 3], "key": ["x", "y"], "b": [2, 4]}), tmp_path / "rows.parquet")
    assert predicted(client, IDS, tmp_path / "rows.parquet", tmp_path, id_field="key") == expected
    (tmp_path / "vector.csv").write_text("key,h,w,d\n7,1,2,3\n")
    assert predicted(client, VECTOR, tmp_path / "vector.csv", tmp_path, id_field="key") == [
        {"id": "7", "prediction": 6.0}
    ]
    with pytest.raises(MalformedInputError, match="there is no column 'nope'"):
        predicted(client, IDS, tmp_path / "rows.csv", tmp_path, id_field="nope")


def test_a_csv_with_the_wrong_columns_or_cells_is_refused(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("a,c\n1,2\n")
    with pytest.raises(MalformedInputError, match="columns do not fit") as caught:
        predicted(client, IDS, source, tmp_path)
    assert "a: int64" in caught.value.fix
    source.write_text("a,b\n1,2\n3,four\n")
    with pytest.raises(MalformedInputError, match=r"rows\.csv:3: b: a cell has the wrong type: 'four' is not int64"):
        predicted(client, IDS, source, tmp_path)
    source.write_text("a,b\n1\n")
    with pytest.raises(MalformedInputError, match="expected 2 cells"):
        predicted(client, IDS, source, tmp_path)


def test_the_error_for_a_file_without_rows_is_about_files_of_its_kind(client: RestJsonClient, tmp_path: Path) -> None:
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "nothing.csv").write_text("")
    np.save(tmp_path / "rows.npy", np.zeros((0, 3), np.float32))
    np.savez(tmp_path / "rows.npz", a=np.zeros(0, np.int64), b=np.zeros(0, np.int64))
    (tmp_path / "rows.json").write_text("[]")
    fixes = {
        "header.csv": (IDS, "each line after it is a row"),
        "nothing.csv": (IDS, "names the columns"),
        "rows.npy": (VECTOR, "the first dimension of the array"),
        "rows.npz": (IDS, "the first dimension of each array"),
        "rows.json": (VECTOR, "a JSON list of rows"),
    }
    for name, (target, fix) in fixes.items():
        with pytest.raises(MalformedInputError, match="no rows to predict") as caught:
            predicted(client, target, tmp_path / name, tmp_path)
        assert fix in caught.value.fix


def test_a_parquet_file_without_rows(client: RestJsonClient, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    empty = pyarrow.array([], pyarrow.int64())
    parquet.write_table(pyarrow.table({"a": empty, "b": empty}), tmp_path / "rows.parquet")
    with pytest.raises(MalformedInputError, match="no rows to predict") as caught:
        predicted(client, IDS, tmp_path / "rows.parquet", tmp_path)
    assert "at least one row" in caught.value.fix


def test_numpy_files(client: RestJsonClient, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    assert predicted(client, VECTOR, tmp_path / "rows.npy", tmp_path) == [6.0, 15.0]
    np.savez(tmp_path / "rows.npz", a=np.array([1, 2]), b=np.array([10, 20]))
    assert predicted(client, IDS, tmp_path / "rows.npz", tmp_path) == [11, 22]
    np.savez(tmp_path / "wrong.npz", a=np.array([1, 2]))
    with pytest.raises(MalformedInputError, match="columns do not fit"):
        predicted(client, IDS, tmp_path / "wrong.npz", tmp_path)
    (tmp_path / "broken.npy").write_bytes(b"no numpy")
    with pytest.raises(MalformedInputError, match="numpy"):
        predicted(client, VECTOR, tmp_path / "broken.npy", tmp_path)


def test_parquet_files(client: RestJsonClient, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1, 2], "b": [3, 4]}), tmp_path / "rows.parquet")
    assert predicted(client, IDS, tmp_path / "rows.parquet", tmp_path) == [4, 6]
    parquet.write_table(pa.table({"s": ["one", "four"]}), tmp_path / "text.parquet")
    assert predicted(client, TEXT, tmp_path / "text.parquet", tmp_path) == [3, 4]


def image(tmp_path: Path, value: int) -> str:
    path = tmp_path / "grey.png"
    Image.new("RGB", (20, 10), (value,) * 3).save(path)
    return str(path)


@pytest.mark.parametrize(("pixels", "expected"), [("unit", 102 / 255), ("byte", 102), ("signed", 102 / 127.5 - 1)])
def test_an_image_becomes_pixels_in_the_shape_of_the_signature(
    client: RestJsonClient, tmp_path: Path, pixels: str, expected: float
) -> None:
    row = image_row(image(tmp_path, 102), signature_of(client, PIXELS), pixels)
    assert (len(row), len(row[0]), len(row[0][0])) == (8, 8, 3)
    assert client.predict_document(PIXELS, JsonRequest([row])) == pytest.approx([expected], abs=1e-4)


def test_an_image_is_sent_as_bytes_where_the_signature_takes_strings(client: RestJsonClient, tmp_path: Path) -> None:
    row = image_row(image(tmp_path, 102), signature_of(client, IMAGE))
    assert client.predict_document(IMAGE, JsonRequest([row])) == pytest.approx([102], abs=0.01)


def test_what_is_not_an_image_or_takes_none_is_refused(client: RestJsonClient, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(MalformedInputError, match="not an image"):
        image_row(str(tmp_path / "no.png"), signature_of(client, PIXELS))
    with pytest.raises(MalformedInputError, match="takes no image"):
        image_row(image(tmp_path, 1), signature_of(client, VECTOR))
    with pytest.raises(MalformedInputError, match="one input"):
        image_row(image(tmp_path, 1), signature_of(client, IDS))


def test_refused_rows_are_set_aside_and_the_others_predicted(client: RestJsonClient, tmp_path: Path) -> None:
    source, errors = tmp_path / "rows.jsonl", tmp_path / "bad.jsonl"
    rows: list[Any] = [{"a": i, "b": 1} for i in range(100)]
    rows[7], rows[64] = {"a": "x", "b": 1}, {"a": 1}
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = predicted(client, IDS, source, tmp_path, batch_rows=16, skip_refused=True, errors=str(errors))
    assert done == [i + 1 for i in range(100) if i not in (7, 64)]
    refused = [json.loads(line) for line in errors.read_text().splitlines()]
    assert [one["row"] for one in refused] == [8, 65]
    assert [one["input"] for one in refused] == [rows[7], rows[64]]
    assert all(one["error"] for one in refused)
    assert not (tmp_path / "out.jsonl.partial").exists()


def test_a_run_goes_on_where_an_earlier_one_stopped(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    good = [json.dumps({"a": i, "b": 0}) + "\n" for i in range(10)]
    source.write_text("".join([*good[:6], "{not json}\n", *good[7:]]))
    with pytest.raises(MalformedInputError) as caught:
        predicted(client, IDS, source, tmp_path, batch_rows=2)
    assert "--resume continues after them" in caught.value.fix
    partial = tmp_path / "out.jsonl.partial"
    assert [int(line) for line in partial.read_text().splitlines()] == list(range(6))
    with partial.open("a") as file:
        file.write("12")  # half a line, as a killed run leaves it
    source.write_text("".join(good))
    assert predicted(client, IDS, source, tmp_path, batch_rows=2, resume=True) == list(range(10))
    assert not partial.exists()


def test_the_input_is_never_overwritten(client: RestJsonClient, tmp_path: Path) -> None:
    source = tmp_path / "out.jsonl"
    source.write_text('{"a": 1, "b": 2}\n')
    with pytest.raises(ConfigError, match="same file"):
        predicted(client, IDS, source, tmp_path)
    assert source.read_text() == '{"a": 1, "b": 2}\n'


def test_a_request_from_a_file(client: RestJsonClient, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"a": 1, "b": 2}]')
    assert predict_text(client, IDS, instances=f"@{tmp_path / 'rows.json'}") == [3]
    (tmp_path / "columns.json").write_text('{"a": [1, 2], "b": [3, 4]}')
    assert predict_text(client, IDS, inputs=f"@{tmp_path / 'columns.json'}") == [4, 6]
    with pytest.raises(ConfigError, match="cannot be read"):
        predict_text(client, IDS, instances="@/nowhere.json")


def test_an_image_from_stdin(client: RestJsonClient, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), 51).save(buffer, "PNG")
    buffer.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(buffer))
    row = image_row("-", signature_of(client, PIXELS))
    assert client.predict_document(PIXELS, JsonRequest([row])) == pytest.approx([0.2], abs=1e-4)
