"""Documents that are published over the API of a real Grayplane, in a real Nacos, for a real Envoy."""

from typing import Any

import httpx

from tests.harness.grayplane import until
from tests.nacos.world import World, rule
from xds.documents import revision_of

DOCUMENT = "/documents/reviews.yaml"


async def test_documents_are_published_over_the_api(world: World) -> None:
    url = f"http://127.0.0.1:{world.grayplane.http_port}/api/v1"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as api:

        async def publish(text: str, replaces: str | None, **query: str) -> httpx.Response:
            revision = None if replaces is None else revision_of(replaces.encode())
            body = {"text": text, "revision": revision, "reason": "a test"}
            return await api.put(DOCUMENT, json=body, params=query)

        async def until_known(text: str) -> Any:
            async def known() -> bool:
                answer = await api.get(DOCUMENT)
                return answer.is_success and answer.json()["revision"] == revision_of(text.encode())

            await until(known)

        made, edited, stolen = rule(0), rule(100), rule(50)
        answer = await publish(made, None)
        assert answer.json() == {"revision": revision_of(made.encode())}
        await world.until("v1")
        await until_known(made)
        assert (await publish(edited, made)).is_success
        await world.until("v2")
        # Somebody else edits it at the console: what replaces the text before is refused.
        await world.operator.publish("reviews.yaml", stolen)
        refused = await publish(made, edited)
        assert refused.status_code == 409
        assert "somebody else changed reviews.yaml" in refused.json()["detail"]
        await until_known(stolen)
        wrong = await publish(made.replace("baseline: stable", "baseline: stabel"), stolen)
        assert wrong.status_code == 422
        assert wrong.json()["problems"]
        assert (await publish(made, None)).status_code == 409
        elsewhere = await publish(made, stolen, namespace="prod")
        assert (elsewhere.status_code, "no namespace 'prod'" in elsewhere.json()["detail"]) == (409, True)
        assert (await publish(made, stolen)).is_success
        await world.until("v1")
        outcomes = [entry["outcome"] for entry in (await api.get("/audit")).json()]
    assert outcomes.count("done") == 3
    assert len(outcomes) == 7
