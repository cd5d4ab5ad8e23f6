"""Prometheus metrics. Their labels are states, roles and types: their number does not grow with the fleet."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from xds.documents import DocumentId
from xds.http.api.nodes import Nodes
from xds.http.observed import Observed, ObservedCollector
from xds.status import DocumentState, Status, StatusEvent, events
from xds.type_urls import short

_DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_LOOP_DELAYS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5)
_LOOP_PERIOD = 0.1
_QUICK, _SLOW = 0.025, 0.5  # seconds between two looks at pushes under way: while young, and later
_YOUNG = 2.0
_MOST_PUSHES = 100
_KNOWN_TYPES = frozenset(
    {
        "Listener",
        "RouteConfiguration",
        "ScopedRouteConfiguration",
        "VirtualHost",
        "Cluster",
        "ClusterLoadAssignment",
        "Secret",
    }
)


class Metrics:
    """All metrics of this process. It is a sink of the status (``tell``), and reads it when it is scraped."""

    def __init__(self, source: str) -> None:
        self.registry = CollectorRegistry()
        self._source = source
        # What is read when it is scraped; None before ``observe``.
        self._status: Status | None = None
        self._nodes: Nodes | None = None
        # How old each edit was when the pipeline took it, in seconds, and when that was.
        self._taken: tuple[Mapping[DocumentId, float], float] = ({}, 0.0)
        # When the edit was seen of each push that is under way. Written by ``tell`` and ``_look``.
        self._pushes: dict[DocumentId, float] = {}
        # When the trouble with the source began; None while it is well. Written by ``tell``.
        self._trouble_since: float | None = None
        self._answers = Counter(
            "grayplane_answers",
            "What proxies answered to responses: ack or nack, by resource type.",
            ["type", "answer"],
            registry=self.registry,
        )
        self._streams_opened = Counter("grayplane_streams_opened", "Streams opened.", registry=self.registry)
        self._applied = Counter(
            "grayplane_documents_applied", "Document versions put in force.", registry=self.registry
        )
        self._refused = Counter(
            "grayplane_documents_refused", "Edits that were not put in force.", registry=self.registry
        )
        self._push_delay = Histogram(
            "grayplane_push_delay_seconds",
            "From when an edit was seen until every proxy that it concerns acknowledged it.",
            buckets=_DELAYS,
            registry=self.registry,
        )
        self._loop_delay = Histogram(
            "grayplane_event_loop_delay_seconds",
            "How late event loops were, those of all processes, ten times a second.",
            buckets=_LOOP_DELAYS,
            registry=self.registry,
        )
        self._in_step = Gauge(
            "grayplane_source_in_step",
            "1 once what is served is what the source says.",
            ["source"],
            registry=self.registry,
        )
        self._in_step.labels(source).set(0)
        self._denied = Counter(
            "grayplane_streams_denied",
            "Streams refused for what their node claimed to be.",
            registry=self.registry,
        )
        info = Gauge(
            "grayplane_build_info", "The version of this server.", ["version"], registry=self.registry
        )
        info.labels(version("grayplane")).set(1)
        ProcessCollector(registry=self.registry)

    def observe(self, observed: Observed) -> None:
        """Read the rest from these when scraped."""
        self._status = observed.status
        self._nodes = observed.nodes
        self.registry.register(ObservedCollector(observed, self._source, self._trouble))

    def denied(self) -> None:
        """Count a client that may not be what it claims to be."""
        self._denied.inc()

    def loop_delays(self, delays: Iterable[float]) -> None:
        """Note how late the event loop of another process was."""
        for delay in delays:
            self._loop_delay.observe(delay)

    def tell(self, event: StatusEvent) -> None:
        """Count an event (``xds.status.Sink``)."""
        match event:
            case events.PushAcknowledged(_, acked):
                self._answers.labels(_type(acked.type_url), "ack").inc()
            case events.PushRejected(_, rejected, _):
                self._answers.labels(_type(rejected.type_url), "nack").inc()
            case events.StreamOpened():
                self._streams_opened.inc()
            case events.EditsTaken(seen):
                now = time.time()
                ages = {document: max(0.0, now - at) for document, at in seen.items()}
                self._taken = ages, time.monotonic()
            case events.DocumentApplied(document):
                self._applied.inc()
                self._follow(document)
            case events.DocumentRejected():
                self._refused.inc()
            case events.InStepWithSource():
                self._in_step.labels(self._source).set(1)
            case events.SourceTrouble(reason):
                self._trouble_since = (self._trouble_since or time.monotonic()) if reason else None
            case _:
                pass

    async def run(self) -> None:
        """Measure, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure_loop())
            tasks.create_task(self._follow_pushes())

    async def look_and_expose(self) -> tuple[bytes, str]:
        """Return the same as ``exposition``, having looked at thousands of nodes in pieces."""
        if self._nodes:
            await self._nodes.refresh()
        return self.exposition()

    def exposition(self) -> tuple[bytes, str]:
        """Return the metrics as Prometheus reads them, and the content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _follow(self, document: DocumentId) -> None:
        if len(self._pushes) < _MOST_PUSHES:
            ages, taken = self._taken
            age = ages.get(document)
            self._pushes[document] = time.monotonic() if age is None else taken - age

    def _trouble(self) -> float:
        return 0.0 if self._trouble_since is None else time.monotonic() - self._trouble_since

    async def _measure_loop(self) -> None:
        while True:
            due = time.monotonic() + _LOOP_PERIOD
            await asyncio.sleep(_LOOP_PERIOD)
            self._loop_delay.observe(max(0.0, time.monotonic() - due))

    async def _follow_pushes(self) -> None:
        while True:
            now = time.monotonic()
            young = any(now - began < _YOUNG for began in self._pushes.values())
            await asyncio.sleep(_QUICK if young else _SLOW)
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        for document, began in tuple(self._pushes.items()):
            status = self._status.document(document) if self._status else None
            if status is None or status.state in {DocumentState.REJECTED, DocumentState.QUARANTINED}:
                del self._pushes[document]
            elif status.state is DocumentState.PROGRAMMED:
                self._push_delay.observe(now - began)
                del self._pushes[document]


def _type(type_url: str) -> str:
    """Return the name of a resource type. Types that clients made up are counted together."""
    name = short(type_url)
    return name if name in _KNOWN_TYPES else "other"
