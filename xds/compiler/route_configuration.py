"""Route configurations: encoded virtual hosts, spliced into the resource that Envoy fetches."""

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, Vhds, VirtualHost

from xds.compiler.config_source import ADS
from xds.wire import build, delimited, encode

_VIRTUAL_HOSTS = 2  # RouteConfiguration.virtual_hosts
_NAME = 1  # VirtualHost.name


def virtual_host_field(virtual_host: bytes) -> bytes:
    """Make the field of a RouteConfiguration that holds an encoded virtual host."""
    return delimited(_VIRTUAL_HOSTS, virtual_host)


def route_configuration(name: str, virtual_hosts: Iterable[bytes]) -> bytes:
    """Splice encoded virtual hosts, in the caller's order, into an encoded RouteConfiguration."""
    return joined_route_configuration(name, map(virtual_host_field, virtual_hosts))


def joined_route_configuration(name: str, fields: Iterable[bytes]) -> bytes:
    """Join fields that hold virtual hosts, in the caller's order, to an encoded RouteConfiguration.

    Envoy is told not to check that the clusters exist: the server sends them first, and one missing
    cluster must not keep every other service from changing.
    """
    header = encode(build(RouteConfiguration, name=name, validate_clusters=False))
    return b"".join([header, *fields])


def on_demand_route_configuration(name: str) -> bytes:
    """Encode a RouteConfiguration whose virtual hosts Envoy fetches when they are asked for (VHDS)."""
    return encode(
        build(RouteConfiguration, name=name, validate_clusters=False, vhds=build(Vhds, config_source=ADS))
    )


def on_demand_name(route_configuration: str, host: str) -> str:
    """Name the virtual host of a host as Envoy asks for it on demand."""
    return f"{route_configuration}/{host}"


def renamed(virtual_host: bytes, name: str) -> bytes:
    """Give an encoded virtual host another name: of a field that is there twice the last one counts."""
    return virtual_host + delimited(_NAME, name.encode())


def nobody(name: str) -> bytes:
    """Encode a virtual host that no request is for; Envoy's first request for virtual hosts names none, and
    it waits until it is given one.
    """
    return encode(build(VirtualHost, name=name, domains=["nobody.invalid"]))
