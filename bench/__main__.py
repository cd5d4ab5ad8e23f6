"""``python -m bench [NAME …] [--quick] [--write FILE]``."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import document
from bench.scale import FULL, QUICK
from xds import gc_tuning, logs

_WIDTH = 140  # columns, for the widest table

NAMES = (
    "edit_to_bytes",
    "edit_to_streams",
    "wire_bytes",
    "memory",
    "slow_reader",
    "storm",
    "burst",
    "envoy_edit",
    "weight_changes",
    "lists",
    "lanes",
    "instances",
    "cold_start",
    "push_profile",
    "encode",
    "load_reports",
    "grpc_streams",
    "evaluations",
    "nacos_publish",
    "watched_services",
    "replicas",
    "server_processes",
)


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Which: {', '.join(NAMES)}. All if none.")
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes, few runs: to see that it works.")
    ] = False,
    write: Annotated[Path | None, typer.Option(help="Put the tables into this Markdown file.")] = None,
) -> None:
    """Measure Grayplane beside its peer and its limits, and print tables."""
    if unknown := set(names or ()) - set(NAMES):
        raise typer.BadParameter(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    gc_tuning.look_rarely()  # as in production, for what is measured in this process
    console = Console(width=max(Console().width, _WIDTH))
    for name in names or NAMES:
        with _logging_as_in_production():
            tables = importlib.import_module(f"bench.{name}").measure(QUICK if quick else FULL)
        for table in tables:
            table.show(console)
        if write:
            document.put(write, name, tables)


@contextlib.contextmanager
def _logging_as_in_production() -> Iterator[None]:
    """Have what logs in this process do so, into nothing: what an edit costs has a log line in it."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        logs.configure("info", "json")
        yield


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
