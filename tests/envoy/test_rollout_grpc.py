"""A rollout of a gRPC service through a real Envoy: statuses in the analysis, webhooks on its way."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from aiohttp import web

from tests.envoy.test_grpc import HOST, document, listed, unary
from tests.harness.envoy import EnvoyProcess
from tests.harness.grayplane import Grayplane
from tests.harness.grpc_upstream import GrpcUpstream

_SECRET = "only we know"
_OCCASIONS = ("before-step", "after-step", "on-rollback")


class Webhooks:
    """A server of webhooks that agrees; ``called`` are occasion and step of each call in order."""

    def __init__(self) -> None:
        self.called: list[tuple[str, int]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; yields the URL."""
        app = web.Application()
        app.router.add_post("/{occasion}", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [(_, port)] = runner.addresses
        yield f"http://127.0.0.1:{port}"
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        digest = hmac.new(_SECRET.encode(), await request.read(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers["x-grayplane-signature"], f"sha256={digest}"):
            return web.Response(status=403, text="this is not signed by us")
        body = await request.json()
        assert body["when"] == request.match_info["occasion"]
        self.called.append((body["when"], body["step"]))
        return web.Response()


async def _call(channel: grpc.aio.Channel, answers: list[str]) -> None:
    get = unary(channel, "Get")
    while True:
        call = get(b"a", timeout=10)
        with suppress(grpc.aio.AioRpcError):
            await call
        answers.append(str(dict(await call.trailing_metadata()).get("x-version")))


async def test_statuses_of_a_failing_server_roll_back_those_of_a_wrong_call_do_not(tmp_path: Path) -> None:
    hooks, answers = Webhooks(), list[str]()
    grayplane = Grayplane(
        tmp_path,
        *("--set", "rollouts.report_interval=0.5", "--set", f"rollouts.webhook_secret={_SECRET}"),
    )
    async with GrpcUpstream("v1") as v1, GrpcUpstream("v2") as v2, hooks.serving() as url:
        # In a zone with the name of a subset: what proxies report by zone counts all the same.
        labels = {"protocol": "grpc", "zone": "stable"}
        grayplane.listed("reviews", [listed(one, labels) for one in (v1, v2)])
        grayplane.rule("reviews.yaml", _rollout(url))
        v2.status = grpc.StatusCode.NOT_FOUND
        async with (
            grayplane,
            EnvoyProcess(grayplane.bootstrap("edge")),
            grpc.aio.insecure_channel(
                f"127.0.0.1:{grayplane.edge_port}", options=[("grpc.default_authority", HOST)]
            ) as channel,
        ):
            calling = [asyncio.create_task(_call(channel, answers)) for _ in range(8)]
            # The first step passes although each call ends with a status: it is the caller's fault.
            await grayplane.until_logged(
                lambda entry: entry["event"] == "rollout: enter" and entry["weight"] == 60
            )
            assert "v2" in answers
            v2.status = grpc.StatusCode.UNAVAILABLE
            failed = await grayplane.until_logged(lambda entry: entry["event"] == "rollout: fail")
            assert "requests to gray failed" in failed["why"] or "successRate.min" in failed["why"]
            async with asyncio.timeout(60):
                while set(answers[-100:]) != {"v1"}:
                    await asyncio.sleep(0.1)
                while hooks.called[-1][0] != "on-rollback":
                    await asyncio.sleep(0.1)
            for each in calling:
                each.cancel()
            await asyncio.gather(*calling, return_exceptions=True)
    assert hooks.called == [("before-step", 1), ("after-step", 1), ("before-step", 2), ("on-rollback", 2)]


def _rollout(url: str) -> dict[str, Any]:
    hooks = [{"name": when, "url": f"{url}/{when}", "when": when} for when in _OCCASIONS]
    split = [{"subset": "stable", "weight": 95}, {"subset": "gray", "weight": 5}]
    return document(
        http=[{"name": "ramp", "route": split}],
        rollout={
            "subset": "gray",
            "steps": [{"weight": 20, "for": "1s"}, {"weight": 60, "for": "1h"}, {"weight": 100}],
            "analysis": {
                "interval": "1s",
                "minRequests": 20,
                "successRate": {"min": 95.0},
                "webhooks": hooks,
            },
        },
    )
