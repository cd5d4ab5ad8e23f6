"""What all tests have in common."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

# Machines are noisy: how long an example takes says nothing.
settings.register_profile("grayplane", deadline=None)
settings.load_profile("grayplane")

Figures = Callable[[str, object], None]
"""Notes a figure of the current test by its name; they are printed after the run."""

_FIGURE = "figure: "


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figures:
    def note(name: str, value: object) -> None:
        record_property(_FIGURE + name, f"{value:.2f}" if isinstance(value, float) else str(value))

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the figures that tests noted."""
    lines = []
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        figures = [
            f"{name.removeprefix(_FIGURE)} {value}"
            for name, value in report.user_properties
            if name.startswith(_FIGURE)
        ]
        if figures and report.when == "call":
            lines.append(f"{report.nodeid.rpartition('::')[2]}: {', '.join(figures)}")
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines):
            terminalreporter.line(line)
