"""A release inside an application: OpenFeature's SDK decides, a rollout moves it, Prometheus judges it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

from tests.harness.grayplane import Grayplane, until

_FLAG = "new-checkout"
_QUERY = 'checkout_errors{variant="on"} / checkout_total{variant="on"}'
_DOCUMENT: dict[str, Any] = {
    "subsets": {"off": {"labels": {"variant": "off"}}, "on": {"labels": {"variant": "on"}}},
    "baseline": "off",
    "http": [
        {
            "name": "ramp",
            "sticky": {"header": "x-user-id"},
            "route": [{"subset": "off", "weight": 100}, {"subset": "on", "weight": 0}],
        }
    ],
}
_ROLLOUT: dict[str, Any] = {
    "subset": "on",
    "steps": [{"weight": 20, "for": "1s"}, {"weight": 60, "for": "1h"}, {"weight": 100}],
    "analysis": {
        "interval": "1s",
        "minRequests": 1,
        "failureLimit": 2,
        "prometheus": [{"name": "checkout-errors", "query": _QUERY, "max": 0.05}],
    },
}


class Application:
    """Serves users by the variant that its flag says, and counts what came of it."""

    def __init__(self, url: str) -> None:
        api.set_provider(OFREPProvider(base_url=url))
        self._client = api.get_client()
        self.broken = False
        self.variants: dict[str, str] = {}
        self.total, self.errors = Counter[str](), Counter[str]()

    async def serve(self) -> None:
        """Serve one user after the other."""
        while True:
            for number in range(100):
                user = f"user-{number}"
                variant = await asyncio.to_thread(
                    self._client.get_string_value, _FLAG, "off", EvaluationContext(user)
                )
                self.variants[user] = variant
                self.total[variant] += 1
                self.errors[variant] += self.broken and variant == "on"

    def on(self) -> set[str]:
        """Return the users that had the new variant when they came last."""
        return {user for user, variant in self.variants.items() if variant == "on"}

    @asynccontextmanager
    async def scraped(self) -> AsyncIterator[str]:
        """Run a Prometheus that has this application's metrics; yields its URL."""
        app = web.Application()
        app.router.add_get("/api/v1/query", self._query)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        [(_, port)] = runner.addresses
        yield f"http://127.0.0.1:{port}"
        await runner.cleanup()

    async def _query(self, request: web.Request) -> web.Response:
        assert request.query["query"] == _QUERY
        total, errors = self.total["on"], self.errors["on"]
        self.total.clear()
        self.errors.clear()
        result = [{"metric": {}, "value": [0, str(errors / total)]}] if total else []
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


async def test_a_flag_follows_the_steps_and_goes_back(tmp_path: Path) -> None:
    grayplane = Grayplane(tmp_path)
    application = Application(f"http://127.0.0.1:{grayplane.http_port}")
    async with application.scraped() as prometheus:
        grayplane.set("rollouts.prometheus", prometheus)
        grayplane.rule(f"{_FLAG}.yaml", _DOCUMENT)
        async with grayplane:
            serving = asyncio.create_task(application.serve())
            await until(lambda: _share(application, 0, 0))
            grayplane.rule(f"{_FLAG}.yaml", {**_DOCUMENT, "rollout": _ROLLOUT})
            await until(lambda: _share(application, 8, 35))
            early = application.on()
            await until(lambda: _share(application, 45, 75))
            assert early <= application.on()
            application.broken = True
            failed = await grayplane.until_logged(lambda entry: entry["event"] == "rollout: fail")
            assert "prometheus.checkout-errors failed 2 times in a row" in failed["why"]
            await until(lambda: _share(application, 0, 0))
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            api.shutdown()


async def _share(application: Application, low: int, high: int) -> bool:
    """Whether so many of a hundred users have the new variant."""
    return len(application.variants) == 100 and low <= len(application.on()) <= high
