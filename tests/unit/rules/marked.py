"""Documents that show where their problem is: the position after each ``§`` is what a test expects."""

from typing import NamedTuple

from xds.documents.problem import Problem
from xds.rules.parse import parse

DOCUMENT = "reviews.yaml"


class Expected(NamedTuple):
    """A problem: its field, parts of what is said about it and of the hint."""

    path: str
    message: str
    hint: str = ""


def assert_problems(marked: str, *expected: Expected, document: str = DOCUMENT) -> None:
    """Hold that parsing tells of exactly these problems, at the marks, in this order."""
    text, positions = unmark(marked)
    found = parse(document, text.encode()).problems
    assert [(problem.line, problem.column, problem.path) for problem in found] == [
        (*position, each.path) for position, each in zip(positions, expected, strict=True)
    ], told(found)
    for problem, each in zip(found, expected, strict=True):
        assert problem.document == document
        assert each.message in problem.message, told(found)
        assert each.hint in problem.hint, told(found)
        assert problem.hint or not each.hint


def unmark(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and where they were."""
    positions = []
    for number, line in enumerate(marked.split("\n"), 1):
        pieces = line.split("§")[:-1]
        positions += [(number, sum(map(len, pieces[: i + 1])) + 1) for i in range(len(pieces))]
    return marked.replace("§", ""), positions


def told(problems: tuple[Problem, ...]) -> str:
    """All problems as their author reads them."""
    return "\n".join(map(str, problems))
