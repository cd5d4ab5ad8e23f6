"""Writes the JSON Schemas of rules, lanes and settings: ``python -m xds.settings.schema config``.

What a setting means is told once, in the comments of config/grayplane.yaml; the schema has it from there.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from xds.documents.json_schema import schema_of, written
from xds.package_data import package_data
from xds.rules.schema import lanes_schema, rule_schema
from xds.settings.model import Settings

_LINE = re.compile(r"(?:# )?(?P<indent> *)(?P<key>[a-z0-9_]+):(?P<value>[^#]*)(?:# (?P<comment>.*))?")


class _Schema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def settings_schema() -> dict[str, Any]:
    """Return the schema of the settings file."""
    schema = schema_of(Settings, _Schema)
    del schema["description"]
    for kind in (schema, *schema["$defs"].values()):
        for field in kind["properties"].values():
            if "$ref" in field:
                field.pop("default", None)  # a section's settings have defaults of their own
    for path, comment in _comments(package_data("config/grayplane.yaml").read_text(encoding="utf-8")):
        _describe(schema, path, comment)
    return schema


def _comments(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the settings of a file with what is said of them, at the end of their lines."""
    path: tuple[str, ...] = ()
    for line in text.splitlines():
        if found := _LINE.fullmatch(line):
            path = (*path[: len(found["indent"]) // 2], found["key"])
            if found["comment"]:
                yield path, found["comment"]


def _describe(schema: dict[str, Any], path: tuple[str, ...], comment: str) -> None:
    node: dict[str, Any] = schema
    for index, key in enumerate(path):
        properties = _resolve(schema, node).get("properties", {})
        if key not in properties:
            return
        node = properties[key]
        if index == len(path) - 1:
            node["description"] = comment[:1].upper() + comment[1:]


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference stands for."""
    if "$ref" not in node:
        return node
    definition: Mapping[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return definition


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "rule.schema.json": rule_schema,
    "lanes.schema.json": lanes_schema,
    "settings.schema.json": settings_schema,
}
"""The files in config/, and what they hold."""

if __name__ == "__main__":
    for name, schema in SCHEMAS.items():
        (Path(sys.argv[1]) / name).write_text(written(schema()), encoding="utf-8")
