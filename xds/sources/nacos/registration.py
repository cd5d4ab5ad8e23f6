"""Registering an instance of a service, for the services that we ship as samples."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from xds.rules.instance import Instance
from xds.sources.nacos.connection import Connection, connected
from xds.sources.nacos.errors import NacosError, UnreachableError
from xds.sources.nacos.sdk import Instance as NacosInstance
from xds.sources.nacos.sdk import InstanceRequest, NamingRemoteConstants
from xds.sources.nacos.settings import NacosSettings

_RETRY = 1.0


@asynccontextmanager
async def registered(
    settings: NacosSettings,
    service: str,
    instance: Instance,
    report: Callable[[str | None], None],
    unreachable: Callable[[str | None], None] | None = None,
) -> AsyncIterator[None]:
    """Keep an instance registered for the length of a block, from when Nacos can first be reached.

    It is ephemeral: Nacos forgets it when the connection is lost, and it is registered again when there
    is a new one. ``report`` is told why it is not registered, and None when it is; ``unreachable``, if
    given, instead of it when no server answers. Each use has its own connection, since Nacos keeps one
    instance of a service for each.
    """
    wanted = asyncio.Event()
    unreachable = unreachable or report
    async with connected(settings, "naming", opened=wanted.set, report=unreachable) as connection:
        request = _Registration(connection, settings, service, instance)
        keeping = asyncio.create_task(_keep(request, wanted, report, unreachable))
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            with suppress(NacosError):  # Without a connection it is forgotten anyway.
                await request.send(NamingRemoteConstants.DE_REGISTER_INSTANCE)


class _Registration:
    def __init__(
        self, connection: Connection, settings: NacosSettings, service: str, instance: Instance
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._service = service
        self._instance = instance

    async def send(self, kind: str) -> None:
        instance = NacosInstance(
            ip=self._instance.address,
            port=self._instance.port,
            weight=self._instance.weight,
            healthy=self._instance.healthy,
            metadata=dict(self._instance.metadata),
            clusterName="DEFAULT",
            serviceName=self._service,
        )
        request = InstanceRequest(
            namespace=self._settings.naming_namespace,
            serviceName=self._service,
            groupName=self._settings.naming_group,
            instance=instance,
            type=kind,
        )
        await self._connection.naming(request, self._service)


async def _keep(
    registration: _Registration,
    wanted: asyncio.Event,
    report: Callable[[str | None], None],
    unreachable: Callable[[str | None], None],
) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await registration.send(NamingRemoteConstants.REGISTER_INSTANCE)
            report(None)
        except NacosError as error:
            tell = unreachable if isinstance(error, UnreachableError) else report
            tell(str(error))
            await asyncio.sleep(_RETRY)
            wanted.set()
