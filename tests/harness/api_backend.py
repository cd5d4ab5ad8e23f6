"""A backend of the API with any number of services, documents and proxies, for tests of API and dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from xds.documents import DocumentId, revision_of
from xds.http.access import Caller
from xds.http.api import models
from xds.http.api.backend import Conflict
from xds.rules.instance import ServiceId

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
TEXT = """\
service: reviews
subsets:
  stable: {labels: {version: v1}}
  gray: {labels: {version: v2}}
baseline: stable
http:
  - name: ramp
    route:
      - {subset: stable, weight: 95}
      - {subset: gry, weight: 5}
"""
BROKEN = models.Problem(
    severity="error",
    line=10,
    column=18,
    field="http[0].route[1].subset",
    problem='there is no subset "gry"',
    hint="did you mean gray?",
    text="      - {subset: gry, weight: 5}",
)
REFUSAL = "<script>alert(1)</script> is no listener"
PROBLEMS = {
    "Rejected": '10:18: there is no subset "gry" (did you mean gray?)',
    "Quarantined": f"line 9: edge-0: {REFUSAL}",
}
STATES: Sequence[models.State] = ("Programmed", "Programmed", "Programming", "Quarantined", "Rejected")


@dataclass
class SampleBackend:
    """Every fifth document is of another state, every tenth proxy is behind, every hundredth rejects."""

    services: int = 3
    proxies: int = 3
    gray: float = 5.0
    refuses: str = ""
    acted: list[tuple[str, str, str]] = field(default_factory=list)
    published: dict[DocumentId, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = len(str(max(self.services, self.proxies)))
        names = ["reviews", *(f"service-{n:0{width}}" for n in range(1, self.services))]
        self._services = sorted(ServiceId("", name) for name in names)
        self._documents = [DocumentId("", f"{service.name}.yaml") for service in self._services]
        self._proxies = [f"edge-{n:0{width}}" for n in range(self.proxies)]

    def forget(self, service: str) -> None:
        """Have no such service; its document stays, as one that was never in force."""
        self._services.remove(ServiceId("", service))

    def overview(self, caller: str, role: str) -> models.Overview:
        return models.Overview(
            version="1.0",
            replica="grayplane-0",
            ready=True,
            services=models.Counts(total=self.services, by_state={}),
            documents=_counts([self._state(each) for each in self._documents]),
            proxies=_counts([self._proxy_state(each) for each in self._proxies]),
            sources=[models.Source(name="nacos", trouble=None, serving_from="source")],
            caller=caller,
            role=role,
            can_publish=True,
            can_roll_out=True,
        )

    def service_ids(self) -> Sequence[ServiceId]:
        return self._services

    def service_summary(self, service: ServiceId) -> models.ServiceSummary:
        document = DocumentId("", f"{self._known(service).name}.yaml")
        return models.ServiceSummary(
            namespace="",
            name=service.name,
            document=document.name,
            state=self._state(document),
            splits=self._splits(self.gray),
            instances=3,
            rollout="Observing" if service.name == "reviews" else None,
        )

    def service(self, service: ServiceId) -> models.Service:
        steps = (0.0, 1.0, self.gray)
        return models.Service(
            **self.service_summary(service).model_dump(by_alias=False),
            hosts=[f"{service.name}.example.com"],
            subsets=[
                models.Subset(name="stable", labels={"version": "v1"}, instances=2, baseline=True),
                models.Subset(name="gray", labels={"version": "v2"}, instances=1, baseline=False),
            ],
            trend=[
                models.SplitChange(at=NOW + timedelta(minutes=10 * n), splits=self._splits(gray))
                for n, gray in enumerate(steps)
            ],
            proxies=models.Convergence(programmed=2, of=self.proxies, behind=self._proxies[:1]),
        )

    def document_ids(self, state: str | None) -> Sequence[DocumentId]:
        return [each for each in self._documents if state in {None, self._state(each)}]

    def document_summary(self, document: DocumentId) -> models.DocumentSummary:
        if document not in self._documents:
            raise KeyError(document)
        state = self._state(document)
        return models.DocumentSummary(
            namespace="",
            name=document.name,
            kind="rules",
            revision=revision_of(TEXT.encode()),
            state=state,
            errors=1 if state == "Rejected" else 0,
            warnings=0,
            problem=PROBLEMS.get(state, ""),
        )

    def document(self, document: DocumentId) -> models.Document:
        summary = self.document_summary(document)
        quarantined = models.Rejection(proxy="edge-0", resources=["listener edge"], reason=REFUSAL, line=9)
        return models.Document(
            **summary.model_dump(by_alias=False),
            problems=[BROKEN] if summary.errors else [],
            in_force="81c0d4d4d4d4d4d4",
            proxies=models.Convergence(programmed=2, of=self.proxies, behind=self._proxies[:1]),
            rejections=[quarantined] if summary.state == "Quarantined" else [],
            text=self.published.get(document, TEXT),
            at=NOW,
        )

    async def look_at_proxies(self) -> None:
        pass

    def proxy_ids(self, state: str | None) -> Sequence[str]:
        return [each for each in self._proxies if state in {None, self._proxy_state(each)}]

    def proxy_summary(self, proxy: str) -> models.ProxySummary:
        if proxy not in self._proxies:
            raise KeyError(proxy)
        return models.ProxySummary(
            id=proxy,
            group="edge",
            role="edge",
            state=self._proxy_state(proxy),
            address="127.0.0.1:40312",
            namespace="",
            version="1.40.0",
            streams=1,
            connected_at=NOW,
            behind_since=NOW if self._proxy_state(proxy) == "behind" else None,
        )

    def proxy(self, proxy: str) -> models.Proxy:
        summary = self.proxy_summary(proxy)
        behind = summary.state == "behind"
        revision = revision_of(TEXT.encode())
        lacking = models.Lacking(
            document="reviews.yaml", namespace="", revision=revision, state="Programming"
        )
        running = models.Running(document="service-1.yaml", namespace="", revision=revision)
        method = "StreamAggregatedResources"
        return models.Proxy(
            **summary.model_dump(by_alias=False),
            connections=[
                models.Stream(
                    method=method, opened_at=NOW, in_step=not behind, behind_since=summary.behind_since
                )
            ],
            runs=[running],
            lacks=[lacking] if behind else [],
            rejections=[],
        )

    def rollout_ids(self) -> Sequence[ServiceId]:
        return [ServiceId("", "reviews")]

    def rollout_summary(self, service: ServiceId) -> models.RolloutSummary:
        if service not in self.rollout_ids():
            raise KeyError(service)
        return models.RolloutSummary(
            namespace="",
            service="reviews",
            revision="version=v2",
            phase="Observing",
            step=2,
            of=4,
            weight=25,
            since=NOW,
            verdict="Passed",
            why="success rate 99.9 %, baseline 99.9 %",
        )

    def rollout(self, service: ServiceId) -> models.Rollout:
        return models.Rollout(
            **self.rollout_summary(service).model_dump(by_alias=False),
            steps=["5 % for 10m", "25 % for 30m", "50 %, approval", "100 %"],
            samples=[
                models.RolloutSample(
                    at=NOW + timedelta(seconds=30 * n),
                    weight=5 if n < 10 else 25,
                    gray_requests=1000 + n,
                    gray_success=99.9 - n / 50,
                    baseline_success=99.9,
                    gray_p99=0.2 + n / 200,
                    baseline_p99=0.2,
                )
                for n in range(20)
            ],
            actions=["pause", "promote", "abort"],
            history=[],
        )

    async def act(self, service: ServiceId, action: str, caller: Caller, reason: str) -> None:
        self.rollout_summary(service)
        if self.refuses or action == "approve":
            raise Conflict(self.refuses or "step 2 waits for no approval")
        self.acted.append((action, caller.name, reason))

    async def lint(self, document: DocumentId, text: str) -> models.LintResult:
        bad = "gry" in text
        return models.LintResult(
            ok=not bad, revision=revision_of(text.encode()), problems=[BROKEN] if bad else []
        )

    async def diff(self, document: DocumentId, text: str) -> models.DiffResult:
        return models.DiffResult(changes=["ramp: 20 % of the users move from stable to gray"])

    async def explain(self, request: models.ExplainRequest) -> models.ExplainResult:
        self._known(ServiceId(request.namespace, request.service))
        return models.ExplainResult(
            rule="ramp",
            considered=[
                models.Considered(rule="testers", matched=False, percent=0, why="header x-release is absent"),
                models.Considered(rule="ramp", matched=True, percent=100, why="it matches every request"),
            ],
            chances=[
                models.Chance(to="reviews|stable", percent=95),
                models.Chance(to="reviews|gray", percent=5),
            ],
            action="route",
            notes=[],
        )

    async def publish(self, document: DocumentId, text: str, revision: str | None) -> str:
        if revision != revision_of(TEXT.encode()):
            raise Conflict("somebody else changed it meanwhile")
        self.published[document] = text
        return revision_of(text.encode())

    def _known(self, service: ServiceId) -> ServiceId:
        if service not in self._services:
            raise KeyError(service)
        return service

    def _state(self, document: DocumentId) -> models.State:
        return STATES[self._documents.index(document) % 5]

    def _proxy_state(self, proxy: str) -> models.ProxyState:
        number = int(proxy.rpartition("-")[2])
        return "rejected" if number % 100 == 99 else "behind" if number % 10 == 1 else "in step"

    def _splits(self, gray: float) -> list[models.Split]:
        return [models.Split(rule="ramp", weights={"gray": gray, "stable": 100 - gray})]


def _counts(states: Sequence[str]) -> models.Counts:
    return models.Counts(total=len(states), by_state={state: states.count(state) for state in set(states)})
