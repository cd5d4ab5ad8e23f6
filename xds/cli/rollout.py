"""`grayplane rollout …`: rollouts, looked at and steered."""

import typer

from xds.cli.rollout_simulation import simulate

app = typer.Typer(help="Watch and steer rollouts.", no_args_is_help=True)
app.command("simulate")(simulate)
