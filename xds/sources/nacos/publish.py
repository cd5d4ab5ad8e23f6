"""Publishing rule documents, as an author does in the console."""

from collections.abc import Mapping
from pathlib import PurePath

from xds.sources.nacos.connection import CONFIG_NOT_FOUND, AnswerError, Connection, connected
from xds.sources.nacos.sdk import ConfigPublishRequest, ConfigQueryRequest
from xds.sources.nacos.settings import NacosSettings

_TYPES = {".yaml": "yaml", ".yml": "yaml", ".json": "json"}


async def publish_missing(settings: NacosSettings, documents: Mapping[str, str]) -> tuple[str, ...]:
    """Publish the documents (content by dataId) that the group of rules does not have, and name them.

    Raises ``NacosError``: after the time of a request when no server can be reached.
    """
    published = []
    async with connected(settings, "config") as connection:
        await connection.ready(settings.request_timeout)
        for data_id in sorted(documents):
            if not await _exists(connection, settings, data_id):
                await publish(connection, settings, data_id, documents[data_id])
                published.append(data_id)
    return tuple(published)


async def publish(connection: Connection, settings: NacosSettings, data_id: str, content: str) -> None:
    """Publish one document over a connection of the config module. Raises ``NacosError``."""
    request = ConfigPublishRequest(
        group=settings.rules_group,
        dataId=data_id,
        tenant=settings.config_tenant,
        content=content,
        casMd5="",
    )
    # What the console shows it as.
    request.additionMap["type"] = _TYPES.get(PurePath(data_id).suffix, "text")
    await connection.config(request)


async def _exists(connection: Connection, settings: NacosSettings, data_id: str) -> bool:
    request = ConfigQueryRequest(group=settings.rules_group, dataId=data_id, tenant=settings.config_tenant)
    try:
        await connection.config(request)
    except AnswerError as error:
        if error.code == CONFIG_NOT_FOUND:
            return False
        raise
    return True
