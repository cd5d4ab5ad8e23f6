"""The documentation names all that there is, and nothing else: settings, metrics, events, commands, words."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from typer.main import get_command

from tests.harness.pages import PAGES, ROOT, anchors, blocks, links, prose, section, text
from tests.unit.http.test_metrics import metrics
from xds.cli.commands import app
from xds.settings import Settings

NOT_SETTINGS = ("nacos.core.", "rollouts.leader", "rollouts.load")
"""Properties of a Nacos server, and configurations that replicas keep there."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = unquote(link.target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link.target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:xds|tests|docs|bench|config|envoy|\.ci)/[\w./-]+)`", prose(page))
    assert [path for path in named if not (ROOT / path).exists()] == []


def settings(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The paths of all settings; what stands in lists and mappings counts as one setting."""
    for name, field in kind.model_fields.items():
        annotation: Any = field.annotation
        kinds = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
        section = next((each for each in kinds if issubclass(each, BaseModel)), None)
        if section and section is annotation:
            yield from settings(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def documented_settings() -> Iterator[str]:
    """The paths in the table of operations.md: a row has a section and the settings in it."""
    table = section("docs/operations.md", "Every setting")
    for prefix, names in re.findall(r"^\| (?:`(\w+(?:\.\w+)*)`)? *\| (.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            yield f"{prefix}.{name}" if prefix else name


def test_every_setting_is_in_operations() -> None:
    assert sorted(documented_settings()) == sorted(settings(Settings))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_named_exist(page: Path) -> None:
    """A word with dots that begins with the name of a section is a setting."""
    known = set(settings(Settings))
    sections = {path.partition(".")[0] for path in known if "." in path}
    named = re.findall(rf"`((?:{'|'.join(sorted(sections))})\.[a-z_.]+)`", prose(page))
    unknown = {
        path
        for path in named
        if not any(name.startswith(path) or path.startswith(f"{name}.") for name in known)
        and not path.startswith(NOT_SETTINGS)
        and not list(ROOT.glob(path.replace(".", "/") + "*"))
    }
    assert unknown == set()


def test_every_metric_is_documented() -> None:
    exposed = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in text_string_to_metric_families(metrics()[0].exposition()[0].decode())
        if family.name.startswith("grayplane_")
    }
    ours = {name for name in exposed if not name.endswith("_created")}
    table = section("docs/api.md", "Metrics")
    documented = set(re.findall(r"`(grayplane_\w+)(?:\{[^}]*\})?`", table))
    assert documented == ours


def documented_events() -> list[str]:
    """The events in the table of the log, without the … that stands for their end."""
    table = section("docs/operations.md", "The log")
    cells = re.findall(r"^\| (`.*?) \| (?:error|warning)", table, re.MULTILINE)
    return [name.removesuffix("…") for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def beginning(event: ast.expr) -> str:
    """What a text, or an f-string, begins with for certain."""
    if isinstance(event, ast.JoinedStr):
        event = event.values[0]
    return event.value if isinstance(event, ast.Constant) and isinstance(event.value, str) else ""


def nodes() -> Iterator[ast.AST]:
    for file in (ROOT / "xds").rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def logged() -> Iterator[str]:
    """What each call that logs a warning or an error says, as far as it is certain."""
    for node in nodes():
        match node:
            case ast.Call(ast.Attribute(ast.Name("_log"), "warning" | "error" | "exception"), [event, *_]):
                yield beginning(event)


def test_events_that_are_documented_are_logged() -> None:
    said = {beginning(node) for node in nodes() if isinstance(node, ast.JoinedStr | ast.Constant)}
    events = documented_events()
    assert len(events) > 20
    assert [
        name
        for name in events
        if not any(name.startswith(one) or one.startswith(name) for one in said if len(one) > 5)
    ] == []


def test_warnings_and_errors_of_the_log_are_documented() -> None:
    events = documented_events()
    undocumented = {
        one for one in logged() if not any(name.startswith(one) or one.startswith(name) for name in events)
    }
    assert undocumented == set()


def commands() -> set[str]:
    """The commands of ``grayplane``: ``serve``, ``rollout list`` and the others."""
    found = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # it is a group
        found |= {f"{name} {inner}" for inner in getattr(command, "commands", ())} or {name}
    return found


def test_every_command_is_documented() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    pages = pages.replace("make demo", "grayplane demo")  # nobody calls it otherwise
    missing = {name for name in commands() if not re.search(rf"grayplane {name.split()[0]}\b", pages)}
    assert missing == {"version"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    known = {name.split()[0] for name in commands()}
    named = set(re.findall(r"(?:`|^[ $]*)grayplane ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named - known == set()


def words(schema: Any) -> Iterator[str]:
    """All keys that the schema of a document has."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from words(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from words(part)


@pytest.mark.parametrize("page", ["rules.md", "rules.zh-CN.md"])
@pytest.mark.parametrize("schema", ["rule", "lanes"])
def test_every_word_of_rules_is_in_the_reference(schema: str, page: str) -> None:
    code = "\n".join(
        [
            *re.findall(r"`[^`\n]+`", prose(ROOT / "docs" / page)),
            *(each.code for each in blocks(f"docs/{page}")),
        ]
    )
    known = set(words(json.loads(text(f"config/{schema}.schema.json"))))
    assert {word for word in known if not re.search(rf"\b{word}\b", code)} == set()


def test_the_architecture_names_every_package() -> None:
    said = section("docs/architecture.md", "What each layer knows")
    there = {
        path.stem
        for path in (ROOT / "xds").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - set(re.findall(r"`(\w+)`", said)) == {"__init__", "__main__"}
    rows = re.findall(r"^\| (`.*?) \|", said, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} - there == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_examples_exist(page: Path) -> None:
    """Blocks of YAML that hold settings alone, and flags."""
    known = set(settings(Settings))
    named = re.findall(r"--set ([\w.]+)=", page.read_text(encoding="utf-8"))
    for kind, code in blocks(str(page.relative_to(ROOT))):
        given = yaml.safe_load(code) if kind == "yaml" else None
        if isinstance(given, dict) and set(given) <= set(Settings.model_fields):
            named += paths(given, known)
    assert set(named) - known == set()


def paths(given: dict[str, Any], known: set[str], prefix: str = "") -> Iterator[str]:
    """The settings that a part of a settings file has."""
    for name, value in given.items():
        if isinstance(value, dict) and f"{prefix}{name}" not in known:
            yield from paths(value, known, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("page", ["go", "java", "python", "node"])
def test_a_page_of_a_language_has_the_program_that_is_run(page: str) -> None:
    text = (ROOT / "docs/grpc" / f"{page}.md").read_text(encoding="utf-8")
    [(file, shown)] = re.findall(r"\[The program\]\((.+?)\).*?\n```\w+\n(.*?)```\n", text, re.DOTALL)
    assert shown == (ROOT / "docs/grpc" / file).read_text(encoding="utf-8")
