"""`grayplane bootstrap`."""

from pathlib import Path
from typing import Annotated

import typer

from xds.bootstrap import BootstrapError, BootstrapKind, ClientTls, Values, bootstrap, envoy_secrets
from xds.cli.errors import MISUSED, fail
from xds.cli.values import host_port

Port = Annotated[int | None, typer.Option(min=1, max=65535, show_default=False)]


def print_bootstrap(
    kind: Annotated[BootstrapKind, typer.Argument(help="What to print a bootstrap for.", show_default=False)],
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
    region: Annotated[
        str | None, typer.Option(help="Where it runs, as instances say their region.", show_default=False)
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            help="Where it runs, as instances say their zone: for localityLbSetting.", show_default=False
        ),
    ] = None,
    tls: Annotated[
        Path | None,
        typer.Option(
            help="Speak mutual TLS with Grayplane: the directory of tls.crt, tls.key and ca.crt.",
            show_default=False,
        ),
    ] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="With --tls, for Envoy: the directory to write the files to that it reads its secrets from.",
            show_default=False,
        ),
    ] = None,
    server_name: Annotated[
        str | None,
        typer.Option(
            help="With --tls: the name in Grayplane's certificate, by default the host of --xds.",
            show_default=False,
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
        region=region,
        zone=zone,
        tls=_client_tls(kind, tls, secrets, server_name or (xds and host_port(xds)[0])),
    )
    try:
        text = bootstrap(kind, values)
    except BootstrapError as error:
        fail([str(error)], MISUSED)
    if values.tls and kind is not BootstrapKind.GRPC_CLIENT:
        for name, content in envoy_secrets(values.tls).items():
            (values.tls.secrets / name).write_text(content, encoding="utf-8")
    typer.echo(text, nl=False)


def _client_tls(
    kind: BootstrapKind, directory: Path | None, secrets: Path | None, server_name: str | None
) -> ClientTls | None:
    if directory is None:
        if secrets is not None:
            fail(["--secrets goes with --tls"], MISUSED)
        return None
    if server_name is None:
        fail(["--tls needs the name in Grayplane's certificate: give --xds or --server-name"], MISUSED)
    if kind is BootstrapKind.GRPC_CLIENT:
        return ClientTls(directory.absolute(), directory, server_name)
    if secrets is None or not secrets.is_dir():
        fail(["--tls needs --secrets, a directory to write the files to that Envoy reads"], MISUSED)
    return ClientTls(directory.absolute(), secrets.absolute(), server_name)
