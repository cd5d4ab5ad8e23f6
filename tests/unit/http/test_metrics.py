"""Metrics, and the alert rules and the Grafana dashboard that are made for them."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import PATIENCE
from xds.cache import Resource
from xds.documents import DocumentId
from xds.http.api.nodes import Nodes
from xds.http.metrics import Metrics
from xds.http.observed import Observed
from xds.protocol import Acked, Rejected
from xds.protocol.events import Change
from xds.server import Peer, StreamInfo
from xds.server_processes import ProcessState, ServerProcesses
from xds.sources.base import SourceStatus
from xds.status import DocumentState, Status, events
from xds.type_urls import CLUSTER
from xds.validation import EnvoyValidator
from xds.wire import Node
from xds.wire import Status as RpcStatus

CONFIG = Path(__file__).parents[3] / "config"
ALERTS = yaml.safe_load((CONFIG / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((CONFIG / "grafana" / "grayplane.json").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OF_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
FUNCTIONS = {"time", "min", "increase", "rate", "sum", "max", "by", "histogram_quantile", "offset"}


def metrics() -> tuple[Metrics, Status]:
    made = Metrics("nacos")
    status = Status([made.tell], lambda _: ())
    observed = Observed(
        status=status,
        nodes=Nodes(status.nodes),
        source=lambda: SourceStatus(servers=("a:8848",), documents=3, last_reconcile=1.0, repaired=2),
        documents=lambda: {"Programmed": 2},
        rollouts=lambda: {"Observing": 1},
        exposure=Counter({("reviews", "gray"): 5}),
        pushes=lambda: 7,
        expiry=lambda: {"/etc/tls/tls.crt": 1.8e9},
        validator=EnvoyValidator("envoy", timeout=10),
        server_processes=cast("ServerProcesses", Processes()),
    )
    made.observe(observed)
    return made, status


class Processes:
    """Server processes of which one is not there."""

    restarts = 4

    @staticmethod
    def states() -> list[ProcessState]:
        return [ProcessState(1, True, 7, 100 << 20, 2.5), ProcessState(2, running=False)]


def samples(made: Metrics) -> dict[str, float]:
    text = made.exposition()[0].decode()
    return {
        " ".join(
            (sample.name, *sorted(f"{key}={value}" for key, value in sample.labels.items()))
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def stream(node: str, **metadata: object) -> StreamInfo:
    return StreamInfo(Node(node, "edge", metadata=metadata), Peer("ipv4:127.0.0.1:1"), "Stream")


def test_what_happens_is_counted() -> None:
    made, status = metrics()
    edge = stream("edge-1", role="edge")
    status.opened(edge)
    body = Resource.of(CLUSTER, "reviews", b"1")
    status.answered(edge, Acked(CLUSTER, {"reviews": Change(None, body)}))
    status.answered(edge, Rejected(CLUSTER, {"reviews": Change(None, body)}, RpcStatus(3, "no")))
    status.answered(edge, Acked("type.googleapis.com/made.up.Thing", {}))
    made.denied()
    made.tell(events.SourceTrouble("no answer"))
    made.loop_delays((0.2, 0.3))
    found = samples(made)
    assert found["grayplane_answers_total answer=ack type=Cluster"] == 1
    assert found["grayplane_answers_total answer=nack type=Cluster"] == 1
    assert found["grayplane_answers_total answer=ack type=other"] == 1
    assert found["grayplane_nodes role=edge state=rejected"] == 1
    assert found["grayplane_source_healthy source=nacos"] == 0
    assert found["grayplane_documents state=Programmed"] == 2
    assert found["grayplane_documents state=Quarantined"] == 0
    assert found["grayplane_rollouts phase=Observing"] == 1
    assert found["grayplane_source_repairs_total source=nacos"] == 2
    assert found["grayplane_flag_evaluations_total flag=reviews variant=gray"] == 5
    assert found["grayplane_streams_denied_total"] == 1
    assert found["grayplane_server_process_running process=1"] == 1
    assert found["grayplane_server_process_running process=2"] == 0
    assert found["grayplane_server_process_streams process=1"] == 7
    assert found["grayplane_server_process_resident_memory_bytes process=1"] == 100 << 20
    assert found["grayplane_server_process_cpu_seconds_total process=1"] == 2.5
    assert found["grayplane_server_process_restarts_total"] == 4
    assert found["grayplane_event_loop_delay_seconds_count"] == 2
    assert found["grayplane_pushes_total"] == 7
    assert found["grayplane_certificate_expiration_timestamp_seconds file=/etc/tls/tls.crt"] == 1.8e9


async def test_a_push_is_counted_from_when_the_edit_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    made, status = metrics()
    programmed = SimpleNamespace(state=DocumentState.PROGRAMMED)
    monkeypatch.setattr(status, "document", lambda _: programmed)
    following = asyncio.create_task(made.run())
    document = DocumentId("", "reviews.yaml")
    made.tell(events.EditsTaken({document: time.time() - 7200}))
    made.tell(events.DocumentApplied(document, "1", ()))
    async with asyncio.timeout(PATIENCE):
        while not samples(made)["grayplane_push_delay_seconds_count"]:
            await asyncio.sleep(0.01)
    following.cancel()
    assert samples(made)["grayplane_push_delay_seconds_sum"] > 7199


def test_the_number_of_series_does_not_grow_with_nodes_and_types() -> None:
    made, status = metrics()
    before = len(samples(made))
    for number in range(500):
        one = stream(f"edge-{number}", role="edge")
        status.opened(one)
        status.answered(one, Acked(f"type.googleapis.com/made.up.Thing{number}", {}))
        made.tell(events.DocumentApplied(DocumentId("", f"s{number}.yaml"), "1", ()))
    assert len(samples(made)) <= before + 6


def test_the_exposition_is_what_prometheus_wants() -> None:
    made, status = metrics()
    status.opened(stream("edge-1", role="edge"))
    text = made.exposition()[0].decode()
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(set(series)) == len(series)
    for kind in ("HELP", "TYPE"):
        named = re.findall(rf"^# {kind} (\S+) ", text, re.MULTILINE)
        assert len(set(named)) == len(named)
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert family.name.startswith(("grayplane_", "process_"))
        endings = {sample.name.removeprefix(family.name) for sample in family.samples}
        wanted = {"counter": {"_total"}, "gauge": {""}, "histogram": {"_bucket", "_count", "_sum"}}
        assert endings <= wanted[family.type], family.name
        units = re.search(r"(milliseconds|minutes|bytes_total|percent)", family.name)
        assert units is None, f"{family.name}: base units"


async def test_many_nodes_are_looked_at_in_pieces() -> None:
    made, status = metrics()
    for number in range(3000):
        status.opened(stream(f"edge-{number}", role="edge"))
    pauses = 0
    looking = asyncio.create_task(made.look_and_expose())
    while not looking.done():
        await asyncio.sleep(0)
        pauses += 1
        status.opened(stream(f"late-{pauses}", role="edge"))
    assert pauses >= 12
    assert samples(made)["grayplane_nodes role=edge state=behind"] >= 3000


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_alerts_and_panels_ask_for_metrics_and_labels_that_there_are(name: str, expression: str) -> None:
    made, status = metrics()
    status.opened(stream("edge-1", role="edge"))
    known: dict[str, set[str]] = {name: {"instance", "job"} for name in OF_PROMETHEUS}
    for family in made.registry.collect():
        for suffix in ("", "_total", "_bucket", "_count", "_sum"):
            known[family.name + suffix] = {"instance", "job", "le"}
    labels: Mapping[str, set[str]] = {
        "grayplane_nodes": {"role", "state"},
        "grayplane_streams": {"role"},
        "grayplane_documents": {"state"},
        "grayplane_rollouts": {"phase"},
        "grayplane_answers_total": {"type", "answer"},
        "grayplane_certificate_expiration_timestamp_seconds": {"file"},
        "grayplane_flag_evaluations_total": {"flag", "variant"},
    }
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    assert bare.count("(") == bare.count(")"), name
    assert bare.count("{") == bare.count("}"), name
    asked = re.findall(r"[a-z_]+_[a-z_]+|\bup\b", re.sub(r"\{[^}]*\}|by \([^)]*\)", "", bare))
    asked = [word for word in asked if word not in FUNCTIONS]
    assert asked, name
    for metric in asked:
        assert metric in known, f"{name}: {metric}"
    used = {word for part in re.findall(r"by \(([^)]*)\)", bare) for word in re.split(r",\s*", part)}
    used |= {word for part in re.findall(r"\{([^}]*)\}", bare) for word in re.findall(r"(\w+)=", part)}
    allowed = {label for metric in asked for label in (known[metric] | labels.get(metric, set()))}
    assert used <= allowed, name


def test_every_alert_says_what_happens_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_panels_do_not_overlap() -> None:
    places: list[Any] = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
