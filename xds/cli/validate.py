"""`grayplane validate`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from xds.cli.errors import FAILED
from xds.documents.problem import Problem, Severity
from xds.rules.book import RuleBook
from xds.rules.parse import parse

_ENDINGS = frozenset({".yaml", ".yml", ".json"})
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_WIDEST_EXCERPT = 100

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        exists=True,
        readable=True,
        help="Rule documents, or directories of them.",
        show_default=False,
    ),
]


def validate(files: FilesArgument) -> None:
    """Check rule documents, each by itself and all beside each other; exit 1 if any has an error.

    Documents that are checked together must not be for one service, nor serve one host on one gateway.
    """
    contents = {str(file): file.read_bytes() for file in _documents(files)}
    book = RuleBook()
    book.load({name: parse(name, content) for name, content in contents.items()})
    console = Console(highlight=False, soft_wrap=True)
    for name, content in contents.items():
        problems = [problem for problem in book.problems() if problem.document == name]
        for problem in problems:
            console.print(_report(problem, content))
        if not _has_errors(problems):
            console.print(Text(f"{name}: ok"))
    if not contents:
        console.print("There is no rule document: no file ends in .yaml, .yml or .json.")
    raise typer.Exit(FAILED if _has_errors(book.problems()) else 0)


def _documents(files: Iterable[Path]) -> Iterator[Path]:
    for file in files:
        if file.is_dir():
            yield from sorted(path for path in file.iterdir() if path.suffix in _ENDINGS)
        else:
            yield file


def _has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)


def _report(problem: Problem, content: bytes) -> Text:
    """Say what is wrong, show the line with a caret below the place, and say what would be right."""
    where = f"{problem.document}:{problem.line}:{problem.column}" if problem.line else problem.document
    field = f"{problem.path}: " if problem.path else ""
    report = Text.assemble(
        (f"{where}: ", "bold"),
        (f"{problem.severity}: ", _STYLES[problem.severity]),
        f"{field}{problem.message}",
    )
    if problem.line:
        report.append(_excerpt(problem, content), "blue")
    if problem.hint:
        report.append(f"\n      {problem.hint}", "green")
    return report


def _excerpt(problem: Problem, content: bytes) -> str:
    lines = content.decode(errors="replace").splitlines()
    if problem.line > len(lines):  # the end of the document is where something is missing
        return ""
    # Of a very long line, the part around the place. A tab would put the caret elsewhere.
    start = max(0, problem.column - _WIDEST_EXCERPT)
    line = lines[problem.line - 1][start : start + _WIDEST_EXCERPT + 20].replace("\t", " ")
    number = f"{problem.line:5} | "
    return f"\n{number}{line}\n{' ' * (len(number) - 2)}| {' ' * (problem.column - 1 - start)}^"
