"""What the API says is wrong with a document."""

from collections.abc import Sequence

import pytest

from xds.cache import Ref
from xds.documents import DocumentId
from xds.documents.problem import Problem, Severity
from xds.http.api.documents import first_problem, refusals_of
from xds.rules.instance import ServiceId
from xds.status import VALIDATION, DocumentState, DocumentStatus, ProxyCount, Quarantine, Rejection
from xds.type_urls import ROUTE

DOCUMENT = DocumentId("", "reviews.yaml")
WARNING = Problem(DOCUMENT.name, 3, 5, "subsets.gray", "it has no instance", "", Severity.WARNING)
ERROR = Problem(DOCUMENT.name, 9, 7, "baseline", "no subset gry", "gray?")
REJECTION = Rejection("edge-1", Ref(ROUTE, "edge"), frozenset(), "bad domain", 1.0)


def status(
    state: DocumentState,
    problems: Sequence[Problem] = (),
    rejections: Sequence[Rejection] = (),
    refused_by: str = "",
) -> DocumentStatus:
    service = ServiceId("", "reviews")
    quarantine = Quarantine(service, (), refused_by, "bad domain", 1.0, line=4) if refused_by else None
    return DocumentStatus(
        DOCUMENT,
        "2",
        "1",
        state,
        tuple(problems),
        (service,),
        ProxyCount(1, 1),
        tuple(rejections),
        quarantine,
        1.0,
    )


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (status(DocumentState.PROGRAMMED), ""),
        (status(DocumentState.PROGRAMMED, [WARNING]), "3:5: it has no instance"),
        (status(DocumentState.REJECTED, [WARNING, ERROR]), "9:7: no subset gry (gray?)"),
        (status(DocumentState.QUARANTINED, [WARNING], refused_by="edge-1"), "line 4: edge-1: bad domain"),
        (status(DocumentState.REJECTED, [ERROR], refused_by="edge-1"), "9:7: no subset gry (gray?)"),
    ],
)
def test_the_first_problem_is_the_one_to_mend(of: DocumentStatus, said: str) -> None:
    assert first_problem(of) == said


@pytest.mark.parametrize(
    ("of", "who"),
    [
        (status(DocumentState.PROGRAMMED), []),
        (status(DocumentState.QUARANTINED, rejections=[REJECTION], refused_by="edge-1"), [("edge-1", 4)]),
        (status(DocumentState.QUARANTINED, refused_by="edge-1"), [("edge-1", 4)]),
        (status(DocumentState.QUARANTINED, refused_by=VALIDATION), [(VALIDATION, 4)]),
        (status(DocumentState.PROGRAMMING, rejections=[REJECTION]), [("edge-1", 0)]),
    ],
)
def test_who_refused_is_said_also_when_it_is_gone(of: DocumentStatus, who: list[tuple[str, int]]) -> None:
    assert [(each.proxy, each.line) for each in refusals_of(of)] == who
