"""Metrics that are read when they are scraped, instead of counted when something happens."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from xds.http.api.nodes import Nodes
from xds.rollout.state import Phase
from xds.server_processes import ProcessState, ServerProcesses
from xds.sources.base import SourceStatus
from xds.status import DocumentState, Status
from xds.validation import EnvoyValidator


@dataclass(frozen=True, slots=True)
class Observed:
    """What is read. ``documents`` are counted by state and ``rollouts`` by phase.

    ``exposure`` is how often a flag was answered with a variant, ``pushes`` how many responses were sent,
    ``expiry`` until when the certificate in a file is valid, in seconds since the epoch.
    """

    status: Status
    nodes: Nodes
    source: Callable[[], SourceStatus]
    documents: Callable[[], Mapping[str, int]]
    rollouts: Callable[[], Mapping[str, int]]
    exposure: Mapping[tuple[str, str], int]
    pushes: Callable[[], int]
    expiry: Callable[[], Mapping[str, float]]
    validator: EnvoyValidator | None = None
    server_processes: ServerProcesses | None = None


class ObservedCollector(Collector):
    """Reads everything once for each scrape. ``trouble`` is for how many seconds the source is in trouble."""

    def __init__(self, observed: Observed, source: str, trouble: Callable[[], float]) -> None:
        self._observed = observed
        self._source = source
        self._trouble = trouble
        self._nodes = observed.nodes

    def describe(self) -> Iterator[Metric]:
        """Return nothing: registering must not read anything."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        observed = self._observed
        yield from self._of_nodes()
        text = "Responses sent to proxies."
        yield CounterMetricFamily("grayplane_pushes", text, observed.pushes())
        documents = {**{str(state): 0 for state in DocumentState}, **observed.documents()}
        text = "Documents by what became of their latest text."
        yield _gauges("grayplane_documents", text, "state", documents)
        quarantined = len(observed.status.quarantines())
        text = "Services of which a proxy rejected a version."
        yield GaugeMetricFamily("grayplane_quarantined_services", text, quarantined)
        phases = {**{str(phase): 0 for phase in Phase}, **observed.rollouts()}
        yield _gauges("grayplane_rollouts", "Rollouts by phase.", "phase", phases)
        yield from self._of_source()
        exposure = CounterMetricFamily(
            "grayplane_flag_evaluations", "Flags answered, by variant.", labels=["flag", "variant"]
        )
        for (flag, variant), count in sorted(observed.exposure.items()):
            exposure.add_metric([flag, variant], count)
        yield exposure
        if expiry := observed.expiry():
            text = "Until when the certificates in a file are valid, in seconds since the epoch."
            yield _gauges("grayplane_certificate_expiration_timestamp_seconds", text, "file", expiry)
        if observed.validator:
            yield from _of_validator(observed.validator)
        if observed.server_processes:
            yield from _of_processes(observed.server_processes)

    def _of_nodes(self) -> Iterator[Metric]:
        nodes = GaugeMetricFamily("grayplane_nodes", "Connected nodes.", labels=["role", "state"])
        streams = Counter[str]()
        counted = Counter[tuple[str, str]]()
        states = self._nodes.states()
        for node, of_node in self._nodes.all().items():
            role = of_node[0].role
            counted[role, states[node]] += 1
            streams[role] += len(of_node)
        for (role, state), count in sorted(counted.items()):
            nodes.add_metric([role, state], count)
        yield nodes
        yield _gauges("grayplane_streams", "Open streams.", "role", streams)

    def _of_source(self) -> Iterator[Metric]:
        status, trouble, name = self._observed.source(), self._trouble(), self._source
        gauges = {
            "healthy": ("1 while the source can be read.", float(not trouble)),
            "trouble_seconds": ("For how long the source could not be read.", trouble),
            "servers": ("Servers of the source that are connected.", float(len(status.servers))),
            "documents": ("Documents that the source holds.", float(status.documents)),
            "services": ("Services that the source has.", float(status.services)),
            "watched_services": ("Services whose instances are watched.", float(status.watched)),
            "lag_seconds": (
                "Age of the oldest announced change not read yet.",
                status.oldest_unread,
            ),
        }
        if status.last_reconcile is not None:
            text = "When everything there is was last looked at, in seconds since the epoch."
            gauges["last_reconcile_timestamp_seconds"] = (text, status.last_reconcile)
        for suffix, (text, value) in gauges.items():
            yield _gauges(f"grayplane_source_{suffix}", text, "source", {name: value})
        text = "Changes that were found by a look at everything, and not by an announcement."
        repaired = CounterMetricFamily("grayplane_source_repairs", text, labels=["source"])
        repaired.add_metric([name], status.repaired)
        yield repaired


def _of_validator(validator: EnvoyValidator) -> Iterator[Metric]:
    text = "1 while an Envoy can be asked before a change is pushed."
    yield GaugeMetricFamily("grayplane_validation_working", text, float(validator.trouble is None))
    text = "Versions of services before they were pushed, by what Envoy said, if it could be asked."
    results = CounterMetricFamily("grayplane_validation_versions", text, labels=["result"])
    for result in ("passed", "refused", "unchecked"):
        results.add_metric([result], getattr(validator, result))
    yield results
    text = "How long Envoy ran for it."
    yield CounterMetricFamily("grayplane_validation_seconds", text, validator.seconds)


def _of_processes(processes: ServerProcesses) -> Iterator[Metric]:
    states = processes.states()
    gauges: dict[str, tuple[str, Callable[[ProcessState], float]]] = {
        "running": ("1 while a server process serves.", lambda state: state.running),
        "streams": ("Open streams of a server process.", lambda state: state.streams),
        "resident_memory_bytes": ("Memory of a server process.", lambda state: state.memory),
    }
    for suffix, (text, value) in gauges.items():
        by_number = {str(state.number): value(state) for state in states}
        yield _gauges(f"grayplane_server_process_{suffix}", text, "process", by_number)
    cpu = CounterMetricFamily(
        "grayplane_server_process_cpu_seconds", "CPU time of a server process.", labels=["process"]
    )
    for state in states:
        cpu.add_metric([str(state.number)], state.cpu)
    yield cpu
    text = "Server processes that were started again."
    yield CounterMetricFamily("grayplane_server_process_restarts", text, processes.restarts)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in sorted(values.items()):
        family.add_metric([value], number)
    return family
