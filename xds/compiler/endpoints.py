"""Load assignments: the instances of a cluster, spliced from endpoints that are each encoded once.

Of a thousand instances one changes at a time, so an endpoint's bytes are kept by what they were made from
and an assignment is their concatenation (protobuf, "Encoding": a repeated field is its elements in turn).
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from envoy_data_plane.envoy.config.core.v3 import Address, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment, Endpoint, LbEndpoint

from xds.rules.instance import Instance
from xds.wire import delimited, encode

_LB_ENDPOINTS = 2  # LocalityLbEndpoints.lb_endpoints
_ENDPOINTS = 2  # ClusterLoadAssignment.endpoints

# Nacos weights have decimals and end at 10,000; Envoy's are integers.
_WEIGHT_SCALE = 100
_MAX_WEIGHT = 10_000 * _WEIGHT_SCALE
_MAX_WEIGHT_SUM = 2**32 - 1  # of a locality; Envoy rejects more


def load_assignment(cluster: str, instances: Iterable[Instance]) -> bytes:
    """Encode the ClusterLoadAssignment of a cluster: the serving instances that have an address for Envoy.

    In the order of their addresses; of two instances with one address and port the heavier counts. Nacos
    weights become load-balancing weights unless all are the same.
    """
    weights: dict[tuple[str, int], float] = {}
    for instance in instances:
        address = ip_address(instance)
        if address is not None and instance.serving:
            key = (address, instance.port)
            weights[key] = max(instance.weight, weights.get(key, 0.0))
    header = encode(ClusterLoadAssignment(cluster_name=cluster))
    if not weights:
        return header
    return header + delimited(_ENDPOINTS, _locality(weights))


def ip_address(instance: Instance) -> str | None:
    """Return the instance's address in canonical form, None if Envoy could not use it in EDS.

    EDS resolves no names and knows no IPv6 zones, and one wrong endpoint costs the whole assignment.
    """
    if not 0 < instance.port < 65536:
        return None
    return _canonical(instance.address)


def unusable(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the serving instances that no assignment can hold, for whoever reports them."""
    return tuple(instance for instance in instances if instance.serving and ip_address(instance) is None)


def lb_endpoint(address: str, port: int, weight: int | None = None) -> LbEndpoint:
    """Build the endpoint at an IP address."""
    socket = SocketAddress(address=address, port_value=port)
    endpoint = Endpoint(address=Address(socket_address=socket))
    return LbEndpoint(endpoint=endpoint, load_balancing_weight=weight)


def selected(instances: Sequence[Instance], labels: Mapping[str, str]) -> list[Instance]:
    """Return the serving instances whose metadata has all the labels."""
    wanted = labels.items()
    return [instance for instance in instances if instance.serving and wanted <= instance.metadata.items()]


def _locality(weights: Mapping[tuple[str, int], float]) -> bytes:
    alike = len(set(weights.values())) == 1
    limit = min(_MAX_WEIGHT, _MAX_WEIGHT_SUM // len(weights))
    return b"".join(
        _encoded(address, port, None if alike else _integer(weight, limit))
        for (address, port), weight in sorted(weights.items())
    )


def _integer(weight: float, limit: int) -> int:
    return max(1, round(min(weight * _WEIGHT_SCALE, limit)))


@lru_cache(maxsize=1 << 17)
def _encoded(address: str, port: int, weight: int | None) -> bytes:
    return delimited(_LB_ENDPOINTS, encode(lb_endpoint(address, port, weight)))


@lru_cache(maxsize=1 << 17)
def _canonical(address: str) -> str | None:
    if "%" in address:
        return None
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None
