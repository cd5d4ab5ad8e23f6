"""Explanations and comparisons, from the words of routing to those of the API."""

from collections.abc import Iterator

from xds.http.api.models import Chance, Considered, ExplainRequest, ExplainResult
from xds.routing import Request, Routing
from xds.routing.comparison import Difference, Move, compare
from xds.routing.explanation import explain


def explained(routing: Routing, request: ExplainRequest) -> ExplainResult:
    """Explain a request to a service."""
    headers = tuple(request.headers.items())
    found = explain(routing, Request(request.method, request.uri, headers, request.source_ip))
    return ExplainResult(
        rule=found.rule,
        considered=[
            Considered(
                rule=each.rule,
                matched=each.probability > 0,
                percent=_percent(each.probability),
                why=each.why,
            )
            for each in found.considered
        ],
        chances=[Chance(to=name, percent=_percent(probability)) for name, probability in found.chances()],
        action=found.action,
        notes=found.notes,
    )


def compared(old: Routing, new: Routing) -> list[str]:
    """Say what changes between two versions of a service, a line for each kind of requests."""
    return [
        _line(difference) for difference in compare(old, new) if difference.changes or not difference.tried
    ]


def _line(difference: Difference) -> str:
    if not difference.tried:
        return f"{difference.who}: cannot be tried; compare what the document says of them"
    return f"{difference.who}: {'; '.join(_moves(difference))}"


def _moves(difference: Difference) -> Iterator[str]:
    whom = "users" if difference.users else "requests"
    for move in difference.moves:
        share = "all" if move.share > 1 - 1e-9 else f"{move.share * 100:.3g} % of the {whom}"
        yield f"{share} {_way(move)}"


def _way(move: Move) -> str:
    return f"stay at {move.new}" if move.old == move.new else f"go from {move.old} to {move.new}"


def _percent(probability: float) -> float:
    return round(100 * probability, 4)
