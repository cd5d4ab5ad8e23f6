"""What is decided for one service: an ordered list of decisions, and the versions that they choose from.

Made from a rule document (``xds.routing.from_rules``), or from whatever else says such things. Compiler,
evaluator and exports read only this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from xds.routing.predicates import Header, Identity, Percentage, Predicate, leaves
from xds.routing.splits import TOTAL
from xds.rules.model import TrafficPolicy


class Target(NamedTuple):
    """Where requests go: a subset, or with None all instances of a service without subsets.

    ``fallback`` takes the requests when no instance of the subset can serve: another subset, or None for
    nobody. The baseline has none.
    """

    service: str
    subset: str | None
    fallback: str | None = None


class Share(NamedTuple):
    """A target and its part of ``TOTAL``; at least 1."""

    target: Target
    share: int


@dataclass(frozen=True, slots=True)
class Split:
    """Where the requests of a decision go. The shares add up to ``TOTAL``.

    The shares stand in a fixed order, gray subsets by name and then the baseline. A request goes to the share
    in which its hash modulo ``TOTAL`` lies, counted from the first: raising a gray share adds users to it and
    takes none away. Requests without the ``identity``, and all if it is None, are split by chance.
    ``cookie_ttl`` gives those without the cookie one that keeps them where they are; only with a cookie.
    """

    shares: tuple[Share, ...]
    identity: Identity | None = None
    cookie_ttl: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """When a request is tried again: conditions in Envoy's words (``5xx``, ``reset``, ``unavailable``)."""

    attempts: int
    conditions: tuple[str, ...]
    per_try_timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of ``share`` of ``TOTAL`` requests goes to ``target`` too; its answers are thrown away."""

    target: Target
    share: int = TOTAL


@dataclass(frozen=True, slots=True)
class Delay:
    """``share`` of ``TOTAL`` requests wait for ``duration`` before they go on."""

    duration: timedelta
    share: int = TOTAL


@dataclass(frozen=True, slots=True)
class Abort:
    """``share`` of ``TOTAL`` requests are answered with this status, HTTP or gRPC, and go no further."""

    http_status: int | None = None
    grpc_status: int | None = None
    share: int = TOTAL


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Changes of headers: ``remove`` first, then ``set`` (replaces), then ``add`` (one more line)."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What the service is asked for instead.

    ``path`` replaces the whole path, or, with ``prefix``, that many characters at its beginning: the
    decision holds only for paths that begin with ``prefix``, in whatever case. ``path_regex`` is an RE2
    expression and its substitution (``\\1``) for each place in the path; ``authority`` is the host. The query
    string stays.
    """

    path: str | None = None
    prefix: str | None = None
    path_regex: tuple[str, str] | None = None
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the requests to the service. ``timeout`` None: no limit; ``retries`` None: the safe ones only."""

    split: Split
    timeout: timedelta | None = None
    retries: Retries | None = None
    mirror: Mirror | None = None
    delay: Delay | None = None
    abort: Abort | None = None
    request_headers: HeaderChanges = field(default_factory=HeaderChanges)
    response_headers: HeaderChanges = field(default_factory=HeaderChanges)
    rewrite: Rewrite = field(default_factory=Rewrite)

    def targets(self) -> Iterator[Target]:
        """Yield where requests may go, copies included."""
        yield from (share.target for share in self.split.shares)
        if self.mirror:
            yield self.mirror.target


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the client elsewhere: the parts of the URL that change, and the status code."""

    path: str | None = None
    authority: str | None = None
    scheme: str | None = None
    status: int = 301
    response_headers: HeaderChanges = field(default_factory=HeaderChanges)


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answer with a status and a text without asking the service."""

    status: int
    body: str = ""
    response_headers: HeaderChanges = field(default_factory=HeaderChanges)


Action = Forward | Redirect | DirectResponse


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a request if ``when`` holds. ``name`` is the rule's, in logs and metrics."""

    name: str
    when: Predicate
    action: Action

    def identities(self) -> Iterator[Identity]:
        """Yield what users are told apart by."""
        for leaf in leaves(self.when):
            if isinstance(leaf, Percentage) and leaf.identity is not None:
                yield leaf.identity
        if isinstance(self.action, Forward) and self.action.split.identity is not None:
            yield self.action.split.identity


@dataclass(frozen=True, slots=True)
class Routing:
    """What is decided for one service."""

    service: str
    decisions: tuple[Decision, ...]
    """The first that holds decides; the last one holds for every request."""
    subsets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The versions, by name: the metadata that an instance must have."""
    policies: Mapping[str | None, TrafficPolicy] = field(default_factory=dict)
    """How proxies talk to the instances of a subset, or, under None, of the service; only what was said."""
    baseline: str | None = None
    """The subset that serves what no rule decides."""
    hosts: tuple[str, ...] = ()
    """What the service is called at the edge."""
    gateways: frozenset[str] = frozenset()
    """The proxy groups that serve ``hosts``."""
    aliases: tuple[str, ...] = ()
    """What it is called in the mesh, besides by its name."""
    group: str | None = None
    """The naming group that its instances come from; None: the preferred one."""
    has_rule: bool = False
    """Whether somebody wrote a rule document for it."""
    changes_at: datetime | None = None
    """When the same document decides otherwise by itself (schedules), in UTC; None: never."""
    measured: bool = False
    """Whether proxies report how long its requests take."""
    bucket_by: Header | None = None
    """What edges make the bucket header of (``xds.routing.buckets``)."""

    def targets(self) -> frozenset[Target]:
        """Return where requests may go, copies included."""
        forwards = (one.action for one in self.decisions if isinstance(one.action, Forward))
        return frozenset(target for forward in forwards for target in forward.targets())
