"""Where Envoy is to fetch what a resource refers to: over the ADS stream it got the resource by."""

from envoy_data_plane.envoy.config.core.v3 import AggregatedConfigSource, ApiVersion, ConfigSource

from xds.wire import build

ADS = build(ConfigSource, ads=build(AggregatedConfigSource), resource_api_version=ApiVersion.V3)
