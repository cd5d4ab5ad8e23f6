"""Traces of edits, from a real Nacos to the last acknowledgement of a real Envoy, in a real OTLP receiver."""

from pathlib import Path

from tests.harness.collector import Collector, Trace
from tests.harness.grayplane import until
from tests.harness.nacos import NacosServer
from tests.harness.nacos_console import Console
from tests.nacos.world import reviews_world, rule


async def test_edits_from_nacos_to_the_last_acknowledgement(
    tmp_path: Path, nacos: NacosServer, operator: Console
) -> None:
    environment = nacos.environment(operator.namespace)
    async with Collector() as collector:
        endpoint = f"tracing.endpoint=http://127.0.0.1:{collector.port}"
        flags = ("--set", endpoint)
        async with reviews_world(tmp_path, operator, nacos.address, *flags, environment=environment) as world:

            async def traced(edits: int) -> list[Trace]:
                async def came() -> bool:
                    return len(collector.traces) == edits

                await until(came)
                return collector.traces

            await operator.publish("reviews.yaml", rule(0))
            await world.until("v1")
            await traced(1)
            await operator.publish("reviews.yaml", rule(100))
            await world.until("v2")
            trace = (await traced(2))[-1]
            await operator.publish("reviews.yaml", "service: reviews\nbaseline: none\n")
            refused = (await traced(3))[-1]
            await operator.delete("reviews.yaml")
            deleted = (await traced(4))[-1]
    assert trace.root.name == "edit reviews.yaml"
    found = trace.attributes()
    assert found["grayplane.document"] == "reviews.yaml"
    assert found["grayplane.services"] == ["reviews"]
    assert found["grayplane.outcome"] == "programmed"
    assert (found["grayplane.proxies.programmed"], found["grayplane.proxies.of"]) == (1, 1)
    assert len(str(found["grayplane.revision"])) == 16
    assert trace.attributes("push RouteConfiguration") == {
        "grayplane.acknowledged": 1,
        "grayplane.rejected": 0,
    }
    steps = sorted(
        trace.steps.values(), key=lambda step: (step.start_time_unix_nano, step.end_time_unix_nano)
    )
    assert [step.name for step in steps][:3] == ["read", "parse", "compile"]
    assert all(trace.root.start_time_unix_nano <= step.start_time_unix_nano for step in steps)
    assert max(step.end_time_unix_nano for step in steps) == trace.root.end_time_unix_nano
    assert all(step.trace_id == trace.root.trace_id for step in steps)
    assert refused.attributes()["grayplane.outcome"] == "rejected"
    assert refused.root.status.message == "it has errors"
    assert deleted.attributes()["grayplane.outcome"] == "deleted"
    assert collector.resources[0]["service.name"] == "grayplane"
