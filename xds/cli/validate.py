"""`grayplane validate`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.serve import ConfigFlag
from xds.documents import DocumentId, Kind, kind_of
from xds.documents.problem import Problem, Severity
from xds.rules.parse import parse
from xds.rules.store import DocumentStore
from xds.settings import load

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_WIDEST_EXCERPT = 100

_STDIN = Path("-")

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Documents, directories of them, or - for standard input.",
        show_default=False,
    ),
]


def validate(
    files: FilesArgument,
    config: ConfigFlag = None,
    name: Annotated[
        str, typer.Option("--name", help="What the document on standard input is called.")
    ] = "stdin.yaml",
) -> None:
    """Check documents, each by itself and all beside each other; exit 1 if any has an error.

    Documents that are checked together must fit together: not two for one service, nor for one host on one
    gateway. Lists and lanes that lie beside a document are known to it. What gateways can serve is taken from
    the settings, as by `serve`.
    """
    with settings_errors():
        settings = load(config)
    if missing := [f"there is no file {file}" for file in files if file != _STDIN and not file.exists()]:
        fail(missing, MISUSED)
    contents = {file: content for one in files for file, content in _read(one, name)}
    beside = {file: file.read_bytes() for file in _beside(contents)}
    store = DocumentStore()
    parsed = {
        DocumentId("", str(file)): parse(str(file), content, settings.exact_only)
        for file, content in (contents | beside).items()
    }
    store.load(parsed)
    problems = store.problems()
    console = Console(highlight=False, soft_wrap=True)
    failed = False
    for file, content in contents.items():
        found = problems.get(DocumentId("", str(file)), ())
        for problem in found:
            console.print(_report(problem, content))
        if _has_errors(found):
            failed = True
        else:
            console.print(Text(f"{file}: ok"))
    if not contents:
        console.print("There is no document: no file ends in .yaml, .yml, .json or .list.")
    raise typer.Exit(FAILED if failed else 0)


def _read(file: Path, name: str) -> Iterator[tuple[Path, bytes]]:
    if file == _STDIN:
        yield Path(name), sys.stdin.buffer.read()
    elif file.is_dir():
        for path in sorted(file.iterdir()):
            if kind_of(path.name):
                yield path, path.read_bytes()
    else:
        yield file, file.read_bytes()


def _beside(files: Iterable[Path]) -> Iterator[Path]:
    """The lists and lanes that lie beside files, and are none of them."""
    known = {file.resolve() for file in files}
    for folder in sorted({file.parent for file in files if file.parent.is_dir()}):
        for path in sorted(folder.iterdir()):
            shared = kind_of(path.name) in {Kind.LIST, Kind.LANES}
            if shared and path.resolve() not in known and path.is_file():
                yield path


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
