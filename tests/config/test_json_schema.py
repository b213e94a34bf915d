"""The JSON Schema: the same as the types, and as strict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
import yaml

from tfs_workflow.config.json_schema import json_schema, schema_text
from tfs_workflow.config.load import load

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config").rglob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
MINIMAL: dict[str, Any] = {"project": "p", "models": {"m": {"source": {"bundled": "half_plus_two"}}}}


def test_the_file_is_what_the_types_say() -> None:
    assert (ROOT / "config/schema.json").read_text() == schema_text(), (
        "run: invoke config.schema --output config/schema.json"
    )


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_yaml_is_valid_and_names_the_schema_in_its_first_line(path: Path) -> None:
    first, _, rest = path.read_text().partition("\n")
    named = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
    assert named == ROOT / "config/schema.json"
    VALIDATOR.validate(yaml.safe_load(rest))


@pytest.mark.parametrize(
    "wrong",
    [
        MINIMAL | {"sever": {}},
        MINIMAL | {"server": {"rest_prot": 1}},
        MINIMAL | {"server": {"rest_port": "eighty"}},
        MINIMAL | {"server": {"flags": {"--x": 1}}},
        {"project": "p", "models": {"a b": {"source": {"bundled": "half_plus_two"}}}},
        {"project": "p", "models": {"m": {"source": {"git": "x", "directory": "y"}}}},
        {"project": "p", "models": {"m": {"source": []}}},
        {"project": "p", "models": {}},
        {"project": "p"},
    ],
    ids=json.dumps,
)
def test_the_schema_refuses_what_the_types_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(wrong)


def test_every_key_is_described() -> None:
    for name, definition in json_schema()["$defs"].items():
        for key, field in definition["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_a_new_configuration_starts_as_the_default_one() -> None:
    """`config.init` writes the package's copy, since config/ is not installed."""
    bundled = load(ROOT / "tfs_workflow/bundled/tfs.yaml", environ={}).config
    tutorial = load(ROOT / "config/tfs.yaml", environ={}).config
    assert bundled.models == tutorial.models
    assert (bundled.server.rest_port, bundled.server.grpc_port, bundled.workspace) == ("auto", "auto", ".tfs")
    assert (tutorial.server.rest_port, tutorial.workspace) == (8501, "/tmp/tfserving")
