"""How a command ends when it cannot do what it was asked to."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from xds.settings import InvalidSettingsError

FAILED = 1
MISUSED = 2


def fail(lines: Iterable[str], code: int = FAILED) -> NoReturn:
    """Tell what is wrong, a line each, and end."""
    for line in lines:
        typer.echo(f"grayplane: {line}", err=True)
    raise typer.Exit(code)


@contextmanager
def settings_errors() -> Iterator[None]:
    """Turn invalid settings into lines and exit code 2."""
    try:
        yield
    except InvalidSettingsError as error:
        fail(error.errors, MISUSED)
