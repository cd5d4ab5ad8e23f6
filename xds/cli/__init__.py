"""The command line, `grayplane`.

Exit codes: 0 done, or stopped by SIGINT or SIGTERM; 1 it could not be done (an invalid rule document, a
taken port, a process of the demo that died); 2 it was not asked for in a way that can be understood (an
unknown flag, a wrong setting). A mistake of the user's gets a line on standard error, never a traceback.

Commands import what they need when they run: `grayplane version` does not wait for a gRPC server to load.
"""

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


def main() -> None:
    """Run the command line."""
    app(prog_name="grayplane")
