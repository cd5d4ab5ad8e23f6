"""The gRPC methods of xDS: the aggregated service and one service per resource type."""

from collections.abc import Iterator
from typing import NamedTuple

from xds import type_urls
from xds.protocol import DELTA, STATE_OF_THE_WORLD, Variant
from xds.wire.descriptors import RpcMethod

_MESSAGES = "envoy.service.discovery.v3."


class DiscoveryMethod(NamedTuple):
    """One streaming method; ``type_url`` is None where each request names its type (ADS)."""

    service: str
    name: str
    variant: Variant
    type_url: str | None

    @property
    def rpc(self) -> RpcMethod:
        """The method as gRPC knows it."""
        prefix = _MESSAGES + ("Delta" if self.variant is DELTA else "")
        return RpcMethod(self.service, self.name, f"{prefix}DiscoveryRequest", f"{prefix}DiscoveryResponse")


_AGGREGATED = "envoy.service.discovery.v3.AggregatedDiscoveryService"

# Service, what its methods are named after, type. Virtual hosts are discovered incrementally only.
_PER_TYPE = (
    ("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", type_urls.CLUSTER),
    ("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", type_urls.ENDPOINT),
    ("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", type_urls.LISTENER),
    ("envoy.service.route.v3.RouteDiscoveryService", "Routes", type_urls.ROUTE),
    ("envoy.service.route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", type_urls.SCOPED_ROUTE),
    ("envoy.service.route.v3.VirtualHostDiscoveryService", "VirtualHosts", type_urls.VIRTUAL_HOST),
    ("envoy.service.secret.v3.SecretDiscoveryService", "Secrets", type_urls.SECRET),
    ("envoy.service.runtime.v3.RuntimeDiscoveryService", "Runtime", type_urls.RUNTIME),
    ("envoy.service.extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs", type_urls.EXTENSION),
)


def methods() -> Iterator[DiscoveryMethod]:
    """Yield every xDS method that is served."""
    yield DiscoveryMethod(_AGGREGATED, "StreamAggregatedResources", STATE_OF_THE_WORLD, None)
    yield DiscoveryMethod(_AGGREGATED, "DeltaAggregatedResources", DELTA, None)
    for service, noun, type_url in _PER_TYPE:
        yield DiscoveryMethod(service, f"Delta{noun}", DELTA, type_url)
        if type_url != type_urls.VIRTUAL_HOST:
            yield DiscoveryMethod(service, f"Stream{noun}", STATE_OF_THE_WORLD, type_url)
