"""The Nacos source: rule documents from its configuration, instances from its naming."""

import asyncio
from collections.abc import Callable

import aiohttp

from xds.sources.base import Event, Synced
from xds.sources.health import SourceHealth
from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.http import Http
from xds.sources.nacos.instances import Instances
from xds.sources.nacos.listing import Listing
from xds.sources.nacos.rules import Rules
from xds.sources.nacos.settings import NacosSettings


class NacosSource:
    """Rules from every document of a group, the document's id being its dataId; instances of every service
    of a group. See docs/nacos.md.

    Nacos being away, refusing us, or back with less than it had changes nothing: it is reported as
    ``Trouble`` and mends itself.
    """

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings

    async def run(self, emit: Callable[[Event], None]) -> None:
        """See ``Source.run``."""
        health = SourceHealth(emit)
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            http = Http(self._settings, session)
            credentials = Credentials(self._settings, http)
            rules = Rules(
                self._settings, credentials, Listing(self._settings, http, credentials), emit, health
            )
            instances = Instances(self._settings, credentials, emit, health)
            tasks.create_task(rules.run())
            tasks.create_task(instances.run())
            await rules.complete.wait()
            await instances.complete.wait()
            emit(Synced())
