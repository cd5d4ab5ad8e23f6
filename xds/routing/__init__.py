"""What documents decide, free of Envoy: predicates, splits, actions, and an evaluator of them.

The one input of compiler, evaluator and exports. Pure: no I/O; the time is an argument.
"""

from xds.routing.evaluator import AskedDecision, Choice, Evaluation, Outcome, evaluate
from xds.routing.from_rules import routing_of, weights_in_force
from xds.routing.model import (
    Abort,
    Action,
    Decision,
    Delay,
    DirectResponse,
    Forward,
    HeaderChanges,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    Routing,
    Share,
    Split,
    Target,
)
from xds.routing.request import Request
from xds.routing.splits import TOTAL
from xds.routing.surroundings import Overrides, Surroundings

__all__ = [
    "TOTAL",
    "Abort",
    "Action",
    "AskedDecision",
    "Choice",
    "Decision",
    "Delay",
    "DirectResponse",
    "Evaluation",
    "Forward",
    "HeaderChanges",
    "Mirror",
    "Outcome",
    "Overrides",
    "Redirect",
    "Request",
    "Retries",
    "Rewrite",
    "Routing",
    "Share",
    "Split",
    "Surroundings",
    "Target",
    "evaluate",
    "routing_of",
    "weights_in_force",
]
