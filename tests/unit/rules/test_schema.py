"""The JSON Schema that editors use."""

import json
from pathlib import Path
from typing import Any

from xds.rules.schema import rule_schema

FILE = Path(__file__).parents[3] / "config" / "rule.schema.json"


def test_file_is_current() -> None:
    hint = "python -m xds.rules.schema > config/rule.schema.json"
    assert FILE.read_text(encoding="utf-8") == rule_schema(), hint


def test_every_object_is_closed_and_every_field_described() -> None:
    schema: dict[str, Any] = json.loads(rule_schema())
    for kind in (schema, *schema["$defs"].values()):
        assert kind["additionalProperties"] is False
        for name, field in kind["properties"].items():
            described = field if "description" in field else schema["$defs"][field["$ref"].rpartition("/")[2]]
            assert described["description"], name
            assert "null" not in json.dumps(field), name
    assert "required" not in schema
    assert schema["properties"]["hosts"]["items"]["pattern"].startswith("^")
    assert {"required": ["in"]} in schema["$defs"]["StringMatcher"]["oneOf"]
