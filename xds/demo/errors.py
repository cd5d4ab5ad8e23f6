"""What keeps the demo from running, told to the person who started it."""


class DemoError(Exception):
    """The demo cannot run, or not any longer. ``lines`` say why, each for itself."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
