"""The text files that the flags name, read and checked as TensorFlow Serving does (server.cc, server_core.cc).

A configuration file is checked completely before any of it takes effect: a reload with a fault leaves the server as it
is. The platform must be TensorFlow, the only one that this server can load.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from tfs_workflow.modelserver.status_error import failed_precondition, invalid_argument, not_found
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig, ModelServerConfig

PLATFORM = "tensorflow"

M = TypeVar("M", bound=Message)


def read_text_proto(path: str, message: M) -> M:
    """Fill a message from a text-format file; raises StatusError when it is not there or cannot be parsed."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise not_found(f"{path}; No such file or directory") from error
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
    return parse_text_proto(text, message, path)


def parse_text_proto(text: str, message: M, path: str) -> M:
    """Fill a message from text format; raises StatusError."""
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
    return message


def single_model(name: str, base_path: str) -> ModelServerConfig:
    """The configuration that --model_name and --model_base_path stand for."""
    model = ModelConfig(name=name, base_path=base_path, model_platform=PLATFORM)
    return ModelServerConfig(model_config_list={"config": [model]})


def models_of(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """Model name to configuration; raises StatusError for what TensorFlow Serving refuses."""
    if config.WhichOneof("config") == "custom_model_config":
        raise failed_precondition("ModelServer does not yet support custom model config.")
    models: dict[str, ModelConfig] = {}
    for model in config.model_config_list.config:
        if model.name in models:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        _check_platform(model)
        # A relative path would depend on the directory in which the server was started.
        if not model.base_path.startswith("/") and "://" not in model.base_path:
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        models[model.name] = model
    return models


def _check_platform(model: ModelConfig) -> None:
    platform = model.model_platform
    if model.model_type:
        if platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
            )
        # 1 is TENSORFLOW in the deprecated enumeration (model_server_config.proto).
        platform = PLATFORM if model.model_type == 1 else "other"
    if not platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform."
        )
    if platform != PLATFORM:
        raise invalid_argument(f"Model {model.name} requests unsupported platform {platform}")
