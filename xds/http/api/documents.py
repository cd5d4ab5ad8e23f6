"""Documents as the API shows them: what is wrong with them, and who says so."""

from collections.abc import Iterable, Iterator, Mapping

from xds.documents import problem as documents_problem
from xds.documents.problem import Severity
from xds.http.api.models import Problem, Rejection
from xds.status import DocumentState, DocumentStatus


def refusals_of(status: DocumentStatus) -> Iterator[Rejection]:
    """Say who rejected a document, also after that proxy has gone, or without any (``validation.envoy``)."""
    quarantine = status.quarantine
    for each in status.rejections:
        line = quarantine.line if quarantine and quarantine.reason == each.reason else 0
        yield Rejection(proxy=each.node, resources=[each.resource.name], reason=each.reason, line=line)
    if quarantine and all(each.reason != quarantine.reason for each in status.rejections):
        yield Rejection(
            proxy=quarantine.node,
            resources=[str(quarantine.service)],
            reason=quarantine.reason,
            line=quarantine.line,
        )


def first_problem(status: DocumentStatus) -> str:
    """Say in one line what is wrong with a document, errors first."""
    if (quarantine := status.quarantine) and status.state is DocumentState.QUARANTINED:
        where = f"line {quarantine.line}: " if quarantine.line else ""
        return f"{where}{quarantine.node}: {quarantine.reason}"
    for found in sorted(status.problems, key=lambda each: each.severity is not Severity.ERROR):
        where = f"{found.line}:{found.column}: " if found.line else ""
        hint = f" ({found.hint})" if found.hint else ""
        return f"{where}{found.message}{hint}"
    return ""


def problems_of(found: Iterable[documents_problem.Problem], content: bytes) -> list[Problem]:
    """Return problems with the lines of the text that they are about."""
    lines: Mapping[int, str] = dict(enumerate(content.decode(errors="replace").splitlines(), 1))
    return [
        Problem(
            severity=problem.severity.value,
            line=problem.line,
            column=problem.column,
            field=problem.path,
            problem=problem.message,
            hint=problem.hint,
            text=lines.get(problem.line, "")[:500],
        )
        for problem in found
    ]
