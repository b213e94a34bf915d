"""Our messages: compiled from their sources, and equal to TensorFlow's on the wire."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import tfs_workflow.protos
from tfs_workflow.protos import services, serving_apis_pb2, tensor_pb2

PROTOS = Path(tfs_workflow.protos.__file__).parent
NAMES = sorted(path.stem for path in PROTOS.glob("*.proto"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, descriptor_pb2.FileDescriptorProto]:
    """What the installed protoc makes of the sources, by file name."""
    output = tmp_path_factory.mktemp("protoc") / "set.pb"
    sources = [f"tfs_workflow/protos/{name}.proto" for name in NAMES]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "--proto_path=.", f"--descriptor_set_out={output}"]
    subprocess.run([*protoc, *sources], cwd=PROTOS.parents[1], check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file
    return {Path(file.name).stem: file for file in files}


NEWER_TYPES = {"DT_INT2", "DT_UINT2", "DT_FLOAT4_E2M1FN"}


@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_code_is_up_to_date(name: str, compiled: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    module = importlib.import_module(f"tfs_workflow.protos.{name}_pb2")
    ours = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    theirs = compiled[name]
    for message in theirs.message_type:
        clear_json_names(message)
    assert ours == theirs


def clear_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    """Undo what a descriptor set has and the embedded descriptor has not."""
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        clear_json_names(nested)


def test_the_data_types_are_tensorflows() -> None:
    wheel = importlib.util.find_spec("tensorflow")
    if wheel is None or not wheel.submodule_search_locations:
        pytest.skip("needs the tensorflow wheel")
    path = Path(wheel.submodule_search_locations[0], "core", "framework", "types_pb2.py")
    shown = "import json, runpy, sys; print(json.dumps(dict(runpy.run_path(sys.argv[1])['DataType'].items())))"
    ran = subprocess.run([sys.executable, "-c", shown, str(path)], check=True, capture_output=True, text=True)
    theirs, ours = json.loads(ran.stdout), dict(tensor_pb2.DataType.items())
    assert theirs.items() <= ours.items()
    # TensorFlow 2.21 has these, and 2.20 not yet.
    assert {name.removesuffix("_REF") for name in ours.keys() - theirs.keys()} <= NEWER_TYPES


_FIELDS = """
import sys
from importlib import import_module

def fields(message, seen):
    if message.name in seen or message.name == "AttrValue":
        return []
    seen.add(message.name)
    found = []
    for field in message.fields:
        kind = field.message_type or field.enum_type
        if field.name == "parameter_map":
            continue
        values = [(value.name, value.number) for value in field.enum_type.values] if field.enum_type else []
        entry = (message.name, field.name, field.number, field.type, field.is_repeated, kind and kind.name)
        found.append((*entry, sorted(values)))
        found += fields(field.message_type, seen) if field.message_type else []
    return sorted(found, key=str)

config = import_module(sys.argv[1]).ConfigProto
print("\\n".join(map(str, fields(config.DESCRIPTOR, set()))))
"""


def test_a_sessions_options_are_tensorflows() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs the tensorflow wheel")
    # Each in a process of its own: the two define the same names.
    ours, theirs = (
        subprocess.run([sys.executable, "-c", _FIELDS, module], check=True, capture_output=True, text=True).stdout
        for module in ("tfs_workflow.protos.session_pb2", "tensorflow.core.protobuf.config_pb2")
    )
    assert len(ours.splitlines()) > 100
    assert ours == theirs


def test_the_methods_keep_tensorflow_servings_paths() -> None:
    assert services.PREDICT.path == "/tensorflow.serving.PredictionService/Predict"
    assert services.RELOAD_CONFIG.path == "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    assert services.GET_MODEL_STATUS.response is serving_apis_pb2.GetModelStatusResponse
