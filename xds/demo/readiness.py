"""Waits until the demo can be tried."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import httpx
from rich.console import Console

from xds.demo.plan import DemoPlan

_POLL = 0.05
_SAY_SO_AFTER = 5.0  # seconds


async def until_ready(plan: DemoPlan, console: Console) -> None:
    """Return when everything answers; say every few seconds what does not yet."""
    async with httpx.AsyncClient(trust_env=False) as client:
        unready = dict(_checks(plan, client))
        polls = 0
        while unready:
            unready = {name: check for name, check in unready.items() if not await check()}
            polls += 1
            if unready and polls * _POLL >= _SAY_SO_AFTER:
                console.print(f"Waiting for {', '.join(unready)} …")
                polls = 0
            await asyncio.sleep(_POLL)


def _checks(plan: DemoPlan, client: httpx.AsyncClient) -> Mapping[str, Callable[[], Awaitable[bool]]]:
    urls = {sample.name: f"http://127.0.0.1:{sample.port}/" for sample in plan.samples}
    urls["envoy"] = f"http://127.0.0.1:{plan.admin_port}/ready"
    return {
        **{name: partial(_answers, client, url) for name, url in urls.items()},
        "grayplane": partial(_listens, plan.settings.xds.port),
        "the edge's configuration": partial(_listens, plan.settings.edge.port),
    }


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
