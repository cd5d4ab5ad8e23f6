"""Rules and instances from Nacos, and what writes to it: publishing examples, registering a service."""

from xds.sources.nacos.errors import NacosError
from xds.sources.nacos.publish import publish_missing
from xds.sources.nacos.registration import registered
from xds.sources.nacos.settings import NacosSettings
from xds.sources.nacos.source import NacosSource

__all__ = ["NacosError", "NacosSettings", "NacosSource", "publish_missing", "registered"]
