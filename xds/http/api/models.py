"""What the API answers and takes. JSON names are in camel case, as in rule documents and status documents.

Times are RFC 3339. Percentages are of 100. ``namespace`` is '' for the default one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A JSON object of the API."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
    )


Item = TypeVar("Item")


class Page(Model, Generic[Item]):
    """A part of a list. ``next`` is the value of ``after`` for the part that follows, None at the end."""

    items: Sequence[Item]
    total: int
    next: str | None


State = Literal["Rejected", "Waiting", "Programming", "Programmed", "Quarantined"]
"""Of a document: rejected by us; waiting for another that it conflicts with; on its way to proxies; in force
at all of them; rejected by a proxy."""


class Problem(Model):
    """What is wrong with a document; ``line`` and ``column`` count from 1, 0 means all of it."""

    severity: Literal["error", "warning"]
    line: int
    column: int
    field: str
    problem: str
    hint: str = ""
    text: str = ""
    """The line itself."""


class WrongField(Model):
    """A parameter, or a part of the body, that cannot be; ``field`` is such as ``query.limit``."""

    field: str
    problem: str


class ProblemDetails(Model):
    """Why something cannot be answered as asked (RFC 9457); ``detail`` says what would be right.

    ``errors`` are those of the request, ``problems`` those of a document that should be published, ``login``
    is where browsers log in.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[WrongField] = ()
    problems: Sequence[Problem] = ()
    login: str | None = None


class Rejection(Model):
    """Resources that a proxy did not take, in its words.

    ``line`` of the document is what the words are about; 0 if that is not known.
    """

    proxy: str
    resources: Sequence[str]
    reason: str
    line: int = 0


class Convergence(Model):
    """How many of the proxies that see something run it; ``behind`` names some of the others."""

    programmed: int
    of: int
    behind: Sequence[str]


class DocumentSummary(Model):
    """A document in a list. ``problem`` is the first thing that is wrong with it; '' if nothing is."""

    namespace: str
    name: str
    kind: str
    revision: str
    state: State
    errors: int
    warnings: int
    problem: str = ""


class Document(DocumentSummary):
    """A document and what became of it. ``in_force`` is the revision that serves, None for none."""

    problems: Sequence[Problem]
    in_force: str | None
    proxies: Convergence
    rejections: Sequence[Rejection]
    text: str | None
    at: datetime


class Split(Model):
    """The weights of one rule as they are in force, in percent by subset, rollout and fallbacks included."""

    rule: str
    weights: Mapping[str, float]


class SplitChange(Model):
    """From when on a split was in force."""

    at: datetime
    splits: Sequence[Split]


class Subset(Model):
    """A version of a service. ``instances`` are those that take traffic."""

    name: str
    labels: Mapping[str, str]
    instances: int
    baseline: bool


class ServiceSummary(Model):
    """A service in a list; ``document`` and ``state`` are None without rules.

    ``instances`` None: not known, since the service is registered and not watched: nothing needs it.
    """

    namespace: str
    name: str
    document: str | None
    state: State | None
    splits: Sequence[Split]
    instances: int | None
    rollout: str | None


class Service(ServiceSummary):
    """A service."""

    hosts: Sequence[str]
    subsets: Sequence[Subset]
    trend: Sequence[SplitChange]
    """The last changes of its splits, oldest first."""
    proxies: Convergence


ProxyState = Literal["in step", "behind", "rejected", "unknown"]
"""Of a proxy; unknown: it does not say what it is in a way that can be served."""


class ProxySummary(Model):
    """A proxy or gRPC client in a list, all its streams together."""

    id: str
    group: str
    role: str
    state: ProxyState
    namespace: str
    address: str
    version: str
    streams: int
    connected_at: datetime
    behind_since: datetime | None


class Stream(Model):
    """One open stream of a proxy."""

    method: str
    opened_at: datetime
    in_step: bool
    behind_since: datetime | None


class Running(Model):
    """A document in force that a proxy runs, and its revision."""

    document: str
    namespace: str
    revision: str


class Lacking(Running):
    """A document whose revision in force a proxy does not run yet."""

    state: State


class Proxy(ProxySummary):
    """A proxy: its streams, what it runs and lacks (the first of each), what it rejected and why."""

    connections: Sequence[Stream]
    runs: Sequence[Running]
    lacks: Sequence[Lacking]
    rejections: Sequence[Rejection]


class Source(Model):
    """Where documents and instances come from. ``trouble`` is why it cannot be read, None if it can."""

    name: str
    trouble: str | None
    serving_from: str


class Counts(Model):
    """How many there are, by state."""

    total: int
    by_state: Mapping[str, int]


class Who(Model):
    """The caller. ``in_session``: logged in in a browser; ``login``: where browsers log in, if they can."""

    name: str
    role: Literal["viewer", "operator"]
    in_session: bool
    login: str | None


class Overview(Model):
    """Everything at a glance."""

    version: str
    replica: str
    ready: bool
    services: Counts
    documents: Counts
    proxies: Counts
    sources: Sequence[Source]
    caller: str
    role: str
    can_publish: bool
    can_roll_out: bool


class RolloutSummary(Model):
    """A rollout of a ``revision``; ``step`` counts from 1, 0 for one that is over."""

    namespace: str
    service: str
    revision: str
    phase: str
    step: int
    of: int
    weight: float
    since: datetime | None
    verdict: str
    why: str


class RolloutSample(Model):
    """What one interval of the analysis saw, gray beside baseline; None where it was not measured.

    ``gray_requests`` has evaluations of applications in it as well (OFREP).
    """

    at: datetime
    weight: float
    gray_requests: int
    gray_success: float | None
    baseline_success: float | None
    gray_p99: float | None
    baseline_p99: float | None


class Rollout(RolloutSummary):
    """A rollout with its numbers and what may be done now."""

    steps: Sequence[str]
    samples: Sequence[RolloutSample]
    actions: Sequence[str]
    history: Sequence[RolloutSummary]


class AuditRecord(Model):
    """A change that was asked for."""

    at: datetime
    who: str
    address: str
    action: str
    target: str
    reason: str
    outcome: str


Text = Annotated[str, Field(max_length=10 << 20)]


class LintRequest(Model):
    """A document to check beside those in force."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    text: Text
    namespace: str = ""


class LintResult(Model):
    """What is wrong with a document."""

    ok: bool
    revision: str
    problems: Sequence[Problem]


class DiffRequest(LintRequest):
    """A document to compare with the one in force."""


class DiffResult(Model):
    """What a document would change, in words."""

    changes: Sequence[str]


class ExplainRequest(Model):
    """A request to one service, as a client would send it.

    ``text`` is a document to use instead of the one in force.
    """

    service: Annotated[str, Field(min_length=1, max_length=256)]
    namespace: str = ""
    method: str = "GET"
    uri: str = "/"
    headers: Mapping[str, str] = {}
    source_ip: str | None = None
    text: Text | None = None


class Considered(Model):
    """One rule that was looked at: whether it matched, for how many percent of such requests, and why."""

    rule: str
    matched: bool
    percent: float
    why: str


class Chance(Model):
    """Where a request may go, and how likely, in percent."""

    to: str
    percent: float


class ExplainResult(Model):
    """What happens to a request."""

    rule: str | None
    considered: Sequence[Considered]
    chances: Sequence[Chance]
    action: str
    notes: Sequence[str]


class PublishRequest(Model):
    """A new text of a document. ``revision`` is the one that it replaces, None for a new document."""

    text: Text
    revision: str | None = None
    reason: Annotated[str, Field(max_length=1000)] = ""


class ActionRequest(Model):
    """Why something is asked for; it goes into the audit log."""

    reason: Annotated[str, Field(max_length=1000)] = ""
