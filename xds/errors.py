"""Errors that go through all layers, for the command line to tell: importing it needs none of them."""


class StartError(Exception):
    """The program cannot start; the message says which setting to mend."""


class MissingExtraError(StartError):
    """A setting needs libraries that are not installed."""

    def __init__(self, setting: str, extra: str) -> None:
        super().__init__(f"{setting} needs more libraries: pip install 'grayplane[{extra}]'")


class BindError(StartError):
    """The address cannot be listened on."""
