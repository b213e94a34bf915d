"""What a client remembers of signatures, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.faulty import FaultyServer, Request, Response, serving
from tfs_workflow.client.interface import InvalidInputError, ModelRef
from tfs_workflow.client.rest_arrays import RestArrayClient
from tfs_workflow.client.signature_cache import FRESH_S, SignatureCache
from tfs_workflow.errors import PredictionFailedError
from tfs_workflow.formats.savedmodel import Signature

ANY = Signature("", {}, {})


class Asked:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0
        self.now_s = 0.0

    def metadata(self, model: str, version: int | None, label: str | None) -> dict[str, Signature]:
        self.times += 1
        return {"serving_default": ANY}

    def clock(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("target", "times"), [(ModelRef("m"), 2), (ModelRef("m", label="stable"), 2), (ModelRef("m", version=1), 1)]
)
def test_what_may_change_is_asked_again_in_a_while(target: ModelRef, times: int) -> None:
    asked = Asked()
    signatures = SignatureCache(asked.metadata, asked.clock)
    for asked.now_s in (0.0, FRESH_S, FRESH_S + 0.1, 2 * FRESH_S):
        assert signatures.of(target) is ANY
    assert asked.times == times


def test_signatures_of_one_model_are_asked_for_together() -> None:
    asked = Asked()
    signatures = SignatureCache(asked.metadata, asked.clock)
    signatures.of(ModelRef("m"))
    with pytest.raises(InvalidInputError, match="no signature other"):
        signatures.of(ModelRef("m", signature="other"))
    assert asked.times == 1
    signatures.forget(ModelRef("m"))
    signatures.of(ModelRef("m"))
    assert asked.times == 2


class Changing(FaultyServer):
    """A model whose output's type and shape are scripted; the last ones stay."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[str, list[int]]] = []
        self.answered: object = None

    def answer(self, request: Request) -> Response:
        document = {"outputs": self.answered} if request.method == "POST" else self._metadata()
        body = json.dumps(document).encode()
        return Response(200, [("Content-Length", str(len(body)))], [body])

    def _metadata(self) -> object:
        dtype, sizes = self.outputs.pop(0) if len(self.outputs) > 1 else self.outputs[0]
        shape = {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False}
        tensor = {"dtype": dtype, "tensor_shape": shape}
        found = {"serving_default": {"inputs": {"x": tensor | {"dtype": "DT_FLOAT"}}, "outputs": {"y": tensor}}}
        return {"metadata": {"signature_def": {"signature_def": found}}}


@pytest.fixture
def changing() -> Iterator[Changing]:
    with serving(Changing()) as server:
        yield server


def test_a_model_whose_types_changed_is_asked_once_more(changing: Changing) -> None:
    changing.outputs, changing.answered = [("DT_INT32", [-1]), ("DT_DOUBLE", [-1])], [1.5]
    with RestArrayClient(changing.url) as client:
        answer = client.predict("m", [1.0])["y"]
    assert (answer.dtype, answer.tolist()) == (np.dtype(np.float64), [1.5])


def test_an_answer_that_is_not_what_the_signature_says_is_said_so(changing: Changing) -> None:
    changing.outputs, changing.answered = [("DT_INT32", [-1])], [1.5]
    with (
        RestArrayClient(changing.url) as client,
        pytest.raises(PredictionFailedError, match="does not fit the signature") as caught,
    ):
        client.predict("m", [1.0])
    assert not isinstance(caught.value, InvalidInputError)


def test_no_rows_keep_their_columns(changing: Changing) -> None:
    changing.outputs, changing.answered = [("DT_FLOAT", [-1, 3])], []
    with RestArrayClient(changing.url) as client:
        assert client.predict("m", [1.0])["y"].shape == (0, 3)
