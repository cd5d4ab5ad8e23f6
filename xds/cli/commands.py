"""The commands there are."""

from typing import Annotated

import typer

from xds.cli import (
    bootstrap,
    demo,
    diff,
    explain,
    fmt,
    imports,
    nacos,
    rollout,
    serve,
    status,
    token,
    validate,
)

_HELP = "Grayplane: gray rules in, Envoy configuration out."


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version as installed_version  # noqa: PLC0415  # for this flag alone

        typer.echo(f"grayplane {installed_version('grayplane')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(_root)
app.command("serve")(serve.serve)
app.command("validate")(validate.validate)
app.command("lint")(validate.lint)
app.command("diff")(diff.diff)
app.command("fmt")(fmt.fmt)
app.add_typer(imports.app, name="import")
app.command("explain")(explain.explain_command)
app.command("publish")(nacos.publish)
app.command("pull")(nacos.pull)
app.command("history")(nacos.history)
app.command("rollback")(nacos.rollback)
app.command("status")(status.status)
app.command("proxies")(status.proxies)
app.command("top")(status.top)
app.command("bootstrap")(bootstrap.print_bootstrap)
app.command("token")(token.token)
app.command("demo")(demo.demo)
app.add_typer(rollout.app, name="rollout")


@app.command()
def version() -> None:
    """Print the version."""
    _print_version(True)
