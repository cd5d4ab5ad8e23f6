"""The Nacos source: documents from its configuration, instances from its naming."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import aiohttp

from xds.sources.base import Event, SourceStatus, Synced
from xds.sources.health import SourceHealth
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.documents import Documents
from xds.sources.nacos.group_merge import GroupMerge
from xds.sources.nacos.http import Http
from xds.sources.nacos.instances import Instances
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.settings import NacosSettings
from xds.sources.watched_services import Needs, WatchedServices


class NacosSource:
    """Documents of a group, by dataId, and instances of services of some groups. See docs/nacos.md.

    With several settings, which differ in their namespace, it follows all of them, and ids carry the
    namespace. With one, ids have the default namespace. ``watched`` are the services to be watched; None: all
    that are registered.

    Nacos being away, refusing us, or back with less than it had changes nothing: it is reported as
    ``Trouble`` and mends itself.
    """

    def __init__(self, *settings: NacosSettings, watched: WatchedServices | None = None) -> None:
        self._settings = settings
        self._watched = watched or self._everything()
        # Of documents one for each namespace, of instances one for each group of it. Written by ``run``.
        self._documents: Sequence[Documents] = ()
        self._instances: Sequence[Instances] = ()

    def _everything(self) -> WatchedServices:
        watched = WatchedServices()
        for settings in self._settings:
            namespace = self._namespace_of(settings)
            watched.hold(namespace, Needs(namespace))
        return watched

    def _namespace_of(self, settings: NacosSettings) -> str:
        return settings.namespace if len(self._settings) > 1 else ""

    async def run(self, emit: Callable[[Event], None]) -> None:
        """See ``Source.run``."""
        health = SourceHealth(emit)
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            documents: list[Documents] = []
            instances: list[Instances] = []
            for settings in self._settings:
                namespace = self._namespace_of(settings)
                http = Http(settings, session)
                credentials = Credentials(settings, http, partial(health.report, f"login {namespace}"))
                listing = Listing(settings, http, credentials)
                documents.append(Documents(settings, credentials, listing, emit, health, namespace=namespace))
                groups = settings.naming_groups or (settings.naming_group,)
                merge = GroupMerge(groups, emit, health, self._watched)
                for group in groups:
                    one = replace(settings, naming_group=group)
                    take = merge.of(group)
                    part = Instances(one, credentials, take, health, self._watched, namespace=namespace)
                    instances.append(part)
            self._documents, self._instances = documents, instances
            parts: list[Documents | Instances] = [*documents, *instances]
            for each in parts:
                tasks.create_task(each.run())
            for each in parts:
                await each.complete.wait()
            emit(Synced())

    def ignored(self, namespace: str) -> Mapping[str, str]:
        """Return the names in a namespace that somebody may take for documents, and why they are not read."""
        found = (each.names.ignored for each in self._documents if each.namespace == namespace)
        return next(found, {})

    def status(self) -> SourceStatus:
        """See ``Source.status``."""
        parts: list[Documents | Instances] = [*self._documents, *self._instances]
        connections = [each.connection for each in parts]
        now = asyncio.get_running_loop().time()
        waiting = [each.unread_since for each in parts if each.unread_since is not None]
        reconciled = [each.last_reconcile for each in parts]
        return SourceStatus(
            servers=tuple(sorted({str(each.server) for each in connections if each.server})),
            documents=sum(each.count for each in self._documents),
            services=sum(each.count for each in self._instances),
            watched=sum(each.watched for each in self._instances),
            last_reconcile=None if None in reconciled else min(filter(None, reconciled), default=None),
            oldest_unread=now - min(waiting) if waiting else 0.0,
            repaired=sum(each.repaired for each in parts),
        )
