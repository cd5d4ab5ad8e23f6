"""Route configurations: encoded virtual hosts, spliced into the resource that Envoy fetches."""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from xds.wire import delimited, encode

_VIRTUAL_HOSTS = 2  # RouteConfiguration.virtual_hosts


def route_configuration(name: str, virtual_hosts: Iterable[bytes]) -> bytes:
    """Splice encoded virtual hosts, in the caller's order, into an encoded RouteConfiguration.

    Envoy is told not to check that the clusters exist: the server sends them first, and one missing
    cluster must not keep every other service from changing.
    """
    header = encode(RouteConfiguration(name=name, validate_clusters=False))
    return b"".join([header, *(delimited(_VIRTUAL_HOSTS, host) for host in virtual_hosts)])
