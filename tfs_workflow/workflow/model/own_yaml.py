"""The YAML to start from for models of one's own: sources, signatures and examples read from the models.

The text is composed by lines and not by a YAML library, because its comments are its value: they show the signature
beside the model. Paths, and names that YAML could misread, are quoted as JSON, which is YAML as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfs_workflow.config.implied_path import is_archive
from tfs_workflow.config.types import Model
from tfs_workflow.errors import ConfigError
from tfs_workflow.formats import savedmodel
from tfs_workflow.formats.example_request import MAX_SPELLED_VALUES, example_request, spelled_values
from tfs_workflow.formats.savedmodel import DEFAULT_SIGNATURE, served_tags
from tfs_workflow.formats.signature_text import tensor_text
from tfs_workflow.workflow.model.implied_project import model_sources, tags_flag

# What YAML 1.1 would read as something else than text.
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_HEAD = """\
# yaml-language-server: $schema=schema.json
#
#   {program} serve predict teardown
#
# The project is named after this directory, and its workspace is .tfs beside this file.
# `{program} config.schema` prints all keys.

runtime: auto            # docker where an engine answers and has the image or can pull it, else embedded

server:
  rest_port: auto        # any free port, or a number
  grpc_port: auto
{flags}
models:
"""


def named_paths(given: list[str]) -> dict[str, str]:
    """Path by model name, from NAME=PATH; raises ConfigError for anything else."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise ConfigError(f"expected NAME=PATH, got {text!r}", where="--model", fix="--model iris=./iris")
        if name in found:
            raise ConfigError(f"two paths for {name}", where="--model")
        found[name] = path
    return found


def own_yaml(models: Mapping[str, str], directory: Path, program: str) -> str:
    """The text of a YAML in `directory` for model paths by name; raises ConfigError for a path without a model."""
    sources = {name: _source(name, path) for name, path in models.items()}
    flags = tags_flag(Path(place) for kind, place in sources.values() if kind == "directory")
    lines = [line for name in models for line in _model_lines(name, models[name], sources[name], flags, directory)]
    flag_lines = "".join(f"  flags: {{{key}: {json.dumps(value)}}}\n" for key, value in flags.items())
    return _HEAD.format(program=program, flags=flag_lines) + "\n".join(lines) + "\n"


def _source(name: str, path: str) -> tuple[str, str]:
    """The kind and the place of the one model at a path."""
    sources = list(model_sources(path, Path.cwd()).values())
    if len(sources) > 1:
        fix = "name each one: --model NAME=PATH --model NAME=PATH"
        raise ConfigError("it holds several models", where=f"--model {name}={path}", fix=fix)
    ((kind, place),) = sources[0].items()
    return kind, place


def _model_lines(
    name: str, path: str, source: tuple[str, str], flags: Mapping[str, str], directory: Path
) -> Iterator[str]:
    kind, place = source
    if kind == "directory" or (kind == "archive" and is_archive(path) and "://" not in path):
        place = _relative(Path(place), directory)
    yield f"  {name if name.isidentifier() and name.lower() not in _YAML_WORDS else json.dumps(name)}:"
    yield f"    source: {{{kind}: {json.dumps(place)}}}"
    if kind == "directory":
        yield from _signature_lines(directory / place, served_tags(flags))


def _relative(place: Path, directory: Path) -> str:
    """A path below the YAML's directory as a relative one, any other as it is."""
    base = Path(os.path.abspath(directory))  # noqa: PTH100  # keeps links
    return f"./{place.relative_to(base).as_posix()}" if place.is_relative_to(base) else str(place)


def _signature_lines(base_path: Path, tags: frozenset[str]) -> Iterator[str]:
    """The signature as a comment, and a request that it takes."""
    version_dir = savedmodel.versions(base_path, Model.model_fields["version"].default).found[-1].path
    signatures = savedmodel.signatures(version_dir, tags)
    name = DEFAULT_SIGNATURE if DEFAULT_SIGNATURE in signatures else next(iter(signatures), "")
    if not name:
        return
    signature = signatures[name]
    for key, tensor in signature.inputs.items():
        yield f"    # input   {tensor_text(key, tensor)}"
    for key, tensor in signature.outputs.items():
        yield f"    # output  {tensor_text(key, tensor)}"
    request = example_request(name, signature, savedmodel.features(version_dir, tags))
    if request.body is None or request.verb != "predict" or spelled_values(request.body) > MAX_SPELLED_VALUES:
        return
    body = {"signature" if key == "signature_name" else key: value for key, value in request.body.items()}
    yield "    example:  # what predict sends when it is given nothing else"
    yield from (f"      {key}: {json.dumps(value)}" for key, value in body.items())
