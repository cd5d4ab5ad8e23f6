"""Service instances in Nacos, kept up with.

A subscription is also a read: its answer holds all instances. After a push, and in turn by the audit, the
service is read again; after a lost connection it is subscribed to again. What a push itself holds is not
used: it may be older than an answer that overtook it.

A server that was restarted has forgotten the instances that registered themselves, until they register
again. For a while after a reconnect, what is missing is therefore kept (``DeletionGuard``).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged
from xds.sources.deletion_guard import DeletionGuard
from xds.sources.endpoint import LocalitySources, address_problem, port_problem, weight_problem
from xds.sources.health import SourceHealth
from xds.sources.nacos.connection import Connection
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.poll_timer import PollTimer
from xds.sources.nacos.read_queue import ReadQueue
from xds.sources.nacos.sdk import (
    NotifySubscriberRequest,
    NotifySubscriberResponse,
    Request,
    Response,
    ServiceListRequest,
    ServiceQueryRequest,
    SubscribeServiceRequest,
)
from xds.sources.nacos.settings import NacosSettings

_PAGE = 1000
_NO_CLUSTER = "DEFAULT"
"""The cluster of an instance that was registered without one."""

_log = structlog.get_logger("xds.sources.nacos")


class Instances:
    """Emits the instances of all services of the group and every change of them."""

    def __init__(
        self,
        settings: NacosSettings,
        credentials: Credentials,
        emit: Callable[[Event], None],
        health: SourceHealth,
        *,
        namespace: str = "",
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._health = health
        self._namespace = namespace
        self._connection = Connection(
            settings,
            credentials,
            "naming",
            pushed=self._pushed,
            opened=self._opened,
            report=lambda reason: self._health.report(self._subject("connection"), reason, away=True),
        )
        # What was emitted last, by service. Written by `_take`.
        self._known: dict[str, tuple[Instance, ...]] = {}
        # The services of the last listing. Written by `_reconcile`.
        self._listed: set[str] = set()
        # What the server was told to push changes of, on this connection.
        self._subscribed: set[str] = set()
        # Services of which instances are kept that the server does not name. Written by `_take`.
        self._withheld: set[str] = set()
        # Services to read again, since the server did not answer, or answered with an error.
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        # Services that the current round of the audit has still to read.
        self._to_audit: deque[str] = deque()
        self._deletions = DeletionGuard(settings.settle)
        self._timer = PollTimer(settings.poll)
        self._reads = ReadQueue(self._read)
        # What the last audit found changed and no push told of since. Written by `_take`, `_pushed`.
        self._unannounced: set[str] = set()
        # Set once every service that existed at the start has been emitted.
        self.complete = asyncio.Event()
        # How many updates no push told of, found by the audit.
        self.repaired = 0
        # When the last look at the list of services ended, as Unix time; None before the first.
        self.last_reconcile: float | None = None

    @property
    def connection(self) -> Connection:
        """The connection that services are read by."""
        return self._connection

    @property
    def count(self) -> int:
        """How many services there are."""
        return len(self._known)

    @property
    def unread_since(self) -> float | None:
        """Since when the longest unread change waits, in loop time; None when none does."""
        return self._reads.oldest

    async def run(self) -> None:
        """Keep up until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._connection.run())
            with self._reads.within(tasks):
                async for _ in self._timer:
                    try:
                        await self._reconcile()
                    except NacosError as error:
                        self._timer.failed()
                        away = isinstance(error, UnreachableError)
                        self._health.report(self._subject("list"), str(error), away=away)
                    else:
                        self._health.report(self._subject("list"), None)

    def _subject(self, about: str) -> str:
        return f"services {self._namespace} {self._settings.naming_group}: {about}"

    def _pushed(self, request: Request) -> Response | None:
        if not isinstance(request, NotifySubscriberRequest):
            return None
        if request.serviceInfo is not None:
            service = _bare(request.serviceInfo.name)
            self._unannounced.discard(service)
            self._reads.mark(service)
        return NotifySubscriberResponse()

    def _opened(self) -> None:
        _log.info("connected to Nacos", server=str(self._connection.server), reads="services")
        self._subscribed.clear()
        # A new connection tells of no change made before it.
        self._unannounced.clear()
        if self._known:
            self._deletions.lost()
        self._timer.hurry()

    async def _reconcile(self) -> None:
        await self._connection.ready(self._settings.request_timeout)
        self._listed = await self._list()
        now = asyncio.get_running_loop().time()
        missing = len(self._known.keys() - self._listed)
        self._deletions.seen(present=len(self._listed), missing=missing, now=now)
        self._health.report(self._subject("missing"), self._missing_text())
        due = (self._listed | self._known.keys()) - self._subscribed
        if self._deletions.accepts(now):
            due |= self._withheld | (self._known.keys() - self._listed)
        self._note_unannounced()
        audited = self._audit() - due - self._unread - self._reads.keys
        before = {service: self._known[service] for service in audited}
        self._unannounced = set(audited)
        await self._reads.read(due | audited | self._unread | self._unreadable)
        self._unannounced = {each for each in self._unannounced if self._known.get(each) != before[each]}
        if self._known.keys() | self._unreadable >= self._listed:
            self.complete.set()
        if self._unread:
            self._timer.failed()
        self.last_reconcile = time.time()

    def _note_unannounced(self) -> None:
        """Count what the audit before this one found and no push has told of since."""
        self.repaired += len(self._unannounced)
        for service in sorted(self._unannounced):
            _log.warning("update found by the audit: Nacos announced none", service=service)

    def _missing_text(self) -> str | None:
        if not self._deletions.away:
            return None
        group = self._settings.naming_group
        return (
            f"Nacos came back without any service in group {group}; none counts as gone until one registers"
        )

    def _audit(self) -> set[str]:
        """Return the services whose turn it is to be asked for again."""
        if not self._to_audit:
            self._to_audit.extend(sorted(self._known))
        turns = max(1.0, self._settings.audit / self._settings.poll)
        share = min(len(self._to_audit), -int(-len(self._known) // turns))
        return {self._to_audit.popleft() for _ in range(share)} & self._known.keys()

    async def _list(self) -> set[str]:
        names: set[str] = set()
        number = 1
        while True:
            response = await self._connection.naming(
                ServiceListRequest(**self._about(""), pageNo=number, pageSize=_PAGE)
            )
            page = response.serviceNames or ()
            names.update(map(_bare, page))
            if not page or number * _PAGE >= response.count:
                return names
            number += 1

    async def _read(self, service: str) -> None:
        try:
            hosts = await (self._query(service) if service in self._subscribed else self._subscribe(service))
            reported, problems = _instances(hosts, self._settings.localities)
            await self._take(service, reported)
        except (UnreachableError, RefusedError) as error:
            self._unread.add(service)
            away = isinstance(error, UnreachableError)
            self._health.report(self._subject("read"), str(error), away=away)
        except NacosError as error:
            self._unreadable.add(service)
            self._health.report(self._subject(service), f"service {service} cannot be read: {error}")
        else:
            self._unread.discard(service)
            self._unreadable.discard(service)
            wrong = f"service {service}: not routed to: {'; '.join(problems)}" if problems else None
            self._health.report_all(
                {self._subject(service): wrong} | ({} if self._unread else {self._subject("read"): None})
            )

    async def _query(self, service: str) -> Iterable[Any]:
        # Not by subscribing again: a server may answer that with a push, and so on for ever.
        request = ServiceQueryRequest(**self._about(service), cluster="", healthOnly=False)
        return _hosts(await self._connection.naming(request, service))

    async def _subscribe(self, service: str) -> Iterable[Any]:
        request = SubscribeServiceRequest(**self._about(service), clusters="", subscribe=True)
        request.put_header("app", "grayplane")
        response = await self._connection.naming(request, service)
        self._subscribed.add(service)
        return _hosts(response)

    async def _unsubscribe(self, service: str) -> None:
        self._subscribed.discard(service)
        request = SubscribeServiceRequest(**self._about(service), clusters="", subscribe=False)
        await self._connection.naming(request, service)

    def _about(self, service: str) -> dict[str, str]:
        return {
            "namespace": self._settings.naming_namespace,
            "groupName": self._settings.naming_group,
            "serviceName": service,
        }

    async def _take(self, service: str, reported: tuple[Instance, ...]) -> None:
        known = self._known.get(service)
        accepted = self._deletions.accepts(asyncio.get_running_loop().time())
        if not reported and service not in self._listed and accepted:
            if known is not None:
                del self._known[service]
                self._withheld.discard(service)
                self._emit(InstancesChanged(ServiceId(self._namespace, service), None))
            await self._unsubscribe(service)
            return
        instances = reported if accepted else _with_missing(reported, known or ())
        if accepted and self._is_protected(service, reported, known or ()):
            instances = _with_missing(reported, known or ())
        if instances == reported:
            self._withheld.discard(service)
        else:
            self._withheld.add(service)
        self._known[service] = instances
        if instances != known:
            self._emit(InstancesChanged(ServiceId(self._namespace, service), instances))

    def _is_protected(
        self, service: str, reported: tuple[Instance, ...], known: tuple[Instance, ...]
    ) -> bool:
        """Whether a service lost more of its serving instances at once than is believed."""
        there = {(instance.address, instance.port) for instance in reported if instance.serving}
        serving = {(instance.address, instance.port) for instance in known if instance.serving}
        lost = len(serving - there)
        is_protected = lost > len(serving) * self._settings.protect_threshold
        self._health.report(
            self._subject(f"protection of {service}"),
            f"service {service} lost {lost} of {len(serving)} instances at once; they are kept until some "
            "are back (nacos.protect_threshold)"
            if is_protected
            else None,
        )
        return is_protected


def _bare(service: str) -> str:
    """Return the name without its group, which some answers put before it."""
    return service.rpartition("@@")[2]


def _hosts(response: Any) -> Iterable[Any]:
    return response.serviceInfo.hosts if response.serviceInfo else ()


def _instances(hosts: Iterable[Any], localities: LocalitySources) -> tuple[tuple[Instance, ...], list[str]]:
    """Return the SDK's instances that can be routed to, in a fixed order, and what is wrong with the rest."""
    found: dict[tuple[str, int], Instance] = {}
    problems: list[str] = []
    for host in hosts:
        problem = address_problem(host.ip) or port_problem(host.port) or weight_problem(host.weight)
        if problem:
            problems.append(problem)
            continue
        metadata = {str(name): str(value) for name, value in host.metadata.items()}
        instance = Instance(
            host.ip,
            host.port,
            host.weight,
            host.healthy and host.enabled,
            metadata,
            localities.of(metadata, "" if host.clusterName in {None, _NO_CLUSTER} else host.clusterName),
        )
        other = found.get((host.ip, host.port))
        # Registered in two of Nacos's clusters, a process is there once; it serves if either says so.
        if other is None or not other.serving:
            found[host.ip, host.port] = instance
    return tuple(found[endpoint] for endpoint in sorted(found)), problems


def _with_missing(reported: tuple[Instance, ...], known: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Return the instances that are reported, and those that are not any more."""
    there = {(instance.address, instance.port) for instance in reported}
    kept = [instance for instance in known if (instance.address, instance.port) not in there]
    return tuple(sorted([*reported, *kept], key=lambda instance: (instance.address, instance.port)))
