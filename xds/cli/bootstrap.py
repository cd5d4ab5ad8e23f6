"""`grayplane bootstrap`."""

from typing import Annotated

import typer

from xds.bootstrap import BootstrapError, Kind, Values, bootstrap
from xds.cli.errors import MISUSED, fail
from xds.cli.values import host_port

Port = Annotated[int | None, typer.Option(min=1, max=65535, show_default=False)]


def print_bootstrap(
    kind: Annotated[Kind, typer.Argument(help="What to print a bootstrap for.", show_default=False)],
    *,
    xds: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where Grayplane is.", show_default=False)
    ] = None,
    node_id: Annotated[
        str | None,
        typer.Option("--id", help="node.id, unique for every proxy and gRPC client.", show_default=False),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="node.cluster, the proxy group.", show_default=False)
    ] = None,
    admin_port: Port = None,
    service: Annotated[
        str | None, typer.Option(help="Sidecar: the application's own service.", show_default=False)
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(help="Sidecar: a service that the application calls. Repeatable.", show_default=False),
    ] = None,
    app_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Sidecar: the application's port on 127.0.0.1.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the bootstrap of an Envoy, or of a gRPC client, filled in.

    What is left out stays as in the files of envoy/. For example:
    grayplane bootstrap edge --id edge-7 --xds grayplane.internal:18000 > edge.yaml
    """
    values = Values(
        id=node_id,
        cluster=cluster,
        xds=host_port(xds) if xds is not None else None,
        admin_port=admin_port,
        service=service,
        upstreams=upstream,
        app_port=app_port,
    )
    try:
        text = bootstrap(kind, values)
    except BootstrapError as error:
        fail([str(error)], MISUSED)
    typer.echo(text, nl=False)
