"""What an instance must look like to be routed to, whatever source names it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from xds.rules.instance import Locality, canonical_host_name, canonical_ip

_CLUSTER = "cluster"
_METADATA = "metadata."


def locality_source_problem(source: str) -> str | None:
    """Say why this is no place that a region or a zone can be read from (``LocalitySources``)."""
    if source in {"", _CLUSTER} or (source.startswith(_METADATA) and source != _METADATA):
        return None
    return f"{source!r} is not metadata.KEY, cluster, or empty"


@dataclass(frozen=True, slots=True)
class LocalitySources:
    """Where the region and the zone of an instance are read from.

    ``metadata.KEY`` is a key of its metadata, ``cluster`` its cluster in the registry, '' nowhere.
    """

    region: str = "metadata.region"
    zone: str = "metadata.zone"

    def of(self, metadata: Mapping[str, str], cluster: str = "") -> Locality:
        """Return the locality of an instance."""
        return Locality(_read(self.region, metadata, cluster), _read(self.zone, metadata, cluster))


DEFAULT_LOCALITIES = LocalitySources()


def _read(source: str, metadata: Mapping[str, str], cluster: str) -> str:
    text = cluster if source == _CLUSTER else metadata.get(source.removeprefix(_METADATA), "")
    return text.strip().encode(errors="replace").decode()  # JSON can hold what is no Unicode text


def address_problem(address: str) -> str | None:
    """Say why nothing can be sent to this address; None when something can."""
    if canonical_ip(address) or canonical_host_name(address):
        return None
    return f"{address!r} is neither an IP address nor a host name"


def port_problem(port: int) -> str | None:
    """Say why this port cannot be connected to; None when it can."""
    return None if 0 < port < 65536 else f"port {port} is not between 1 and 65535"


def weight_problem(weight: float) -> str | None:
    """Say why this weight says nothing (the range is Nacos's); None when it does."""
    return (
        None
        if math.isfinite(weight) and 0 <= weight <= 10_000
        else f"weight {weight:g} is not between 0 and 10000"
    )
