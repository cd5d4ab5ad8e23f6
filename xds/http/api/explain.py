"""What happens to a request, from the evaluator's answer to the API's."""

from xds.http.api.models import Chance, Considered, ExplainRequest, ExplainResult
from xds.routing import (
    DirectResponse,
    Evaluation,
    Forward,
    Redirect,
    Request,
    Routing,
    Target,
    evaluate,
)


def explained(routing: Routing, request: ExplainRequest) -> ExplainResult:
    """Explain a request to a service."""
    headers = tuple(request.headers.items())
    evaluation = evaluate(routing, Request(request.method, request.uri, headers, request.source_ip))
    most = max(evaluation.outcomes, key=lambda outcome: outcome.probability)
    return ExplainResult(
        rule=most.decision.name,
        considered=[
            Considered(rule=step.decision.name, matched=step.held > 0, why=_why(step.held))
            for step in evaluation.steps
        ],
        chances=[
            Chance(to=_name(target), percent=round(100 * probability, 4))
            for target, probability in evaluation.targets().items()
        ],
        action=_action(most.decision.action),
        notes=_notes(evaluation),
    )


def _why(held: float) -> str:
    if held in {0.0, 1.0}:
        return "its conditions hold" if held else "its conditions do not hold"
    return f"chance decides: it holds for {100 * held:g} % of such requests"


def _name(target: Target) -> str:
    return target.service if target.subset is None else f"{target.service}|{target.subset}"


def _action(action: Forward | Redirect | DirectResponse) -> str:
    match action:
        case Forward():
            return "forward"
        case Redirect(status=status):
            return f"redirect {status}"
        case DirectResponse(status=status):
            return f"respond {status}"


def _notes(evaluation: Evaluation) -> list[str]:
    notes = []
    for outcome in evaluation.outcomes:
        choice = outcome.choice
        if choice and choice.bucket is not None:
            notes.append(f"{outcome.decision.name}: its user is at place {choice.bucket} of 1000000")
        elif choice and len(choice.targets) > 1:
            notes.append(f"{outcome.decision.name}: chance decides, request by request")
    return notes
