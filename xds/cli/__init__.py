"""The command line, `grayplane`.

Exit codes: 0 done, or stopped by SIGINT or SIGTERM; 1 it could not be done (an invalid rule document, a
taken port, a process of the demo that died); 2 it was not asked for in a way that can be understood (an
unknown flag, a wrong setting). A mistake of the user's gets a line on standard error, never a traceback.

Commands import what they need when they run: `grayplane version` does not wait for a gRPC server to load.
"""

from xds import gc_tuning


def main() -> None:
    """Run the command line."""
    # Before anything else is imported, which makes objects by the hundred thousand.
    gc_tuning.look_rarely()
    with gc_tuning.paused():
        from xds.cli.commands import app  # noqa: PLC0415

    app(prog_name="grayplane")
