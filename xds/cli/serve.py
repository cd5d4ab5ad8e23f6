"""`grayplane serve`."""

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from xds import app, logs
from xds.cli.errors import MISUSED, fail, settings_errors
from xds.cli.values import assignment
from xds.errors import StartError
from xds.out_of_memory import end_when_out_of_memory
from xds.settings import Given, Settings, flag, load

ConfigFlag = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; also GRAYPLANE_CONFIG.", show_default=False),
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any other setting: --set edge.port=10001. Repeatable."),
]


def serve(
    *,
    config: ConfigFlag = None,
    source: Annotated[str | None, typer.Option(help="Where rules come from: files or nacos.")] = None,
    rules: Annotated[str | None, typer.Option(help="Directory of rule documents.")] = None,
    services: Annotated[str | None, typer.Option(help="Directory of instances.")] = None,
    nacos: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Take rules and instances from this Nacos.")
    ] = None,
    xds_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port that proxies connect to.")
    ] = None,
    settings: SetFlag = None,
) -> None:
    """Serve gray rules to proxies, until SIGINT or SIGTERM.

    Without any setting: rules from config/rules and instances from config/services, to proxies on this
    machine. Flags beat the environment (GRAYPLANE_XDS__PORT), which beats the settings file.
    """
    named = {"source": source, "files.rules": rules, "files.services": services, "xds.port": xds_port}
    flags = [flag(path, value, _flag_name(path)) for path, value in named.items() if value is not None]
    if nacos is not None:
        flags += nacos_flags(nacos)
    flags += [assignment(text) for text in settings or ()]
    with settings_errors():
        loaded = load(config, flags)
    if loaded.source == "files" and (missing := list(_missing_directories(loaded))):
        fail(missing, MISUSED)
    _run(loaded)


def nacos_flags(server: str) -> list[Given]:
    """Return what ``--nacos host:port`` stands for."""
    return [flag("source", "nacos", "--nacos"), flag("nacos.server", server, "--nacos")]


def _flag_name(path: str) -> str:
    return "--xds-port" if path == "xds.port" else "--" + path.rpartition(".")[2]


def _missing_directories(settings: Settings) -> Iterator[str]:
    for name, path in (("rules", settings.files.rules), ("services", settings.files.services)):
        if not path.is_dir():
            there = path.absolute()
            yield f"files.{name}: no directory {there}; name one by --{name}, or use --nacos HOST:PORT"


def _run(settings: Settings) -> None:
    _write_no_core_files()
    logs.configure(settings.log.level, settings.log.format)
    try:
        asyncio.run(_until_signal(settings))
    except StartError as error:
        fail([str(error)])


def _write_no_core_files() -> None:
    """See to it that a crash leaves no private keys, tokens and passwords on the disk; for children, too."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


async def _until_signal(settings: Settings) -> None:
    task = asyncio.current_task()
    assert task is not None
    end_when_out_of_memory()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await app.serve(settings)
