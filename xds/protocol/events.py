"""What a request told about the responses before it."""

from collections.abc import Mapping
from dataclasses import dataclass

from xds.cache import Resource


@dataclass(frozen=True, slots=True)
class Acked:
    """The client took these versions; None stands for a removal."""

    type_url: str
    resources: Mapping[str, Resource | None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client took nothing of a response, or not all of it, and said why (``error_detail``)."""

    type_url: str
    resources: Mapping[str, Resource | None]
    code: int
    message: str


Event = Acked | Rejected
