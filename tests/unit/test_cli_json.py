"""What commands say to programs: one JSON value, whatever comes of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from xds.cli.commands import app

GOOD = """\
service: reviews
hosts: [reviews.example.com]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: ramp
    route: [{subset: stable, weight: 95}, {subset: gray, weight: 5}]
"""
ROLLOUT = GOOD + "rollout: {rule: ramp, subset: gray, steps: [{weight: 5, for: 1m}, {weight: 100}]}\n"

OTHERWISE = {"serve", "demo", "bootstrap", "version", "import istio", "import gateway-api"}
"""Commands that show no findings: they run, write files, or are for a terminal."""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    for name, text in {
        "good.yaml": GOOD,
        "new.yaml": GOOD.replace("95", "75").replace("weight: 5}", "weight: 25}"),
        "broken.yaml": GOOD.replace("baseline: stable", "baseline: none\x1b[31m"),
        "messy.yaml": GOOD.replace("service: ", "service:    "),
        "rollout.yaml": ROLLOUT,
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def said(*arguments: str | Path) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--output", "json"])
    assert not result.stderr, result.stderr
    return result.exit_code, json.loads(result.stdout)


def test_validate_and_lint(documents: Path) -> None:
    code, found = said("validate", documents / "good.yaml")
    assert (code, found["ok"], found["documents"][0]["problems"]) == (0, True, [])
    for command in ("validate", "lint"):
        code, found = said(command, documents / "broken.yaml")
        [document] = found["documents"]
        assert (code, found["ok"], document["ok"]) == (1, False, False)
        [problem] = [each for each in document["problems"] if each["severity"] == "error"]
        assert {"line", "column", "field", "problem", "hint"} < problem.keys()


def test_diff(documents: Path) -> None:
    code, found = said("diff", documents / "good.yaml", documents / "new.yaml")
    assert (code, found["service"]) == (0, "reviews")
    assert found["changed"][0] == {"path": "http[ramp].route[stable].weight", "before": "95", "after": "75"}
    [everybody] = found["requests"]
    assert everybody["changes"]
    assert {"from": "stable", "to": "gray", "percent": pytest.approx(20)} in everybody["moves"]


def test_explain(documents: Path) -> None:
    code, found = said("explain", "reviews", documents / "good.yaml")
    assert code == 0
    assert [one["rule"] for one in found["considered"]] == ["ramp"]
    assert {one["to"]: one["percent"] for one in found["chances"]} == {
        "reviews|stable": pytest.approx(95),
        "reviews|gray": pytest.approx(5),
    }


def test_fmt(documents: Path) -> None:
    messy = documents / "messy.yaml"
    code, found = said("fmt", "--check", messy)
    assert (code, [one["changed"] for one in found["documents"]]) == (1, [True])
    code, found = said("fmt", messy)
    assert (code, messy.read_text()) == (0, found["documents"][0]["text"])
    code, found = said("fmt", "--check", messy)
    assert (code, [one["changed"] for one in found["documents"]]) == (0, [False])


def test_a_simulated_rollout(documents: Path) -> None:
    code, found = said("rollout", "simulate", documents / "rollout.yaml", "--runs", "2")
    assert code == 0
    assert found["moments"][0]["seconds"] == 0
    assert sum(found["ends"].values()) == 2


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for each, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {each}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def test_every_command_speaks_json_that_shows_something() -> None:
    found = commands(typer.main.get_command(app))
    without = {
        name
        for name, command in found
        if not any("text|json" in str(getattr(option, "metavar", "")) for option in command.params)
    }
    assert without == OTHERWISE
