"""The JSON Schema of the YAML, generated from its types, for editors to complete and check.

The schema is generated and committed. A schema that is written by hand would describe last month's types; one that is
only generated on demand would not be there for an editor. A test compares the file with the types.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from tfs_workflow.config.types import Config

SCHEMA_NAME = "schema.json"


class _Schema(GenerateJsonSchema):
    """Pydantic's own schema without the titles that only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        return False

    def generate(self, schema: CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        generated = super().generate(schema, mode)
        return {"$schema": self.schema_dialect, **generated, "title": "tfs-workflow configuration"}

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        """A key that does not match the pattern is an error, not a free-form entry."""
        generated = super().dict_schema(schema)
        if "patternProperties" in generated:
            generated["additionalProperties"] = False
        return generated


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) as plain values."""
    return Config.model_json_schema(schema_generator=_Schema)


def schema_text() -> str:
    """The JSON Schema as the text of config/schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
