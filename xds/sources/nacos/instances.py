"""Service instances in Nacos, kept up with: those of the services to be watched (``WatchedServices``).

A subscription is also a read: its answer holds all instances. After a push of anything new, and in turn by
the audit, the service is read again; after a lost connection it is subscribed to again. What a push itself
holds is not used: it may be older than an answer that overtook it. A service that somebody needs by name is
subscribed to before it is registered, so that Nacos tells of its first instance at once.

A server that was restarted has forgotten the instances that registered themselves, until they register
again. For a while after a reconnect, what is missing is therefore kept (``DeletionGuard``).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Set
from typing import Any

import structlog

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged, InstancesUnreadable
from xds.sources.deletion_guard import DeletionGuard
from xds.sources.health import SourceHealth
from xds.sources.nacos.connection import Connection
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError, UnreachableError
from xds.sources.nacos.naming_answers import bare, hosts_of, instances_of, with_missing
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
from xds.sources.watched_services import WatchedServices

_PAGE = 1000

_MOST_AHEAD = 1_000
"""Services that are subscribed to before they are registered, at most: proxies may name any. The registration
of others is found by the list."""

_log = structlog.get_logger("xds.sources.nacos")


class Instances:
    """Emits the instances of the watched services of a group, and every change of them."""

    def __init__(
        self,
        settings: NacosSettings,
        credentials: Credentials,
        emit: Callable[[Event], None],
        health: SourceHealth,
        watched: WatchedServices,
        *,
        namespace: str = "",
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._health = health
        self._watched = watched
        self._namespace = namespace
        self._connection = Connection(
            settings,
            credentials,
            "naming",
            pushed=self._pushed,
            opened=self._opened,
            report=lambda reason: self._health.report(self._subject("connection"), reason, away=True),
        )
        # What was emitted last, by service. Written by ``_take``.
        self._known: dict[str, tuple[Instance, ...]] = {}
        # Services to be watched by name that are not registered, as far as is known. Written by ``_take``.
        self._absent: set[str] = set()
        # All services that are registered, by the last listing. Written by ``_reconcile``.
        self._listed: set[str] = set()
        # What the server was told to push changes of, on this connection.
        self._subscribed: set[str] = set()
        # Services of which instances are kept that the server does not name. Written by ``_take``.
        self._withheld: set[str] = set()
        # Services to read again, since the server did not answer, or answered with an error.
        self._unread: set[str] = set()
        self._unreadable: set[str] = set()
        # Services that the current round of the audit has still to read.
        self._to_audit: deque[str] = deque()
        self._deletions = DeletionGuard(settings.settle)
        self._timer = PollTimer(settings.poll)
        self._reads = ReadQueue(self._read)
        # What the last audit found changed and no push told of since. Written by ``_take``, ``_pushed``.
        self._unannounced: set[str] = set()
        # Set once every service that was to be watched by then has been emitted.
        self.complete = asyncio.Event()
        # How many updates no push told of, found by the audit.
        self.repaired = 0
        # When the last look at the list of services ended, as Unix time; None before the first.
        self.last_reconcile: float | None = None
        watched.follow(namespace, self._added)

    @property
    def connection(self) -> Connection:
        """The connection that services are read by."""
        return self._connection

    @property
    def count(self) -> int:
        """How many services there are."""
        return len(self._listed | self._known.keys())

    @property
    def watched(self) -> int:
        """How many of them are watched."""
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
            service = bare(request.serviceInfo.name)
            self._unannounced.discard(service)
            if service in self._reads.keys or not self._is_known(service, request.serviceInfo.hosts):
                self._reads.mark(service)
        return NotifySubscriberResponse()

    def _opened(self) -> None:
        _log.info("connected to Nacos", server=str(self._connection.server), reads="services")
        self._subscribed.clear()
        self._absent.clear()  # they are subscribed to again
        # A new connection tells of no change made before it.
        self._unannounced.clear()
        if self._known:
            self._deletions.lost()
        self._timer.hurry()

    def _added(self, names: Set[str]) -> None:
        """Have services read that are to be watched from now on; none named: all that are registered."""
        if not names:
            self._timer.hurry()
        elif self._connection.server:  # else all are read once there is a connection
            for name in sorted(names):
                if name not in self._subscribed or name in self._reads.keys:
                    self._reads.mark(name)

    def _is_known(self, service: str, hosts: Iterable[Any]) -> bool:
        """Whether what is pushed is nothing new, as after a subscription, or about what is not watched."""
        if not self._is_watched(service) and service not in self._subscribed:
            return True
        known = () if service in self._absent else self._known.get(service)
        return known == instances_of(hosts, self._settings.localities)[0]

    def _is_one_too_many(self, service: str) -> bool:
        """Whether a service is not registered, and too many of those are subscribed to already."""
        if service in self._listed or service in self._known or service in self._subscribed:
            return False
        return self._is_watched(service) and len(self._absent) >= _MOST_AHEAD

    def _is_watched(self, service: str) -> bool:
        """Whether a service is to be watched: by its name, or as one of all that there are."""
        if self._watched.is_named(ServiceId(self._namespace, service)):
            return True
        is_there = service in self._listed or service in self._known
        return is_there and self._watched.everything(self._namespace)

    async def _reconcile(self) -> None:
        await self._connection.ready(self._settings.request_timeout)
        self._listed = await self._list()
        self._watched.list(self._namespace, self._settings.naming_group, self._listed)
        self._watched.expire()
        wanted = self._watched.names(self._namespace)
        if everything := self._watched.everything(self._namespace):
            wanted |= self._listed
        now = asyncio.get_running_loop().time()
        missing = len(self._known.keys() - self._listed)
        self._deletions.seen(present=len(self._listed), missing=missing, now=now)
        self._health.report(self._subject("missing"), self._missing_text())
        held = self._known.keys() | self._absent | self._subscribed
        unwanted = set() if everything else held - wanted
        due = (wanted - self._absent | self._known.keys()) - self._subscribed
        due |= (self._absent & self._listed) | unwanted
        if self._deletions.accepts(now):
            due |= self._withheld | (self._known.keys() - self._listed)
        self._note_unannounced()
        audited = self._audit() - due - self._unread - self._reads.keys
        before = {service: self._known[service] for service in audited}
        self._unannounced = set(audited)
        await self._reads.read(due | audited | self._unread | self._unreadable)
        self._unannounced = {each for each in self._unannounced if self._known.get(each) != before[each]}
        if self._known.keys() | self._absent | self._unreadable >= wanted:
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
            names.update(map(bare, page))
            if not page or number * _PAGE >= response.count:
                return names
            number += 1

    async def _read(self, service: str) -> None:
        problems: list[str] = []
        try:
            if self._is_one_too_many(service):
                await self._take_absent(service)
            elif self._is_watched(service):
                is_subscribed = service in self._subscribed
                hosts = await (self._query(service) if is_subscribed else self._subscribe(service))
                reported, problems = instances_of(hosts, self._settings.localities)
                await self._take(service, reported)
            else:
                await self._let_go(service)
        except (UnreachableError, RefusedError) as error:
            self._unread.add(service)
            away = isinstance(error, UnreachableError)
            self._health.report(self._subject("read"), str(error), away=away)
        except NacosError as error:
            self._unreadable.add(service)
            if service not in self._known and service not in self._absent:
                self._emit(InstancesUnreadable(ServiceId(self._namespace, service)))
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
        return hosts_of(await self._connection.naming(request, service))

    async def _subscribe(self, service: str) -> Iterable[Any]:
        request = SubscribeServiceRequest(**self._about(service), clusters="", subscribe=True)
        request.put_header("app", "grayplane")
        response = await self._connection.naming(request, service)
        self._subscribed.add(service)
        return hosts_of(response)

    async def _unsubscribe(self, service: str) -> None:
        request = SubscribeServiceRequest(**self._about(service), clusters="", subscribe=False)
        await self._connection.naming(request, service)
        self._subscribed.discard(service)

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
            await self._take_absent(service)
            return
        self._absent.discard(service)
        instances = reported if accepted else with_missing(reported, known or ())
        if accepted and self._is_protected(service, reported, known or ()):
            instances = with_missing(reported, known or ())
        if instances == reported:
            self._withheld.discard(service)
        else:
            self._withheld.add(service)
        self._known[service] = instances
        if instances != known:
            self._emit(InstancesChanged(ServiceId(self._namespace, service), instances))

    async def _take_absent(self, service: str) -> None:
        """Take that a service is not registered. Who needs it by name is told of its first instance."""
        if not self._watched.is_named(ServiceId(self._namespace, service)):
            await self._let_go(service)
        elif service not in self._absent:
            self._absent.add(service)
            self._known.pop(service, None)
            self._withheld.discard(service)
            self._emit(InstancesChanged(ServiceId(self._namespace, service), None))

    async def _let_go(self, service: str) -> None:
        """Have no more told of a service, and forget it."""
        if service in self._subscribed:
            await self._unsubscribe(service)
        elif service not in self._known and service not in self._absent:
            return
        self._known.pop(service, None)
        self._absent.discard(service)
        self._withheld.discard(service)
        self._health.report(self._protection_of(service), None)
        self._emit(InstancesChanged(ServiceId(self._namespace, service), None, complete=False))

    def _protection_of(self, service: str) -> str:
        return self._subject(f"protection of {service}")

    def _is_protected(
        self, service: str, reported: tuple[Instance, ...], known: tuple[Instance, ...]
    ) -> bool:
        """Whether a service lost more of its serving instances at once than is believed."""
        there = {(instance.address, instance.port) for instance in reported if instance.serving}
        serving = {(instance.address, instance.port) for instance in known if instance.serving}
        lost = len(serving - there)
        is_protected = lost > len(serving) * self._settings.protect_threshold
        self._health.report(
            self._protection_of(service),
            f"service {service} lost {lost} of {len(serving)} instances at once; they are kept until some "
            "are back (nacos.protect_threshold)"
            if is_protected
            else None,
        )
        return is_protected
