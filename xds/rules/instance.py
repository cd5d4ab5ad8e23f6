"""A service, and its running copies as a source reports them and as subset labels select them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


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


@dataclass(frozen=True, slots=True)
class Instance:
    """One network endpoint of a service.

    ``weight`` is the registry's relative weight (Nacos: 0 to 10,000, default 1). ``healthy`` means that
    the registry would hand it to a caller: up, and not taken out of service by an operator.
    ``metadata`` holds the labels that subsets select by.
    """

    address: str
    port: int
    weight: float = 1.0
    healthy: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)

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


def protocol_of(instances: Iterable[Instance]) -> Protocol:
    """Return what instances speak by their metadata; HTTP/1.1 if they do not say.

    One cluster speaks one protocol: of several, what most instances say counts, the first by name if two are
    said as often.
    """
    said = Counter(instance.protocol for instance in instances if instance.protocol)
    return min(said, key=lambda protocol: (-said[protocol], protocol), default=Protocol.HTTP)
