"""`grayplane demo`."""

from pathlib import Path
from typing import Annotated

import typer

from xds.cli.errors import FAILED, fail, settings_errors
from xds.settings import flag, load

Port = typer.Option(min=1, max=65535, metavar="PORT")


def demo(
    *,
    nacos: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Keep rules and instances in this Nacos.", show_default=False),
    ] = None,
    directory: Annotated[Path, typer.Option(help="Where the demo keeps its files.")] = Path(".demo"),
    edge_port: Annotated[int, Port] = 10000,
    xds_port: Annotated[int, Port] = 18000,
    http_port: Annotated[int, Port] = 18080,
    admin_port: Annotated[
        int, typer.Option(min=1, max=65535, metavar="PORT", help="Envoy's admin port.")
    ] = 9901,
    sample_ports: Annotated[
        str, typer.Option(metavar="PORT,PORT,PORT", help="For reviews v1, reviews v2 and ratings v1.")
    ] = "9101,9102,9103",
) -> None:
    """Run Grayplane, a real Envoy and sample services here, until Ctrl-C; show where requests go.

    Rules are in .demo/rules, copied from the examples at the first start, for you to change. With --nacos
    they are in your Nacos, and the sample services register there.
    """
    try:
        from xds.demo.errors import DemoError  # noqa: PLC0415
        from xds.demo.plan import DemoDirectory, DemoPlan, samples  # noqa: PLC0415
        from xds.demo.run import run  # noqa: PLC0415
    except ImportError as error:
        fail([f"{error.name} is not installed; the demo needs: pip install 'grayplane[demo]'"])
    files = DemoDirectory(directory)
    ports = {"xds.port": str(xds_port), "http.port": str(http_port), "edge.port": str(edge_port)}
    flags = {**files.settings(), **ports, "source": "files"}
    if nacos is not None:
        flags |= {"source": "nacos", "nacos.server": nacos}
    with settings_errors():
        settings = load(
            flags=[flag(path, value, f"--{_FLAGS.get(path, path)}") for path, value in flags.items()]
        )
    plan = DemoPlan(files, settings, flags, admin_port, samples(*_three_ports(sample_ports)))
    try:
        run(plan)
    except DemoError as error:
        fail(error.lines, FAILED)


_FLAGS = {
    "xds.port": "xds-port",
    "http.port": "http-port",
    "edge.port": "edge-port",
    "nacos.server": "nacos",
}


def _three_ports(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and 0 < int(part) < 65536 for part in parts):
        raise typer.BadParameter(f"{text!r} is not three ports, such as 9101,9102,9103")
    return [int(part) for part in parts]
