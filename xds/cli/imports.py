"""`grayplane import`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from xds.cli.documents import STDIN, FilesArgument
from xds.cli.errors import FAILED, MISUSED, fail
from xds.documents.formatting import formatted
from xds.rules.imports import Imported, import_gateway_api, import_istio
from xds.rules.parse import parse

app = typer.Typer(no_args_is_help=True, help="Make rule documents of what other systems call routes.")


GatewayFlag = Annotated[str, typer.Option(help="Proxy group that serves the hosts.")]
OutputFlag = Annotated[
    Path | None, typer.Option("--output", "-o", help="Directory to write to. Default: standard output.")
]


@app.command("istio")
def istio(files: FilesArgument, gateway: GatewayFlag = "edge", output: OutputFlag = None) -> None:
    """Make a rule document for each service of VirtualServices and DestinationRules.

    What cannot be carried over is told by name on standard error, never dropped in silence. Files that are
    there already are not overwritten. Exits 1 if a document came out that is not valid.
    """
    _write(import_istio(list(_manifests(files)), gateway), output)


@app.command("gateway-api")
def gateway_api(files: FilesArgument, gateway: GatewayFlag = "edge", output: OutputFlag = None) -> None:
    """Make a rule document for each HTTPRoute and GRPCRoute.

    Backends become subsets; give their Services too, whose selectors become the labels. What cannot be
    carried over is told by name on standard error. Files that are there already are not overwritten.
    """
    _write(import_gateway_api(list(_manifests(files)), gateway), output)


def _manifests(files: list[Path]) -> Iterator[dict[str, Any]]:
    """Yield the manifests in files, as Kubernetes reads them: several in a file, and lists of them."""
    for file in files:
        try:
            text = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
            manifests = list(yaml.safe_load_all(text))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            fail([f"{file}: {error}"], MISUSED)
        for manifest in manifests:
            if isinstance(manifest, dict):
                yield from manifest["items"] if str(manifest.get("kind")).endswith("List") else (manifest,)


def _write(imported: Imported, output: Path | None) -> None:
    for note in imported.notes:
        typer.echo(note, err=True)
    failed = False
    for name, document in imported.documents.items():
        text = formatted(name, yaml.dump(document, sort_keys=False, allow_unicode=True, width=1000).encode())
        for problem in parse(name, text.encode()).problems:
            typer.echo(str(problem), err=True)
        failed |= parse(name, text.encode()).content is None
        if output is None:
            typer.echo(f"# {name}\n{text}")
        elif (path := output / name).exists():
            typer.echo(f"grayplane: {path} is there already", err=True)
            failed = True
        else:
            path.write_text(text, encoding="utf-8")
            typer.echo(f"{path}: written")
    if failed:
        raise typer.Exit(FAILED)
