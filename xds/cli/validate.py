"""`grayplane validate` and `grayplane lint`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from xds.cli.documents import FilesArgument, NameFlag, contents_of, id_of, in_store, parse_beside, tell
from xds.cli.errors import settings_errors
from xds.cli.output import OutputFlag
from xds.cli.serve import ConfigFlag
from xds.documents.identity import EXTENSIONS
from xds.documents.problem import Problem
from xds.rules.lint import lint_instances
from xds.rules.parse import ParsedDocument
from xds.settings import load
from xds.sources.files.instances import parse_instances


def validate(
    files: FilesArgument,
    config: ConfigFlag = None,
    name: NameFlag = "stdin.yaml",
    output: OutputFlag = "text",
) -> None:
    """Check documents, each by itself and all beside each other; exit 1 if any has an error.

    Documents that are checked together must fit together: not two for one service, nor for one host on one
    gateway. Lists and lanes that lie beside a document are known to it. What gateways can serve is taken from
    the settings, as by `serve`.
    """
    with settings_errors():
        settings = load(config)
    contents = contents_of(files, name)
    problems = in_store(parse_beside(contents, settings)).problems()
    tell(contents, {file: problems.get(id_of(file), ()) for file in contents}, output)


def lint(
    files: FilesArgument,
    *,
    config: ConfigFlag = None,
    name: NameFlag = "stdin.yaml",
    services: Annotated[
        Path | None,
        typer.Option(
            "--services", help="Directory of instances to check subsets by. Default: the settings'."
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings, too.")] = False,
    output: OutputFlag = "text",
) -> None:
    """Check documents as `validate` does, and say what their authors can hardly mean.

    Rules that can never match or overlap, regular expressions that cost much, subsets without instances or
    with none in service, words that do nothing. Each with its line and with advice.
    """
    with settings_errors():
        settings = load(config)
    contents = contents_of(files, name)
    parsed = parse_beside(contents, settings, datetime.now(UTC))
    problems = in_store(parsed).problems()
    found = {file: [*problems.get(id_of(file), ())] for file in contents}
    directory = services or (settings.files.services if settings.source == "files" else None)
    if directory and directory.is_dir():
        for file in contents:
            found[file] += _of_instances(str(file), parsed[file], directory)
    tell(contents, found, output, strict=strict)


def _of_instances(document: str, parsed: ParsedDocument, directory: Path) -> Iterator[Problem]:
    rule = parsed.rule
    paths = (directory / f"{rule.service}{extension}" for extension in EXTENSIONS) if rule else ()
    path = next((path for path in paths if path.is_file()), None)
    if rule and path:
        instances = parse_instances(str(path), path.read_bytes())
        if instances.instances is not None:
            yield from lint_instances(
                document,
                rule,
                instances.instances,
                parsed.positions,
                grpc_clients="grpc" in rule.clients,
            )
        yield from instances.problems
