"""What the client costs a prediction, by either transport, beside the same question asked by hand.

By hand is one kept-alive connection (`http.client`), respectively one channel with bytes that are made once; the
server is the same, so that the difference is the client's own work: arrays, messages, errors and what is remembered.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import grpc
import numpy as np

from benchmarks.lab import alternating, lab, tfs
from tfs_workflow import connect
from tfs_workflow.client.tensor_codec import encode
from tfs_workflow.protos import services
from tfs_workflow.protos import serving_apis_pb2 as apis

MODEL = "half_plus_two"
CALLS = 200
ROUNDS = 9
SIZES = (3, 64 * 784)


def main() -> int:
    """Print one table; it has no target."""
    with lab("embedded") as config:
        tfs("setup", config)
        tfs("serve", config)
        status = json.loads(tfs("status", config, "--json"))
        rest_url = status["rest_url"]
        address = status["grpc_target"]
        with connect(rest_url) as rest, connect(f"grpc://{address}") as ours, grpc.insecure_channel(address) as channel:
            print(f"{'milliseconds a prediction':34}{'by hand':>10}{'client':>10}{'ratio':>8}")
            for size in SIZES:
                array = np.linspace(0, 1, size, dtype=np.float32)
                calls = CALLS if size < 1000 else CALLS // 10
                taken = alternating(
                    ROUNDS,
                    rest_by_hand=_times(calls, _rest_by_hand(rest_url, array)),
                    rest=_times(calls, partial(rest.predict, MODEL, array)),
                    grpc_by_hand=_times(calls, _grpc_by_hand(channel, array)),
                    grpc=_times(calls, partial(ours.predict, MODEL, array)),
                )
                for name in ("rest", "grpc"):
                    hand, client = (taken[key] / calls * 1000 for key in (f"{name}_by_hand", name))
                    print(f"{f'{name}, {size:,} float32':34}{hand:10.2f}{client:10.2f}{client / hand:8.2f}")
    return 0


def _times(count: int, call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(count):
            call()

    return calls


def _rest_by_hand(rest_url: str, array: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Callable[[], object]:
    connection = http.client.HTTPConnection(urlsplit(rest_url).netloc)

    def ask() -> object:
        connection.request("POST", f"/v1/models/{MODEL}:predict", json.dumps({"inputs": array.tolist()}))
        return json.loads(connection.getresponse().read())["outputs"]

    return ask


def _grpc_by_hand(channel: grpc.Channel, array: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Callable[[], object]:
    request = apis.PredictRequest(model_spec=apis.ModelSpec(name=MODEL), inputs={"x": encode(array, "DT_FLOAT")})
    content, call = request.SerializeToString(), channel.unary_unary(services.PREDICT.path)
    return lambda: call(content)


if __name__ == "__main__":
    sys.exit(main())
