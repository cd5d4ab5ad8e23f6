"""Documents and instances from Nacos, and what writes to it: authors, statuses, a service that registers."""

from xds.sources.nacos.config_client import (
    ConfigClient,
    ConflictError,
    HistoryEntry,
    NacosAuthor,
    Stored,
    nacos_author,
    publish_missing,
)
from xds.sources.nacos.connection import connected
from xds.sources.nacos.errors import NacosError
from xds.sources.nacos.registration import registered
from xds.sources.nacos.settings import NacosSettings, Tls
from xds.sources.nacos.source import NacosSource
from xds.sources.nacos.status_documents import StatusDocuments

__all__ = [
    "ConfigClient",
    "ConflictError",
    "HistoryEntry",
    "NacosAuthor",
    "NacosError",
    "NacosSettings",
    "NacosSource",
    "StatusDocuments",
    "Stored",
    "Tls",
    "connected",
    "nacos_author",
    "publish_missing",
    "registered",
]
