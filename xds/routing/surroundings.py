"""What is beside a rule document when it is read: other documents, settings, the time, what is in force."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from xds.rules.model import Lane


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is in force instead of what a document says, such as the step of a rollout.

    ``weights``: the weights of a rule's subsets, by the name of the rule; they replace all of its weights.
    ``measured``: proxies report how long the requests take.
    """

    weights: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``lists``: the values of list documents by name, ``lanes``: those of the environment, in order.

    ``region_header`` and ``bucket_by`` are the settings of that name: the header with the region of a
    request, and that which edges make the bucket header of (``xds.routing.buckets``).
    """

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lanes: tuple[Lane, ...] = ()
    region_header: str = "x-region"
    bucket_by: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One document read at one time; what the functions of this package hand on."""

    service: str
    surroundings: Surroundings
    now: datetime
