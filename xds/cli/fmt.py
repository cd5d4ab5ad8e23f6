"""`grayplane fmt`."""

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from xds.cli.documents import STDIN, FilesArgument, NameFlag, contents_of
from xds.cli.errors import FAILED
from xds.cli.output import OutputFlag, show_json
from xds.documents.formatting import FormatError, formatted


def fmt(
    files: FilesArgument,
    *,
    name: NameFlag = "stdin.yaml",
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if anything would.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; show what would.")] = False,
    output: OutputFlag = "text",
) -> None:
    """Bring documents into one layout. Comments, the order of keys and what documents say stay as they are.

    What comes from standard input (-) goes to standard output.
    """
    if output == "json":
        _as_json(contents_of(files, name), change=not (check or diff))
    would_change = failed = False
    for file, content in contents_of(files, name).items():
        try:
            text = formatted(str(file), content)
        except FormatError as error:
            typer.echo(f"grayplane: {error}", err=True)
            failed = True
            continue
        changed = text.encode() != content
        would_change |= changed
        if diff:
            _show(file, content, text)
        elif files == [STDIN] and not check:
            sys.stdout.write(text)
        elif changed:
            typer.echo(f"{file}: {'would be laid out anew' if check else 'laid out anew'}")
            if not check:
                file.write_bytes(text.encode())
    raise typer.Exit(FAILED if failed or (would_change and (check or diff)) else 0)


def _as_json(contents: Mapping[Path, bytes], *, change: bool) -> NoReturn:
    """Do the same for programs: say of each document whether it changes, and why it cannot be read."""
    documents: list[dict[str, object]] = []
    failed = False
    for file, content in contents.items():
        try:
            text = formatted(str(file), content)
        except FormatError as error:
            failed = True
            documents.append({"document": str(file), "changed": False, "error": str(error)})
            continue
        changed = text.encode() != content
        if changed and change and file.exists():
            file.write_bytes(text.encode())
        failed |= changed and not change
        documents.append({"document": str(file), "changed": changed, "error": None, "text": text})
    show_json({"documents": documents})
    raise typer.Exit(FAILED if failed else 0)


def _show(file: Path, content: bytes, text: str) -> None:
    before = content.decode(errors="replace").splitlines(keepends=True)
    lines = difflib.unified_diff(before, text.splitlines(keepends=True), str(file), str(file))
    sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n" for line in lines)
