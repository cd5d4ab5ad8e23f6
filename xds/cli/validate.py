"""`grayplane validate` and `grayplane lint`."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.serve import ConfigFlag
from xds.documents import DocumentId, Kind, kind_of
from xds.documents.identity import EXTENSIONS
from xds.documents.problem import Problem, Severity
from xds.rules.lint import lint_instances
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore
from xds.settings import Settings, load
from xds.sources.files.instances import parse_instances

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


NameFlag = Annotated[str, typer.Option("--name", help="What the document on standard input is called.")]


def validate(files: FilesArgument, config: ConfigFlag = None, name: NameFlag = "stdin.yaml") -> None:
    """Check documents, each by itself and all beside each other; exit 1 if any has an error.

    Documents that are checked together must fit together: not two for one service, nor for one host on one
    gateway. Lists and lanes that lie beside a document are known to it. What gateways can serve is taken from
    the settings, as by `serve`.
    """
    with settings_errors():
        settings = load(config)
    contents = _contents(files, name)
    store = DocumentStore()
    store.load(_parse(contents, settings))
    problems = store.problems()
    _tell(contents, {file: problems.get(_id(file), ()) for file in contents})


def lint(
    files: FilesArgument,
    config: ConfigFlag = None,
    name: NameFlag = "stdin.yaml",
    services: Annotated[
        Path | None,
        typer.Option(
            "--services", help="Directory of instances to check subsets by. Default: the settings'."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings, too.")] = False,
) -> None:
    """Check documents as `validate` does, and say what their authors can hardly mean.

    Rules that can never match or overlap, regular expressions that cost much, subsets without instances or
    with none in service, words that do nothing. Each with its line and with advice.
    """
    with settings_errors():
        settings = load(config)
    contents = _contents(files, name)
    parsed = _parse(contents, settings, datetime.now(UTC))
    store = DocumentStore()
    store.load(parsed)
    problems = store.problems()
    found = {file: [*problems.get(_id(file), ())] for file in contents}
    directory = services or (settings.files.services if settings.source == "files" else None)
    if directory and directory.is_dir():
        for file in contents:
            found[file] += _of_instances(str(file), parsed[_id(file)], directory)
    _tell(contents, found, strict=strict)


def _of_instances(document: str, parsed: ParsedDocument, directory: Path) -> Iterator[Problem]:
    rule = parsed.rule
    paths = (directory / f"{rule.service}{extension}" for extension in EXTENSIONS) if rule else ()
    path = next((path for path in paths if path.is_file()), None)
    if rule and path:
        instances = parse_instances(str(path), path.read_bytes())
        if instances.instances is not None:
            yield from lint_instances(document, rule, instances.instances, parsed.positions)
        yield from instances.problems


def _contents(files: list[Path], name: str) -> dict[Path, bytes]:
    if missing := [f"there is no file {file}" for file in files if file != _STDIN and not file.exists()]:
        fail(missing, MISUSED)
    return {file: content for one in files for file, content in _read(one, name)}


def _parse(
    contents: Mapping[Path, bytes], settings: Settings, advice_at: datetime | None = None
) -> dict[DocumentId, ParsedDocument]:
    """Parse documents, and the lists and lanes beside them."""
    beside = {file: file.read_bytes() for file in _beside(contents)}
    return {
        _id(file): parse(str(file), content, settings.exact_only, advice_at)
        for file, content in {**contents, **beside}.items()
    }


def _id(file: Path) -> DocumentId:
    return DocumentId("", str(file))


def _tell(
    contents: Mapping[Path, bytes], problems: Mapping[Path, Sequence[Problem]], *, strict: bool = False
) -> NoReturn:
    """Print what is wrong with each document, or that it is ok, and end."""
    console = Console(highlight=False, soft_wrap=True)
    failed = False
    for file, content in contents.items():
        found = problems[file]
        for problem in found:
            console.print(_report(problem, content if problem.document == str(file) else b""))
        if _has_errors(found):
            failed = True
        else:
            failed |= strict and bool(found)
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
