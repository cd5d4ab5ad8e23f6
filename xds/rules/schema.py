"""The JSON Schema of a rule document, for editors: ``python -m xds.rules.schema > config/rule.schema.json``.

It says what the words and types are; what only `xds.rules.parse` checks, such as whether a subset exists, it
leaves open. Editors with the YAML language server use it where a document begins with
``# yaml-language-server: $schema=…``.
"""

import json
import sys

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from xds.rules.model import Matcher, RuleDocument, operators

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Pydantic's, but as strict as the parser: exactly one operator, no null, no other keys."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        if issubclass(schema["cls"], Matcher):
            described["oneOf"] = [{"required": [word]} for word in operators(schema["cls"]).values()]
        return described

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", 0) in (None, [], {}):
            del described["default"]  # what a field that is left out amounts to
        return described

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        if "patternProperties" in described:
            described["additionalProperties"] = False
        return described

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def rule_schema() -> str:
    """The schema as the file ``config/rule.schema.json`` holds it."""
    schema = RuleDocument.model_json_schema(schema_generator=_Generator)
    del schema["required"]  # only the service: the document's name stands in for it
    return json.dumps({"$schema": DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(rule_schema())
