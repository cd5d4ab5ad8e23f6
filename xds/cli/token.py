"""`grayplane token`."""

import json
from typing import Annotated

import typer

from xds.cli.output import OutputFlag, show_json


def token(
    name: Annotated[str, typer.Argument(help="Whose token it is, for the audit log.", show_default=False)],
    role: Annotated[str, typer.Option(help="viewer, or operator: rollouts and publishing, too.")] = "viewer",
    output: OutputFlag = "text",
) -> None:
    """Make a token for the HTTP API, and the line for http.tokens in the settings that lets it in.

    The token itself is shown this once; the settings hold its hash.
    """
    if role not in {"viewer", "operator"}:
        raise typer.BadParameter(f"{role!r} is not a role: viewer or operator", param_hint="--role")
    from xds.http.access import new_token  # noqa: PLC0415  # slow to load

    text, hashed = new_token()
    if output == "json":
        show_json({"token": text, "setting": {"name": name, "role": role, "sha256": hashed}})
        return
    typer.echo(f"token, for {name} to keep:  {text}")
    # Quoted: a hash may look like a number.
    typer.echo(f'line for http.tokens:  - {{name: {json.dumps(name)}, role: {role}, sha256: "{hashed}"}}')
