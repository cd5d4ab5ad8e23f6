"""What a client answered to the responses that it was sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from xds.cache import Resource
from xds.wire import Status


class Change(NamedTuple):
    """One resource in a response."""

    held: Resource | None
    """What the client held before; None: nothing."""
    sent: Resource | None
    """What it was sent; None: the removal."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The client acknowledged everything in a response, and in those before it."""

    type_url: str
    changes: Mapping[str, Change]
    """By resource name."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client rejected a response, or a part of it; it keeps what it held."""

    type_url: str
    changes: Mapping[str, Change]
    """By resource name; any of them may be at fault."""
    reason: Status
    """What the client said (``error_detail``)."""


Event = Acked | Rejected
