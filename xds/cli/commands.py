"""The commands there are."""

import typer

from xds.cli import bootstrap, demo, serve, validate

_HELP = "Grayplane: gray rules in, Envoy configuration out."

app = typer.Typer(help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("serve")(serve.serve)
app.command("validate")(validate.validate)
app.command("bootstrap")(bootstrap.print_bootstrap)
app.command("demo")(demo.demo)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed_version  # noqa: PLC0415

    typer.echo(f"grayplane {installed_version('grayplane')}")
