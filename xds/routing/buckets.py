"""The bucket header: an edge says which place its hash gives a user, for those behind it who hash otherwise.

gRPC clients without a proxy pick by a hash of their own. An edge that is told whose header identifies users
(the setting ``bucket_by``) sets ``x-gray-bucket`` to the place of the user, from 0 to 999,999: that by which
proxies decide sticky splits and percentages without a salt. A call that carries it on is decided by it.
"""

from dataclasses import replace

from xds.routing.hashing import bucket
from xds.routing.model import Decision, Forward, Routing, Share, Split
from xds.routing.predicates import And, Header, InRange, Test, simplified
from xds.routing.request import Request
from xds.routing.splits import TOTAL

BUCKET_HEADER = "x-gray-bucket"


def with_bucket(request: Request, bucket_by: Header | None) -> Request:
    """Return a request as it leaves an edge: with the bucket of its user, if it has one."""
    lines = request.lines(bucket_by.name) if bucket_by else []
    if not lines:
        return request
    place = bucket([line.encode() for line in sorted(lines)])
    others = tuple(header for header in request.headers if header[0].lower() != BUCKET_HEADER)
    return replace(request, headers=(*others, (BUCKET_HEADER, str(place))))


def decided_by_bucket(routing: Routing) -> Routing:
    """Have the bucket header decide splits that are sticky by the header that it is made of.

    Each share becomes a decision on its range of buckets. The split itself follows, for requests without the
    header.
    """
    decisions = [part for decision in routing.decisions for part in _parts(decision, routing.bucket_by)]
    return replace(routing, decisions=tuple(decisions)) if routing.bucket_by else routing


def _parts(decision: Decision, bucket_by: Header | None) -> list[Decision]:
    action = decision.action
    if not isinstance(action, Forward) or action.split.identity is None or bucket_by != action.split.identity:
        return [decision]
    parts, start = [], 0
    for share in action.split.shares:
        holds = Test(Header(BUCKET_HEADER), InRange(start, start + share.share))
        there = replace(action, split=Split((Share(share.target, TOTAL),)))
        parts.append(replace(decision, when=simplified(And((decision.when, holds))), action=there))
        start += share.share
    return [*parts, decision]
