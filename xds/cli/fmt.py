"""`grayplane fmt`."""

import difflib
import sys
from pathlib import Path
from typing import Annotated

import typer

from xds.cli.documents import STDIN, FilesArgument, NameFlag, contents_of
from xds.cli.errors import FAILED
from xds.documents.formatting import FormatError, formatted


def fmt(
    files: FilesArgument,
    name: NameFlag = "stdin.yaml",
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if anything would.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; show what would.")] = False,
) -> None:
    """Bring documents into one layout. Comments, the order of keys and what documents say stay as they are.

    What comes from standard input (-) goes to standard output.
    """
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


def _show(file: Path, content: bytes, text: str) -> None:
    before = content.decode(errors="replace").splitlines(keepends=True)
    lines = difflib.unified_diff(before, text.splitlines(keepends=True), str(file), str(file))
    sys.stdout.writelines(line if line.endswith("\n") else f"{line}\n" for line in lines)
