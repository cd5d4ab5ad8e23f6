"""`grayplane publish`, `pull`, `history` and `rollback`: documents in Nacos, from the command line."""

import asyncio
import difflib
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from xds import logs
from xds.cli.documents import FilesArgument, NameFlag, contents_of, report
from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.output import OutputFlag, show_json
from xds.cli.serve import ConfigFlag, SetFlag, nacos_flags
from xds.cli.values import assignment
from xds.documents import DocumentId, kind_of
from xds.documents.identity import EXTENSIONS
from xds.documents.problem import Problem, Severity
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore
from xds.settings import Settings, load

if TYPE_CHECKING:
    from xds.sources.nacos import NacosAuthor, Stored

NacosFlag = Annotated[
    str | None, typer.Option("--nacos", metavar="HOST:PORT", help="The Nacos, if not the settings'.")
]
NamespaceFlag = Annotated[
    str | None, typer.Option("--namespace", help="The namespace's id, if not the settings'.")
]
YesFlag = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="A service, or a document such as lanes.yaml.")
]
ResultT = TypeVar("ResultT")

_CONCURRENT_READS = 16
_console = Console(highlight=False, soft_wrap=True)


def publish(
    files: FilesArgument,
    *,
    config: ConfigFlag = None,
    nacos: NacosFlag = None,
    namespace: NamespaceFlag = None,
    settings: SetFlag = None,
    name: NameFlag = "stdin.yaml",
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Publish only documents that are not there, without asking.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and end.")] = False,
    yes: YesFlag = False,
    output: OutputFlag = "text",
) -> None:
    """Publish documents to Nacos: check them beside those that are there, show what changes, and ask.

    Nothing is published if any document has an error. A document that somebody else changed since the
    difference was shown is not overwritten. Exit 1 then, and for errors.
    """
    loaded = _settings(config, nacos, namespace, settings, "save the files in files.rules: they are watched")
    contents = {file.name: content for file, content in contents_of(files, name).items()}
    if foreign := [each for each in contents if kind_of(each) is None]:
        fail(
            [f"{each} is no document: names end in .yaml, .yml, .json or .list" for each in foreign], MISUSED
        )

    async def go(author: "NacosAuthor") -> None:
        there = await _read_all(author)
        new = {
            each: content.decode(errors="replace")
            for each, content in contents.items()
            if not (if_missing and each in there)
        }
        _check(new, there, loaded)
        changed = {each: text for each, text in new.items() if each not in there or there[each].text != text}
        told = _Told(output)
        for each in sorted(contents.keys() - changed.keys()):
            told.outcome(each, "is there" if if_missing else "unchanged")
        for each, text in sorted(changed.items()):
            told.diff(each, there[each].text if each in there else "", text)
        if changed and not dry_run:
            _confirm(f"Publish {', '.join(sorted(changed))}?", yes=yes or if_missing)
            group = author.settings.rules_group
            for each, text in sorted(changed.items()):
                await author.configs.publish(group, each, text, there.get(each))
                told.outcome(each, "published")
        told.end()

    _with_author(loaded, go)


def pull(
    directory: Annotated[Path, typer.Argument(help="Where to write the documents.", show_default=False)],
    *,
    config: ConfigFlag = None,
    nacos: NacosFlag = None,
    namespace: NamespaceFlag = None,
    settings: SetFlag = None,
    yes: YesFlag = False,
    output: OutputFlag = "text",
) -> None:
    """Write all documents of Nacos into a directory. Asks before it overwrites what differs."""
    loaded = _settings(config, nacos, namespace, settings, "its documents are the files in files.rules")

    async def go(author: "NacosAuthor") -> None:
        there = await _read_all(author)
        differing = [
            each
            for each, stored in sorted(there.items())
            if (directory / each).exists() and (directory / each).read_bytes() != stored.text.encode()
        ]
        if differing:
            _confirm(f"Overwrite {', '.join(differing)} in {directory}?", yes=yes)
        directory.mkdir(parents=True, exist_ok=True)
        for each, stored in sorted(there.items()):
            (directory / each).write_bytes(stored.text.encode())
        if output == "json":
            show_json({"directory": str(directory), "documents": sorted(there), "overwritten": differing})
        else:
            _console.print(Text(f"{len(there)} documents in {directory}"))

    _with_author(loaded, go)


def history(
    service: ServiceArgument,
    *,
    config: ConfigFlag = None,
    nacos: NacosFlag = None,
    namespace: NamespaceFlag = None,
    settings: SetFlag = None,
    output: OutputFlag = "text",
) -> None:
    """List the changes of a document, the newest first, with the ids that `rollback --to` takes."""
    loaded = _settings(config, nacos, namespace, settings, _NO_HISTORY)

    async def go(author: "NacosAuthor") -> None:
        document = await _document_of(author, service)
        entries = await author.history.entries(document)
        rows = [
            {
                "id": entry.id,
                "at": _time(entry.at),
                "operation": entry.operation,
                "by": entry.user or entry.address or "",
            }
            for entry in entries
        ]
        if output == "json":
            show_json({"document": document, "history": rows})
            return
        for row in rows or [{"id": f"{document} has no history", "at": "", "operation": "", "by": ""}]:
            _console.print(Text(f"{row['id']:>12}  {row['at']:25} {row['operation']:9} {row['by']}".rstrip()))

    _with_author(loaded, go)


def rollback(
    service: ServiceArgument,
    *,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="ID", help="The text before this change. Default: before the last one."),
    ] = None,
    config: ConfigFlag = None,
    nacos: NacosFlag = None,
    namespace: NamespaceFlag = None,
    settings: SetFlag = None,
    yes: YesFlag = False,
    output: OutputFlag = "text",
) -> None:
    """Publish an earlier text of a document again: show what changes, and ask."""
    loaded = _settings(config, nacos, namespace, settings, _NO_HISTORY)

    async def go(author: "NacosAuthor") -> None:
        document = await _document_of(author, service)
        entry = to
        if entry is None:
            changes = [each for each in await author.history.entries(document) if each.operation != "created"]
            if not changes:
                fail([f"{document} was never changed, so there is nothing to go back to"])
            entry = changes[0].id
        text = await author.history.text(document, entry)
        there = await _read_all(author)
        now = there.get(document)
        told = _Told(output)
        if now and now.text == text:
            told.outcome(document, "unchanged")
        else:
            _check({document: text}, there, loaded)
            told.diff(document, now.text if now else "", text)
            _confirm(f"Publish {document}?", yes=yes)
            await author.configs.publish(author.settings.rules_group, document, text, now)
            told.outcome(document, "published")
        told.end()

    _with_author(loaded, go)


_NO_HISTORY = "files have no history here: keep them in git"


def _settings(
    config: Path | None, nacos: str | None, namespace: str | None, given: list[str] | None, instead: str
) -> Settings:
    """Return the settings of a command that needs Nacos; ``instead``: what to do with the file source."""
    flags = nacos_flags(nacos) if nacos is not None else []
    if namespace is not None:
        flags.append(assignment(f"nacos.namespace={namespace}"))
    flags += [assignment(text) for text in given or ()]
    with settings_errors():
        loaded = load(config, flags)
    if loaded.source != "nacos":
        fail([f"this command works on Nacos, and source is files: {instead} (or use --nacos)"], MISUSED)
    if len(loaded.nacos.namespaces) > 1:
        fail(["several namespaces are set (nacos.namespaces): name one by --namespace"], MISUSED)
    return loaded


def _with_author(settings: Settings, go: "Callable[[NacosAuthor], Awaitable[None]]") -> None:
    from xds.sources.nacos import NacosError, nacos_author  # noqa: PLC0415  # the SDK is slow to load

    logs.configure("warning", "console")

    async def run() -> None:
        async with nacos_author(settings.nacos.client_settings()[0]) as author:
            await go(author)

    try:
        asyncio.run(run())
    except NacosError as error:
        fail([str(error)])


async def _read_all(author: "NacosAuthor") -> "dict[str, Stored]":
    """Return all documents of the group."""
    group = author.settings.rules_group
    names = [each for each in await author.listing.documents() if kind_of(each) is not None]
    slots = asyncio.Semaphore(_CONCURRENT_READS)

    async def read(each: str) -> "Stored | None":
        async with slots:
            return await author.configs.read(group, each)

    found = await asyncio.gather(*(read(each) for each in names))
    return {each: stored for each, stored in zip(names, found, strict=True) if stored}


async def _document_of(author: "NacosAuthor", service: str) -> str:
    """Return the document that a person means by the name of a service, or of a document."""
    if kind_of(service) is not None:
        return service
    there = await author.listing.documents()
    named = [f"{service}{extension}" for extension in EXTENSIONS]
    return next((each for each in named if each in there), named[0])


def _check(new: Mapping[str, str], there: "Mapping[str, Stored]", settings: Settings) -> None:
    """Tell what is wrong with new documents beside those that are there; end if any has an error."""
    now = datetime.now(UTC)
    parsed: dict[DocumentId, ParsedDocument] = {}
    read = partial(parse, exact_only=settings.exact_only, groups=settings.stated_naming_groups)
    for each, stored in there.items():
        parsed[DocumentId("", each)] = read(each, stored.text.encode())
    store = DocumentStore()
    store.load(parsed)
    for each, text in sorted(new.items()):
        store.apply(DocumentId("", each), read(each, text.encode(), advice_at=now))
    problems = store.problems()
    failed = False
    for each, text in sorted(new.items()):
        found: Iterable[Problem] = problems.get(DocumentId("", each), ())
        for problem in found:
            _console.print(report(problem, text.encode()))
            failed |= problem.severity is Severity.ERROR
    if failed:
        fail(["nothing was published"], FAILED)


class _Told:
    """Tells what becomes of documents: to people at once, to programs at the end."""

    def __init__(self, output: str) -> None:
        self._json = output == "json"
        # What became of each document, for ``--json``. Written by ``diff`` and ``outcome``.
        self._documents: dict[str, dict[str, str]] = {}

    def outcome(self, document: str, outcome: str) -> None:
        """Tell that a document is unchanged, there, or published."""
        self._documents.setdefault(document, {})["outcome"] = outcome
        if not self._json:
            _console.print(Text(f"{document}: {outcome}", "green" if outcome == "published" else ""))

    def diff(self, document: str, before: str, after: str) -> None:
        """Tell what changes in a document."""
        names = (f"{document} in Nacos", document)
        lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
        self._documents[document] = {"outcome": "would change", "diff": "\n".join(lines)}
        styles = {"+": "green", "-": "red", "@": "cyan"}
        for line in () if self._json else lines:
            _console.print(Text(line, styles.get(line[:1], "")))

    def end(self) -> None:
        """Tell programs."""
        if self._json:
            found = [{"document": document, **told} for document, told in sorted(self._documents.items())]
            show_json({"documents": found})


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail(["nothing was done: there is nobody to ask; use --yes"], MISUSED)
    typer.confirm(question, abort=True)


def _time(at: str | int | None) -> str:
    """Show a time of Nacos, which is milliseconds or text."""
    if isinstance(at, int):
        return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
    return at or ""
