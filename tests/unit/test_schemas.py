"""The JSON Schemas in config/."""

import json
from pathlib import Path
from typing import Any

import pytest

from xds.documents.json_schema import written
from xds.settings.schema import SCHEMAS, settings_schema

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("name", SCHEMAS)
def test_files_are_current(name: str) -> None:
    hint = "python -m xds.settings.schema config"
    assert (CONFIG / name).read_text(encoding="utf-8") == written(SCHEMAS[name]()), hint


def test_the_settings_of_the_shipped_file_are_described() -> None:
    """What a setting means is said at the end of its line in config/grayplane.yaml."""
    schema = settings_schema()
    undescribed = set(_undescribed(schema, schema, ()))
    assert not {path for path in undescribed if "groups" not in path and "tokens" not in path}


def _undescribed(schema: dict[str, Any], kind: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name, field in kind["properties"].items():
        if "$ref" in field:
            yield from _undescribed(schema, schema["$defs"][field["$ref"].rpartition("/")[2]], (*path, name))
        elif "description" not in field and name != "state_dir":
            yield (*path, name)


def test_the_shipped_settings_fit_their_schema() -> None:
    schema = json.loads((CONFIG / "settings.schema.json").read_text(encoding="utf-8"))
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Edge"]["properties"]["routes"]["enum"] == ["shared", "scoped"]
