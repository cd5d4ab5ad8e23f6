"""Documents in files: how commands read them, and show what is wrong with them."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from xds.cli.errors import FAILED, MISUSED, fail
from xds.cli.output import as_json, printable_in, show_json
from xds.documents import DocumentId, Kind, kind_of
from xds.documents.problem import Problem, Severity
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore
from xds.settings import Settings

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}
_WIDEST_EXCERPT = 100

STDIN = Path("-")
"""Standard input, where a file is named."""

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Documents, directories of them, or - for standard input.",
        show_default=False,
    ),
]


NameFlag = Annotated[str, typer.Option("--name", help="What the document on standard input is called.")]


def contents_of(files: list[Path], name: str) -> dict[Path, bytes]:
    """Read files, those in directories, and standard input, which is called ``name``."""
    if missing := [f"there is no file {file}" for file in files if file != STDIN and not file.exists()]:
        fail(missing, MISUSED)
    return {file: content for one in files for file, content in _read(one, name)}


def parse_beside(
    contents: Mapping[Path, bytes], settings: Settings, advice_at: datetime | None = None
) -> dict[Path, ParsedDocument]:
    """Parse documents, and the lists and lanes beside them."""
    beside = {file: file.read_bytes() for file in _beside(contents)}
    read = partial(
        parse,
        exact_only=settings.exact_only,
        advice_at=advice_at,
        groups=settings.stated_naming_groups,
        webhook_hosts=settings.rollouts.allowed_webhooks,
    )
    return {file: read(str(file), content) for file, content in {**contents, **beside}.items()}


def in_store(parsed: Mapping[Path, ParsedDocument]) -> DocumentStore:
    """Return a store with documents, which tells how they fit beside each other."""
    store = DocumentStore()
    store.load({id_of(file): one for file, one in parsed.items()})
    return store


def id_of(file: Path) -> DocumentId:
    """Return the id of a document in a file: its path."""
    return DocumentId("", str(file))


def tell(
    contents: Mapping[Path, bytes],
    problems: Mapping[Path, Sequence[Problem]],
    output: str,
    *,
    strict: bool = False,
) -> NoReturn:
    """Print what is wrong with each document, or that it is ok, and end."""
    failed = any(_has_errors(found) or (strict and found) for found in problems.values())
    if output == "json":
        documents = [
            {
                "document": str(file),
                "ok": not _has_errors(problems[file]),
                "problems": [as_json(problem) for problem in problems[file]],
            }
            for file in contents
        ]
        show_json({"ok": not failed, "documents": documents})
    else:
        _print(contents, problems)
    raise typer.Exit(FAILED if failed else 0)


def _print(contents: Mapping[Path, bytes], problems: Mapping[Path, Sequence[Problem]]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for file, content in contents.items():
        for problem in problems[file]:
            console.print(report(problem, content if problem.document == str(file) else b""))
        if not _has_errors(problems[file]):
            console.print(Text(f"{file}: ok"))
    if not contents:
        console.print("There is no document: no file ends in .yaml, .yml, .json or .list.")


def _read(file: Path, name: str) -> Iterator[tuple[Path, bytes]]:
    if file == STDIN:
        yield Path(name), sys.stdin.buffer.read()
    elif file.is_dir():
        for path in sorted(file.iterdir()):
            if kind_of(path.name):
                yield path, path.read_bytes()
    else:
        yield file, file.read_bytes()


def _beside(files: Iterable[Path]) -> Iterator[Path]:
    """Yield the lists and lanes that lie beside files, and are none of them."""
    known = {file.resolve() for file in files}
    for folder in sorted({file.parent for file in files if file.parent.is_dir()}):
        for path in sorted(folder.iterdir()):
            shared = kind_of(path.name) in {Kind.LIST, Kind.LANES}
            if shared and path.resolve() not in known and path.is_file():
                yield path


def _has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)


def report(problem: Problem, content: bytes) -> Text:
    """Say what is wrong, show the line with a caret below the place, and say what would be right."""
    where = f"{problem.document}:{problem.line}:{problem.column}" if problem.line else problem.document
    field = f"{problem.path}: " if problem.path else ""
    text = Text.assemble(
        (f"{where}: ", "bold"),
        (f"{problem.severity}: ", _STYLES[problem.severity]),
        printable_in(f"{field}{problem.message}"),
    )
    if problem.line:
        text.append(_excerpt(problem, content), "blue")
    if problem.hint:
        text.append(f"\n      {printable_in(problem.hint)}", "green")
    return text


def _excerpt(problem: Problem, content: bytes) -> str:
    lines = content.decode(errors="replace").splitlines()
    if problem.line > len(lines):  # the end of the document is where something is missing
        return ""
    # Of a very long line, the part around the place. A tab would put the caret elsewhere.
    start = max(0, problem.column - _WIDEST_EXCERPT)
    shown = lines[problem.line - 1][start : start + _WIDEST_EXCERPT + 20].replace("\t", " ")
    # Nothing of a document steers the terminal, and the caret stays below its place.
    line = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in shown)
    number = f"{problem.line:5} | "
    before = cell_len(line[: problem.column - 1 - start])  # Chinese characters are two columns wide.
    return f"\n{number}{line}\n{' ' * (len(number) - 2)}| {' ' * before}^"
