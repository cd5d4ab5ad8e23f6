"""The backend of a running control plane."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from xds.documents import DocumentId, kind_of, revision_of
from xds.documents.problem import Severity
from xds.http.access import Caller
from xds.http.api import explain as explanations
from xds.http.api import models
from xds.http.api import rollouts as rollout_views
from xds.http.api.backend import Conflict, Unavailable
from xds.http.api.documents import first_problem, problems_of, refusals_of
from xds.http.api.nodes import Nodes, connections_of, moment, rejections_of, summary_of
from xds.http.api.splits import SplitHistory, splits_in_force
from xds.http.events import Events, Topic
from xds.http.readiness import Readiness
from xds.pipeline import Pipeline
from xds.rollout import Command, Rollouts
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.status import DocumentState, Status

_PERIOD = 1.0  # seconds between two looks at what changed
_MOST_LACKING = 50
_MOST_RUNNING = 500
_NOBODY = models.Convergence(programmed=0, of=0, behind=())

Publish = Callable[[DocumentId, str, str | None], Awaitable[str]]
"""Publishes a text of a document that replaces a revision; returns the new one."""


@dataclass(frozen=True, slots=True)
class _Summary:
    """What lists and counts need of a document."""

    state: DocumentState
    errors: int
    warnings: int


class LiveBackend:
    """Answers from status and pipeline. ``publish`` is None where documents are not published from here."""

    def __init__(
        self,
        pipeline: Pipeline,
        status: Status,
        rollouts: Rollouts,
        events: Events,
        *,
        nodes: Nodes,
        readiness: Callable[[], Readiness],
        source: str,
        publish: Publish | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._status = status
        self._rollouts = rollouts
        self._readiness = readiness
        self._source = source
        self._events = events
        self._publish = publish
        self._feed = status.feed()
        self._nodes = nodes
        # By document, brought up to date by ``refresh``.
        self._summaries: dict[DocumentId, _Summary] = {}
        self._history = SplitHistory()
        # What was last told of each rollout. Written by ``_note_rollouts``.
        self._rollouts_seen: dict[ServiceId, tuple[int, float, int]] = {}

    async def run(self) -> None:
        """Notice what changes, until cancelled."""
        while True:
            self.refresh()
            await asyncio.sleep(_PERIOD)

    def refresh(self) -> None:
        """Bring lists and counts up to date: this costs what changed since the last call."""
        services: set[ServiceId] = set()
        for document in self._status.changed_documents(self._feed):
            status = self._status.document(document)
            if status is None:
                self._summaries.pop(document, None)
            else:
                severities = Counter(problem.severity for problem in status.problems)
                self._summaries[document] = _Summary(
                    status.state, severities[Severity.ERROR], severities[Severity.WARNING]
                )
                services.update(status.services)
            self._events.tell(Topic.DOCUMENTS, str(document))
        self._note_rollouts(services)
        now = datetime.now(UTC)
        for service in services:
            self._history.record(service, self._splits(service), now)
            self._events.tell(Topic.SERVICES, str(service))

    def _note_rollouts(self, services: set[ServiceId]) -> None:
        """Tell of rollouts that changed, and add their services."""
        for service in self._rollouts.ids():
            state = self._rollouts.state(service)
            seen = (state.serial, state.weight, len(self._rollouts.samples(service)))
            if self._rollouts_seen.get(service) != seen:
                self._rollouts_seen[service] = seen
                self._events.tell(Topic.ROLLOUTS, str(service))
                services.add(service)

    def documents_by_state(self) -> Mapping[str, int]:
        """Return how many documents there are, by state."""
        self.refresh()
        return Counter(str(summary.state) for summary in self._summaries.values())

    def rollouts_by_phase(self) -> Mapping[str, int]:
        """Return how many rollouts there are, by phase."""
        return Counter(str(self._rollouts.state(service).phase) for service in self._rollouts.ids())

    def overview(self, caller: str, role: str) -> models.Overview:
        """Return everything at a glance."""
        readiness = self._readiness()
        states = self.documents_by_state()
        nodes = Counter(self._nodes.states().values())
        return models.Overview(
            version=version("grayplane"),
            replica=socket.gethostname(),
            ready=readiness.ready,
            services=models.Counts(total=len(self.service_ids()), by_state={}),
            documents=models.Counts(total=len(self._summaries), by_state=states),
            proxies=models.Counts(total=nodes.total(), by_state=nodes),
            sources=[
                models.Source(
                    name=self._source, trouble=readiness.trouble, serving_from=readiness.served_from
                )
            ],
            caller=caller,
            role=role,
            can_publish=self._publish is not None,
            can_roll_out=True,
        )

    def service_ids(self) -> Sequence[ServiceId]:
        """Return all services with rules or instances, and those that are only registered."""
        return sorted(self._pipeline.known_services)

    def service_summary(self, service: ServiceId) -> models.ServiceSummary:
        """Return one service for a list."""
        if not self._pipeline.exists(service):
            raise KeyError(service)
        rule = self._pipeline.documents.rule(service)
        document = self._pipeline.documents.document_of(service) if rule else None
        serving = sum(instance.serving for instance in self._pipeline.instances_of(service))
        return models.ServiceSummary(
            namespace=service.namespace,
            name=service.name,
            document=document.name if document else None,
            state=self._state(document) if document else None,
            splits=self._splits(service),
            instances=serving if self._pipeline.is_watched(service) else None,
            rollout=self._phase(service),
        )

    def service(self, service: ServiceId) -> models.Service:
        """Return one service."""
        summary = self.service_summary(service)
        rule = self._pipeline.documents.rule(service)
        serving = [each for each in self._pipeline.instances_of(service) if each.serving]
        subsets = [
            models.Subset(
                name=name,
                labels=subset.labels,
                instances=sum(subset.selects(instance.metadata) for instance in serving),
                baseline=name == (rule.baseline if rule else None),
            )
            for name, subset in (rule.subsets.items() if rule else ())
        ]
        document = self._pipeline.documents.document_of(service) if rule else None
        return models.Service(
            **summary.model_dump(by_alias=False),
            hosts=rule.hosts if rule else (),
            subsets=subsets,
            trend=self._history.of(service),
            proxies=self.document(document).proxies if document else _NOBODY,
        )

    def document_ids(self, state: str | None) -> Sequence[DocumentId]:
        """Return all documents, or those in a state."""
        self.refresh()
        summaries = self._summaries.items()
        return sorted(document for document, summary in summaries if state in {None, summary.state})

    def document_summary(self, document: DocumentId) -> models.DocumentSummary:
        """Return one document for a list."""
        summary, status = self._summaries[document], self._status.document(document)
        return models.DocumentSummary(
            namespace=document.namespace,
            name=document.name,
            kind=str(kind_of(document.name) or ""),
            revision=(status.revision if status else None) or "",
            state=summary.state.value,
            errors=summary.errors,
            warnings=summary.warnings,
            problem=first_problem(status) if status else "",
        )

    def document(self, document: DocumentId) -> models.Document:
        """Return one document."""
        self.refresh()
        status = self._status.document(document)
        if status is None:
            raise KeyError(document)
        text = self._pipeline.texts.get(document)
        return models.Document(
            **self.document_summary(document).model_dump(by_alias=False),
            problems=problems_of(status.problems, text or b""),
            in_force=status.quarantine.served if status.quarantine else status.in_force,
            proxies=models.Convergence(
                programmed=status.proxies.programmed,
                of=status.proxies.of,
                behind=[behind.node for behind in status.proxies.behind],
            ),
            rejections=list(refusals_of(status)),
            text=None if text is None else text.decode(errors="replace"),
            at=moment(status.at),
        )

    async def look_at_proxies(self) -> None:
        """Look at the connected nodes, if that was not done just now."""
        await self._nodes.refresh()

    def proxy_ids(self, state: str | None) -> Sequence[str]:
        """Return all connected nodes, or those in a state."""
        return [node for node, at in self._nodes.states().items() if state in {None, at}]

    def proxy_summary(self, proxy: str) -> models.ProxySummary:
        """Return one node for a list."""
        return summary_of(proxy, self._nodes.all()[proxy])

    def proxy(self, proxy: str) -> models.Proxy:
        """Return one node."""
        streams = self._nodes.all()[proxy]
        runs, lacks = self._runs(proxy)
        return models.Proxy(
            **summary_of(proxy, streams).model_dump(by_alias=False),
            connections=connections_of(streams),
            runs=runs,
            lacks=lacks,
            rejections=rejections_of(streams),
        )

    def rollout_ids(self) -> Sequence[ServiceId]:
        """Return services that have or had a rollout."""
        return self._rollouts.ids()

    def rollout_summary(self, service: ServiceId) -> models.RolloutSummary:
        """Return one rollout for a list."""
        return rollout_views.summary_of(service, self._rollouts.state(service))

    def rollout(self, service: ServiceId) -> models.Rollout:
        """Return one rollout."""
        return rollout_views.rollout_of(self._rollouts, service)

    async def act(self, service: ServiceId, action: str, caller: Caller, reason: str) -> None:
        """Do something to a rollout."""
        command = Command(action, caller.name, caller.address, reason)
        await rollout_views.act(self._rollouts, service, command)
        self._events.tell(Topic.ROLLOUTS, str(service))

    async def lint(self, document: DocumentId, text: str) -> models.LintResult:
        """Check a text as a new version of a document, beside those in force."""
        content = text.encode()
        _, found = await self._pipeline.check(document, content)
        ok = not any(problem.severity is Severity.ERROR for problem in found)
        return models.LintResult(ok=ok, revision=revision_of(content), problems=problems_of(found, content))

    async def diff(self, document: DocumentId, text: str) -> models.DiffResult:
        """Say what a text would change for whom."""
        parsed, found = await self._pipeline.check(document, text.encode())
        if parsed.rule is None:
            raise Conflict("; ".join(map(str, found)) or f"{document} has no rules to compare")
        service = ServiceId(document.namespace, parsed.rule.service)
        before, after = self._pipeline.routing(service), self._pipeline.routing(service, parsed.rule)
        # In a thread: it asks for thousands of requests.
        return models.DiffResult(changes=await asyncio.to_thread(explanations.compared, before, after))

    async def explain(self, request: models.ExplainRequest) -> models.ExplainResult:
        """Say what happens to a request."""
        service = ServiceId(request.namespace, request.service)
        if request.text is None:
            if not self._pipeline.exists(service):
                raise KeyError(service)
            return explanations.explained(self._pipeline.routing(service), request)
        document = DocumentId(request.namespace, f"{request.service}.yaml")
        parsed, found = await self._pipeline.check(document, request.text.encode())
        if parsed.rule is None:
            raise Conflict("; ".join(map(str, found)))
        return explanations.explained(self._pipeline.routing(service, parsed.rule), request)

    async def publish(self, document: DocumentId, text: str, revision: str | None) -> str:
        """Publish a text where documents come from; return its revision."""
        if self._publish is None:
            raise Unavailable(f"the source {self._source} is not published to from here: edit it there")
        return await self._publish(document, text, revision)

    def _splits(self, service: ServiceId) -> tuple[models.Split, ...]:
        rule = self._pipeline.documents.rule(service)
        overrides = (
            rollout_views.overrides_of(self._rollouts, service) if rule and rule.rollout else Overrides()
        )
        return splits_in_force(rule, overrides, self._pipeline.instances_of(service))

    def _phase(self, service: ServiceId) -> str | None:
        try:
            return self._rollouts.state(service).phase.value
        except KeyError:
            return None

    def _state(self, document: DocumentId) -> models.State | None:
        status = self._status.document(document)
        return status.state.value if status else None

    def _runs(self, proxy: str) -> tuple[list[models.Running], list[models.Lacking]]:
        """Return what a node runs of what is in force, and what not yet; the first of each."""
        self.refresh()
        runs: list[models.Running] = []
        lacks: list[models.Lacking] = []
        for each in self._status.documents_of(proxy):
            document, namespace = each.document.name, each.document.namespace
            if each.has and len(runs) < _MOST_RUNNING:
                runs.append(models.Running(document=document, namespace=namespace, revision=each.revision))
            elif not each.has and len(lacks) < _MOST_LACKING:
                state = self._summaries[each.document].state.value
                lacks.append(
                    models.Lacking(
                        document=document, namespace=namespace, revision=each.revision, state=state
                    )
                )
        return runs, lacks
