"""A service, and its running copies as a source reports them and as subset labels select them."""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?=[0-9_-]*[a-z]){_LABEL}")


class ServiceId(NamedTuple):
    """A service: its namespace ('' is the default one) and the name it has in the registry."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Protocol(StrEnum):
    """What instances speak. ``http2`` and ``grpc`` are HTTP/2; ``auto`` is what the client speaks."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    AUTO = "auto"


class Locality(NamedTuple):
    """Where an instance runs, in the words of whoever registered it; '' is unknown."""

    region: str = ""
    zone: str = ""


_UNKNOWN = Locality()


@dataclass(frozen=True, slots=True)
class Instance:
    """One network endpoint of a service.

    ``address`` is an IP address, or a host name that proxies resolve. ``weight`` is the registry's relative
    weight (Nacos: 0 to 10,000, default 1). ``healthy`` means that the registry would hand it to a caller: up,
    and not taken out of service by an operator. ``metadata`` holds the labels that subsets select by.
    """

    address: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)
    locality: Locality = _UNKNOWN

    @property
    def serving(self) -> bool:
        """Whether this instance may take traffic; Nacos means by weight 0 that it may not."""
        return self.healthy and self.weight > 0

    @property
    def protocol(self) -> Protocol | None:
        """What the metadata ``protocol`` says, None if it says nothing that we know."""
        said = self.metadata.get("protocol")
        if not said:
            return None
        try:
            return Protocol(said.lower())
        except ValueError:
            return None


@lru_cache(maxsize=1 << 16)
def canonical_ip(address: str) -> str | None:
    """Return an IP address in its one canonical form; None for what is no IP address.

    An IPv6 zone means something on one machine alone, so an address with one is none.
    """
    try:
        return None if "%" in address else str(ipaddress.ip_address(address))
    except ValueError:
        return None


@lru_cache(maxsize=1 << 16)
def canonical_host_name(address: str) -> str | None:
    """Return a host name in lower case; None for what is no host name (RFC 1123, and ``_`` as Docker has it).

    The last label has a letter: ``10.0.0.256`` is a misspelt address.
    """
    name = address.lower()
    return name if _HOST_NAME.fullmatch(name) else None


def protocol_of(instances: Iterable[Instance]) -> Protocol:
    """Return what instances speak by their metadata; HTTP/1.1 if they do not say.

    One cluster speaks one protocol: of several, what most instances say counts, the first by name if two are
    said as often.
    """
    said = Counter(instance.protocol for instance in instances if instance.protocol)
    return min(said, key=lambda protocol: (-said[protocol], protocol), default=Protocol.HTTP)
