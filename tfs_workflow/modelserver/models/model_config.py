"""The text files that the flags name, read and checked as TensorFlow Serving does (server.cc, server_core.cc).

A configuration file is checked completely before any of it takes effect: a reload with a fault leaves the server as it
is. The platform must be TensorFlow, the only one that this server can load.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from tfs_workflow.modelserver import log
from tfs_workflow.modelserver.status_error import failed_precondition, invalid_argument, not_found
from tfs_workflow.protos.model_server_config_pb2 import ModelConfig, ModelServerConfig

PLATFORM = "tensorflow"

# The package of our messages, and those of the same messages in TensorFlow.
_OURS, _SERVING, _CORE = "tfs_workflow.protos.", "tensorflow.serving.", "tensorflow."

M = TypeVar("M", bound=Message)


def read_text_proto(path: str, message: M) -> M:
    """Fill a message from a text-format file; raises StatusError when it is not there or cannot be parsed."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise not_found(f"{path}; No such file or directory") from error
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error
    if not text:  # TensorFlow maps the file into memory, which an empty one cannot be
        raise invalid_argument(f"{path}; Invalid argument")
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        log.error("util/proto_util.h", _parse_failure(message, error))
        raise invalid_argument(f"Invalid protobuf file: '{path}'") from error
    return message


def _parse_failure(message: Message, error: text_format.ParseError) -> str:
    """As protobuf logs it, with TensorFlow's name for the message."""
    package = _CORE if message.DESCRIPTOR.file.name.endswith("/session.proto") else _SERVING
    place = f"{error.GetLine()}:{error.GetColumn()}: "
    reason = str(error).removeprefix(f"{error.GetLine()}:{error.GetColumn()} : ")
    return f"Error parsing text-format {message.DESCRIPTOR.full_name}: {place}{reason}".replace(_OURS, package)


def single_model(name: str, base_path: str) -> ModelServerConfig:
    """The configuration that --model_name and --model_base_path stand for."""
    model = ModelConfig(name=name, base_path=base_path, model_platform=PLATFORM)
    return ModelServerConfig(model_config_list={"config": [model]})


def following(before: Mapping[str, ModelConfig], config: ModelServerConfig) -> dict[str, ModelConfig]:
    """The models of a configuration that is to take the place of `before`; raises StatusError for what is refused.

    A file that is empty for a moment, or half written, is no list of models, and must not unload them all.
    """
    if before and config.WhichOneof("config") != "model_config_list":
        raise failed_precondition(
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another."
        )
    for model in config.model_config_list.config:
        # Those that serve are all of one platform, the only one that can be loaded.
        if model.name in before and _platform(model) != PLATFORM:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was {PLATFORM} "
                f"and new platform requested is {_platform(model)}"
            )
    return models_of(config)


def models_of(config: ModelServerConfig) -> dict[str, ModelConfig]:
    """Model name to configuration; raises StatusError for what TensorFlow Serving refuses."""
    if config.WhichOneof("config") == "custom_model_config":
        raise failed_precondition("ModelServer does not yet support custom model config.")
    models: dict[str, ModelConfig] = {}
    for model in config.model_config_list.config:
        if model.name in models:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        # A relative path would depend on the directory in which the server was started.
        if not model.base_path.startswith("/") and "://" not in model.base_path:
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if (platform := _platform(model)) != PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {platform}")
        if model.HasField("logging_config"):
            raise invalid_argument("No request-logger-creator provided.")
        models[model.name] = model
    return models


def _platform(model: ModelConfig) -> str:
    if model.model_type:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform."
            )
        # 1 is TENSORFLOW in the deprecated enumeration (model_server_config.proto).
        if model.model_type != 1:
            raise invalid_argument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return PLATFORM
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
            f"model name is {model.name}"
        )
    return model.model_platform
