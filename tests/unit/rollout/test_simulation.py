"""How often good releases are rolled back and bad ones promoted, by simulation; the command that shows it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.rollout.plans import NOW, plan
from xds.cli.commands import app
from xds.rollout.simulation import Behaviour, Traffic, outcomes, simulate
from xds.rollout.state import Phase

RUNS = 20
DOCUMENT = """\
hosts: [reviews.example.com]
subsets: {stable: {labels: {version: v1}}, gray: {labels: {version: v2}}}
baseline: stable
http:
  - name: ramp
    route: [{subset: stable, weight: 95}, {subset: gray, weight: 5}]
"""
ROLLOUT = """\
rollout:
  subset: gray
  steps: [{weight: 5, for: 2m}, {weight: 50, approval: true}, {weight: 100}]
  analysis: {successRate: {min: 99}}
"""


@pytest.mark.parametrize(
    ("errors", "latency", "ends"),
    [
        (0.0005, 20.0, Phase.PROMOTED),
        (0.003, 20.0, Phase.PROMOTED),
        (0.02, 20.0, Phase.ROLLED_BACK),
        (1.0, 20.0, Phase.ROLLED_BACK),
        (0.0005, 400.0, Phase.ROLLED_BACK),
    ],
)
def test_good_releases_are_promoted_and_bad_ones_rolled_back(
    errors: float, latency: float, ends: Phase
) -> None:
    analysis = {"successRate": {"min": 99.5, "maxDropFromBaseline": 0.5}, "latency": {"p99": "500ms"}}
    steps = [{"weight": 5.0, "for": "5m"}, {"weight": 50.0, "for": "5m"}, {"weight": 100.0}]
    traffic = Traffic(100, Behaviour(0.0005), Behaviour(errors, latency))
    assert outcomes(plan(analysis=analysis, steps=steps), traffic, NOW, RUNS) == {ends: RUNS}


def test_without_traffic_it_waits() -> None:
    *_, last = simulate(plan(), Traffic(0, Behaviour(0), Behaviour(0)), NOW, limit=50)
    assert (last.state.phase, last.state.weight) == (Phase.OBSERVING, 5)


@pytest.mark.parametrize(("errors", "says"), [("0.1", "Promoted"), ("20", "RolledBack")])
def test_the_command_shows_how_it_ends(tmp_path: Path, errors: str, says: str) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_text(DOCUMENT + ROLLOUT, encoding="utf-8")
    result = CliRunner().invoke(app, ["rollout", "simulate", str(file), "--errors", errors, "--runs", "3"])
    assert result.exit_code == 0, result.output
    assert f"Of 3 runs with other chances each: {says} 3" in result.output


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_text(DOCUMENT, encoding="utf-8")
    result = CliRunner().invoke(app, ["rollout", "simulate", str(file)])
    assert result.exit_code == 1
    assert "there is no rollout for reviews in it" in result.output
