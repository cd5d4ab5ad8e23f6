"""JSON Schemas of documents, for editors: as strict about words and types as the reader.

What only a reader checks, such as whether a subset exists, they leave open.
"""

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class DocumentSchema(GenerateJsonSchema):
    """Pydantic's schemas without null, with no other keys than those that are known, and without titles."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Leave null out: a key without a value is an error."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave out defaults that a key which is not there amounts to."""
        described = super().default_schema(schema)
        if described.get("default", 0) in (None, [], {}):
            del described["default"]
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Refuse keys that do not fit."""
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described["additionalProperties"] = False
        return described

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Leave the tags out: they are no part of a document."""
        described = super().tagged_union_schema(schema)
        described.pop("discriminator", None)
        return described

    def field_title_should_be_set(self, schema: object) -> bool:
        """Leave titles out: they only repeat the words."""
        return False


def schema_of(model: type[BaseModel], generator: type[GenerateJsonSchema]) -> dict[str, Any]:
    """Return the schema of a kind of document."""
    return {"$schema": DIALECT, **model.model_json_schema(schema_generator=generator)}


def written(schema: dict[str, Any]) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
