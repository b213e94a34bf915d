"""JSON in and out over gRPC, so that `predict` prints the same result over either transport."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tfs_workflow.client import json_codec
from tfs_workflow.client.grpc_arrays import GrpcArrayClient
from tfs_workflow.client.interface import ModelRef, RequestRejectedError, explain
from tfs_workflow.client.rows import JsonRequest


class GrpcJsonClient(GrpcArrayClient):
    """A `JsonClient` over gRPC: converts JSON as TensorFlow Serving does on its REST side."""

    def predict_rows(self, target: ModelRef, rows: Sequence[bytes]) -> list[Any]:
        """One prediction for each row, a JSON text; raises RequestRejectedError without what the signature expects."""
        return self._predictions(target, json.loads(b"[" + b",".join(rows) + b"]"))

    def predict_document(self, target: ModelRef, document: JsonRequest) -> Any:
        """The predictions or outputs for one request, in one call."""
        target = replace(target, signature=target.signature or document.signature)
        try:
            if document.instances is not None:
                return self._predictions(target, document.instances)
            arrays = json_codec.from_inputs(document.inputs, self.signature(target).inputs)
            return json_codec.to_outputs(self.run(target, arrays))
        except RequestRejectedError as error:
            explain(error, target, self.metadata, rows=document.instances is not None)
            raise

    def _predictions(self, target: ModelRef, instances: list[Any]) -> list[Any]:
        arrays = json_codec.from_instances(instances, self.signature(target).inputs)
        return json_codec.to_predictions(self.run(target, arrays), len(instances))
