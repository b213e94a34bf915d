"""JSON requests into tensors, as tensorflow_serving/util/json_tensor.cc does it, message for message.

This is the general candidate: it takes every request, and its error texts are the reference for the fast ones. Row
format (`instances`) and column format (`inputs`) end in the same tensors by input name; which one it was decides the
format of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from tfs_workflow.formats.base64_json import is_base64
from tfs_workflow.formats.tensors import Tensor
from tfs_workflow.modelserver.exchange import Body
from tfs_workflow.modelserver.json import json_parser
from tfs_workflow.modelserver.json.json_errors import find_error, instances_error, is_named
from tfs_workflow.modelserver.json.json_tensors import dense
from tfs_workflow.modelserver.json.json_writer import Json, pretty
from tfs_workflow.modelserver.status_error import StatusError, invalid_argument

# A larger request that fails is not read again, and its message quotes the nearest doubles.
_EXACT_BYTES = 64 * 2**10
T = TypeVar("T")


class PredictInputs(NamedTuple):
    """A predict request as it came: its tensors by input name, and whether in row format."""

    signature_name: str
    tensors: dict[str, Tensor]
    row_format: bool


# Signature name to input name to type; raises StatusError for a signature that is not there.
InputTypes = Callable[[str], Mapping[str, int]]


def predict_inputs(body: Body, input_types: InputTypes) -> PredictInputs:
    """The tensors of a predict request; raises StatusError.

    `input_types` is called once with the signature's name, since types are needed to convert the values. Every tensor
    has the shape of its nested lists; with `instances` the first dimension counts the instances.
    """
    return with_exact_numbers(body, lambda document: _predict_inputs(document, input_types))


def with_exact_numbers(body: Body, read: Callable[[dict[str, Json]], T]) -> T:
    """What `read` makes of the request's top-level object; raises StatusError when it is something else.

    A request that fails is read once more, with its numbers as RapidJSON reads them, since messages quote these.
    """
    try:
        return read(_object(json_parser.parse(bytes(body))))
    except StatusError:
        if len(body) > _EXACT_BYTES:
            raise
    return read(_object(json_parser.parse_exactly(bytes(body))))


def _predict_inputs(document: dict[str, Json], input_types: InputTypes) -> PredictInputs:
    name = signature_name(document)
    types = input_types(name)
    # A signature without inputs cannot be fed from JSON, in TensorFlow Serving either.
    if not types:
        raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    if "instances" in document:
        return PredictInputs(name, _from_instances(document, types), row_format=True)
    if "inputs" in document:
        return PredictInputs(name, _from_inputs(document["inputs"], types), row_format=False)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _object(document: Json) -> dict[str, Json]:
    if not isinstance(document, dict):
        raise format_error(document, "Is not object")
    return document


def signature_name(document: dict[str, Json]) -> str:
    """The signature's name, empty for the default one; raises StatusError when it is no string."""
    name = document.get("signature_name", "")
    if type(name) is not str:
        quoted = pretty(document)
        raise invalid_argument(
            f"JSON Value: {quoted} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def format_error(value: Json, message: str) -> StatusError:
    """An error that quotes the request."""
    return invalid_argument(f"JSON Value: {pretty(value)} {message}")


def _from_instances(document: dict[str, Json], types: Mapping[str, int]) -> dict[str, Tensor]:
    instances = document["instances"]
    if "inputs" in document:
        raise format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        )
    if type(instances) is not list:
        raise format_error(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise format_error(document, "No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(types) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    by_name = _values_by_name(instances, types)
    if by_name is not None:
        made = {name: dense(values, types[name]) for name, values in by_name.items()}
        whole = {name: tensor for name, tensor in made.items() if tensor is not None}
        if len(whole) == len(types):
            return whole
    # Only here, so that requests without a fault pay nothing for the search.
    raise instances_error(instances, types)


def _values_by_name(instances: list[Json], types: Mapping[str, int]) -> dict[str, list[Json]] | None:
    """Input name to the values of all instances; None when an instance does not have exactly the inputs."""
    if not is_named(instances[0]):
        return {next(iter(types)): instances}
    if any(not isinstance(instance, dict) or instance.keys() != types.keys() for instance in instances):
        return None
    return {name: [instance[name] for instance in instances] for name in types}


def _from_inputs(inputs: Json, types: Mapping[str, int]) -> dict[str, Tensor]:
    if not isinstance(inputs, dict) or is_base64(inputs):
        if len(types) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        return {name: _tensor(inputs, dtype) for name, dtype in types.items()}
    return {name: _tensor(_named_input(inputs, name), dtype) for name, dtype in types.items()}


def _named_input(inputs: dict[str, Json], name: str) -> Json:
    if name not in inputs:
        raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return inputs[name]


def _tensor(value: Json, dtype: int) -> Tensor:
    tensor = dense(value, dtype)
    if tensor is None:
        raise find_error(value, dtype)
    return tensor
