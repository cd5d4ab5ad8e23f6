"""Values of flags that more than one command takes."""

import typer

from xds.settings import Given, flag


def host_port(text: str) -> tuple[str, int]:
    """Read ``host:port``; an IPv6 address is written ``[::1]:18000``."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise typer.BadParameter(f"{text!r} is not host:port, such as 127.0.0.1:18000")
    return host, int(port)


def assignment(text: str) -> Given:
    """Read ``path.of.setting=value``."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise typer.BadParameter(f"{text!r} is not path=value, such as xds.port=18001")
    return flag(path, value, f"--set {path}")
