"""What can be asked and done: checks of a text, explanations, publishing, rollouts."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from fastapi import APIRouter, Request

from xds.documents import DocumentId
from xds.http.access import Role
from xds.http.api.backend import Conflict, Unavailable
from xds.http.api.context import Api, TheApi, asked_by
from xds.http.api.models import (
    ActionRequest,
    DiffRequest,
    DiffResult,
    ExplainRequest,
    ExplainResult,
    LintRequest,
    LintResult,
    Model,
    PublishRequest,
)
from xds.http.problem import ProblemError
from xds.rules.instance import ServiceId

Result = TypeVar("Result")
Action = Literal["promote", "approve", "pause", "resume", "abort", "retry"]


class Published(Model):
    """The revision of what was published."""

    revision: str


asking = APIRouter()
"""The paths that say what a document or a request would do; nothing is changed."""

acting = APIRouter()
"""The paths that change something."""


@asking.post("/lint")
async def lint(api: TheApi, body: LintRequest) -> LintResult:
    """Check a document beside those in force."""
    return await api.backend.lint(DocumentId(body.namespace, body.name), body.text)


@asking.post("/diff")
async def diff(api: TheApi, body: DiffRequest) -> DiffResult:
    """Say what a document would change, beside the one in force."""
    return await api.backend.diff(DocumentId(body.namespace, body.name), body.text)


@asking.post("/explain")
async def explain(api: TheApi, body: ExplainRequest) -> ExplainResult:
    """Say where a request would go, and why."""
    try:
        return await api.backend.explain(body)
    except KeyError:
        raise ProblemError(404, f"there is no service {body.service}") from None


@acting.put("/documents/{name:path}")
async def publish(
    api: TheApi, name: str, body: PublishRequest, request: Request, namespace: str = ""
) -> Published:
    """Publish a document where documents come from; for operators. Refused if it has errors."""
    document = DocumentId(namespace, name)

    async def do() -> Published:
        checked = await api.backend.lint(document, body.text)
        if not checked.ok:
            problems = [problem.model_dump() for problem in checked.problems]
            raise ProblemError(422, f"{document} has errors", problems=problems)
        return Published(revision=await api.backend.publish(document, body.text, body.revision))

    return await _audited(api, request, do, action="publish", target=str(document), reason=body.reason)


@acting.post("/rollouts/{name:path}/{action}", status_code=204)
async def act(
    api: TheApi, name: str, action: Action, body: ActionRequest, request: Request, *, namespace: str = ""
) -> None:
    """Do something to a rollout; for operators."""
    service = ServiceId(namespace, name)

    async def do() -> None:
        try:
            await api.backend.act(service, action, request.state.caller, body.reason)
        except KeyError:
            raise ProblemError(404, f"there is no rollout of {service}") from None

    await _audited(api, request, do, action=f"rollout {action}", target=str(service), reason=body.reason)


async def _audited(
    api: Api, request: Request, do: Callable[[], Awaitable[Result]], *, action: str, target: str, reason: str
) -> Result:
    """Do something for an operator; whatever comes of it is in the audit log."""
    outcome = "failed"
    try:
        asked_by(request, Role.OPERATOR)
        done = await do()
        outcome = "done"
    except (ProblemError, Conflict, Unavailable) as error:
        outcome = str(error)
        raise
    finally:
        api.audit.add(request.state.caller, action, target, reason, outcome)
    return done
