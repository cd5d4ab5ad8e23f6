"""`grayplane publish`, `pull`, `history` and `rollback`: documents in Nacos, from the command line."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from xds import logs
from xds.cli.documents import FilesArgument, NameFlag, contents_of
from xds.cli.errors import FAILED, MISUSED, fail, settings_errors
from xds.cli.outcomes import Outcomes
from xds.cli.output import OutputFlag, show_json
from xds.cli.serve import ConfigFlag, SetFlag, nacos_flags
from xds.cli.values import assignment
from xds.documents import DocumentId, is_encrypted, kind_of
from xds.documents.identity import EXTENSIONS
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
    contents = _documents_in(files, name)

    async def go(author: "NacosAuthor") -> None:
        told = Outcomes(output)
        there = await _read_all(author)
        new = {each: text for each, text in contents.items() if not (if_missing and each in there)}
        _check(new, there, loaded, told)
        changed = {
            each: content.decode()
            for each, content in new.items()
            if each not in there or there[each].text.encode() != content
        }
        for each in sorted(contents.keys() - changed.keys()):
            told.outcome(each, "is there" if if_missing else "unchanged")
        for each, text in sorted(changed.items()):
            told.diff(each, there[each].text if each in there else "", text)
        if changed and not dry_run:
            _confirm(f"Publish {', '.join(sorted(changed))}?", yes=yes or if_missing)
            await _publish(author, changed, there, told)
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
            _console.print(Text(f"{len(there)} document{'' if len(there) == 1 else 's'} in {directory}"))

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
        told = Outcomes(output)
        if now and now.text == text:
            told.outcome(document, "unchanged")
        else:
            _check({document: text.encode()}, there, loaded, told)
            told.diff(document, now.text if now else "", text)
            _confirm(f"Publish {document}?", yes=yes)
            await _publish(author, {document: text}, there, told)
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


def _documents_in(files: list[Path], name: str) -> dict[str, bytes]:
    """Read documents, by name. Ends if there are none, or if one is not what Nacos can be given here."""
    contents = {file.name: content for file, content in contents_of(files, name).items()}
    wrong = [
        f"{each} is no document: names end in .yaml, .yml, .json or .list"
        if kind_of(each) is None
        else f"{each} is the name of an encrypted configuration, and publish encrypts nothing"
        for each in contents
        if kind_of(each) is None or is_encrypted(each)
    ]
    if wrong or not contents:
        fail(wrong or ["there is no document: no file ends in .yaml, .yml, .json or .list"], MISUSED)
    return contents


async def _publish(
    author: "NacosAuthor", texts: Mapping[str, str], there: "Mapping[str, Stored]", told: Outcomes
) -> None:
    """Publish documents, up to the first that cannot be."""
    from xds.sources.nacos import NacosError  # noqa: PLC0415  # the SDK is slow to load

    left = sorted(texts)
    while left:
        document = left[0]
        try:
            await author.configs.publish(
                author.settings.rules_group, document, texts[document], there.get(document)
            )
        except NacosError as error:
            for each in left:
                told.outcome(each, "not published")
            told.end()
            fail([str(error)])
        told.outcome(document, "published")
        del left[0]


async def _read_all(author: "NacosAuthor") -> "dict[str, Stored]":
    """Return all documents of the group that are not encrypted. Ends if there is no such namespace."""
    group = author.settings.rules_group
    listed = await author.listing.documents()
    doubt = None if listed else await author.listing.namespace_doubt()
    if doubt and doubt.is_certain:
        fail([doubt.text], MISUSED)
    if doubt:
        typer.echo(f"grayplane: {doubt.text}", err=True)
    # No name leads out of a directory that it is written into.
    plain = (each for each in listed if kind_of(each) is not None and PurePath(each).name == each)
    names = [each for each in plain if not is_encrypted(each)]
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


def _check(
    new: Mapping[str, bytes], there: "Mapping[str, Stored]", settings: Settings, told: Outcomes
) -> None:
    """Tell what is wrong with new documents beside those that are there; end if any has an error."""
    now = datetime.now(UTC)
    parsed: dict[DocumentId, ParsedDocument] = {}
    read = partial(
        parse,
        exact_only=settings.exact_only,
        groups=settings.stated_naming_groups,
        webhook_hosts=settings.rollouts.allowed_webhooks,
    )
    for each, stored in there.items():
        parsed[DocumentId("", each)] = read(each, stored.text.encode())
    store = DocumentStore()
    store.load(parsed)
    for each, content in sorted(new.items()):
        store.apply(DocumentId("", each), read(each, content, advice_at=now))
    problems = store.problems()
    wrong = [
        each
        for each, content in sorted(new.items())
        if told.problems(each, content, problems.get(DocumentId("", each), ()))
    ]
    if wrong:
        for each in sorted(new):
            told.outcome(each, "rejected" if each in wrong else "not published")
        told.end()
        fail(["nothing was published"], FAILED)


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
