"""The JSON Schemas that editors use."""

import json
from typing import Any

import pytest

from xds.rules.schema import lanes_schema, rule_schema


@pytest.mark.parametrize("schema", [rule_schema(), lanes_schema()], ids=["rules", "lanes"])
def test_every_object_is_closed_and_every_field_described(schema: dict[str, Any]) -> None:
    for kind in (schema, *schema["$defs"].values()):
        assert kind["additionalProperties"] is False
        for name, field in kind["properties"].items():
            described = field if "description" in field else schema["$defs"][field["$ref"].rpartition("/")[2]]
            assert described["description"], name
            assert "null" not in json.dumps(field), name
            assert "\\u0000" not in json.dumps(field), name


def test_what_the_reader_checks_of_words() -> None:
    schema = rule_schema()
    assert "required" not in schema
    assert schema["properties"]["hosts"]["items"]["pattern"].startswith("^")
    assert {"required": ["in"]} in schema["$defs"]["StringMatcher"]["oneOf"]
    assert len(schema["$defs"]["StringMatcher"]["properties"]["in"]["oneOf"]) == 2
