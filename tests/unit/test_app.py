"""The whole program in one process: what it says of itself over HTTP."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness import PATIENCE
from tests.harness.grayplane import until
from tests.harness.ports import free_port
from xds import app
from xds.composition.control_plane import ControlPlane
from xds.server import BindError
from xds.settings import Files, Http, Settings, Xds
from xds.sources.base import Event, SourceStatus


def settings(home: Path) -> Settings:
    for name in ("rules", "services"):
        (home / name).mkdir(exist_ok=True)
    return Settings(
        files=Files(rules=home / "rules", services=home / "services"),
        xds=Xds(port=0),
        http=Http(port=free_port()),
        state_dir=home / "state",
    )


@asynccontextmanager
async def serving(chosen: Settings) -> AsyncIterator[httpx.AsyncClient]:
    task = asyncio.create_task(app.serve(chosen))
    base = f"http://127.0.0.1:{chosen.http.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE) as client:
        try:
            yield client
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def standing(client: httpx.AsyncClient) -> str | None:
    try:
        answer = await client.get("/ready")
    except httpx.TransportError:
        return None
    says = answer.json()
    assert (answer.status_code == 200) == says["ready"]
    return str(says["serving_from"])


async def test_it_is_ready_when_the_source_has_answered(tmp_path: Path) -> None:
    async with serving(settings(tmp_path)) as client:

        async def ready() -> bool:
            return await standing(client) == "source"

        await until(ready)
        alive = await client.get("/live")
        assert (alive.status_code, alive.json()["alive"]) == (200, True)


async def test_without_its_source_it_serves_the_last_known_good_and_says_so(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    (tmp_path / "rules" / "reviews.yaml").write_text("hosts: [reviews.example.com]")
    async with serving(chosen) as client:

        async def in_step() -> bool:
            return await standing(client) == "source"

        await until(in_step)
    (tmp_path / "rules").rename(tmp_path / "away")
    async with serving(chosen) as client:

        async def from_disk() -> bool:
            return await standing(client) == "last known good"

        await until(from_disk)
        assert (await client.get("/ready")).json()["trouble"]
        answer = await client.post(
            "/v3/discovery:routes", json={"node": {"id": "e", "cluster": "edge"}, "resource_names": ["edge"]}
        )
        assert "reviews.example.com" in answer.text
        (tmp_path / "away").rename(tmp_path / "rules")

        async def in_step_again() -> bool:
            return await standing(client) == "source"

        await until(in_step_again)


@pytest.mark.parametrize("taken", ["xds", "http"])
async def test_a_taken_port_is_an_error_that_names_the_setting(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        chosen = settings(tmp_path).model_copy(
            update={"xds": Xds(port=port)} if taken == "xds" else {"http": Http(port=port)}
        )
        with pytest.raises(BindError, match=rf"{taken}\.port.*{port}"):
            await app.serve(chosen)


class _Source:
    """A source that says nothing, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked = threading.Event()
        self._failure = failure

    async def run(self, emit: Callable[[Event], None]) -> None:
        self.asked.set()
        if self._failure:
            raise self._failure
        await asyncio.Event().wait()

    def status(self) -> SourceStatus:
        return SourceStatus()


async def test_the_source_is_asked_while_the_rest_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _Source()

    def imported() -> type[ControlPlane]:
        assert source.asked.wait(60)
        return ControlPlane

    monkeypatch.setattr(app, "_source", lambda *_: source)
    monkeypatch.setattr(app, "_control_plane", imported)
    async with serving(settings(tmp_path)) as client:

        async def alive() -> bool:
            return await standing(client) == "nothing yet"

        await until(alive)


async def test_a_source_that_can_never_work_ends_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_source", lambda *_: _Source(ValueError("no such thing")))
    with pytest.raises(ExceptionGroup) as caught:
        await app.serve(settings(tmp_path))
    assert caught.group_contains(ValueError, match="no such thing")
