"""The JSON Schemas of rules and lanes, for editors.

Editors with the YAML language server use one where a document begins with
``# yaml-language-server: $schema=…``. ``xds.settings.schema`` writes the files in config/.
"""

from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from xds.documents.json_schema import DocumentSchema, schema_of
from xds.rules.model import LanesDocument, Matcher, RuleDocument, operators


class _Schema(DocumentSchema):
    """Matchers have exactly one operator."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        if issubclass(schema["cls"], Matcher):
            described["oneOf"] = [{"required": [word]} for word in operators(schema["cls"]).values()]
        return described


def rule_schema() -> dict[str, Any]:
    """Return the schema of a rule document."""
    schema = schema_of(RuleDocument, _Schema)
    del schema["required"]  # only the service: the document's name stands in for it
    return schema


def lanes_schema() -> dict[str, Any]:
    """Return the schema of lanes.yaml."""
    return schema_of(LanesDocument, _Schema)
