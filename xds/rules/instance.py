"""A service, and its running copies as a source reports them and as subset labels select them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class ServiceId(NamedTuple):
    """A service: its namespace ('' is the default one) and the name it has in the registry."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


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
