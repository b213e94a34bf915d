"""What lies at the edge of a request or an answer: outputs without rows, and the largest float."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.modelserver import graphs
from tests.support.modelserver.running import Running, configured, read_response, serving

WITHOUT_ROWS = {"vector": (0,), "matrix": (0, 3)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    path = tmp_path_factory.mktemp("models")
    for name, sizes in WITHOUT_ROWS.items():
        graphs.widening(path / name / "1", *sizes)
    with serving(configured(path, {name: path / name for name in WITHOUT_ROWS})) as running:
        yield running


@pytest.mark.parametrize("model", WITHOUT_ROWS)
@pytest.mark.parametrize(
    ("request_key", "answer"), [("instances", b'{\n    "predictions": []\n}'), ("inputs", b'{\n    "outputs": []\n}')]
)
def test_an_output_without_rows_is_an_empty_list(models: Running, model: str, request_key: str, answer: bytes) -> None:
    """As from a model that filters rows; the later requests of a model can go another way than its first ones."""
    body = b'{"%s": [1.0]}' % request_key.encode()
    head = b"POST /v1/models/%s:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with models.connect() as connection:
        for _ in range(20):
            connection.sendall(head % (model.encode(), len(body)) + body)
            status, _, content = read_response(connection)
            assert (status, content) == (200, answer)


@pytest.mark.parametrize(("value", "half"), [("3.4028235e38", 1.7014117e38), ("-3.4028235e38", -1.7014117e38)])
def test_the_largest_float_as_printers_write_it_is_read(server: Running, value: str, half: float) -> None:
    """Its shortest digits are a double above FLT_MAX, which rounds to it."""
    for method, result in (("regress", half), ("classify", [["", half]])):
        body = f'{{"signature_name": "{method}_x_to_y", "examples": [{{"x": {value}}}]}}'.encode()
        assert server.post(f"/v1/models/half_plus_two:{method}", body) == (200, {"results": [result]})
