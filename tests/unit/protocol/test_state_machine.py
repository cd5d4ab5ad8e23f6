"""Whatever clients, changes and the network do, each response is right and each client ends right."""

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.protocol.machine import Machine
from tests.unit.protocol.traced import TracedStream
from xds.protocol.states import TRANSITIONS

pytestmark = pytest.mark.slow

# The same plays on every run, so that no change fails for what it did not do. To play on, leave out
# ``derandomize`` and raise ``max_examples``.
PLAYS = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def play() -> None:
    """Play, and compare the steps seen with the table."""
    TracedStream.seen.clear()
    run_state_machine_as_test(Machine, settings=PLAYS)
    table = {(before, step, after) for (before, step), afters in TRANSITIONS.items() for after in afters}
    seen = set(TracedStream.seen)
    assert not seen - table, "the code does what the table does not say"
    # A few are rare; in 3,000 plays all are seen.
    assert len(table & seen) > 0.7 * len(table), "the table says what the code does not do"


def test_every_response_is_right_and_every_step_is_in_the_table() -> None:
    # In a process of its own: hypothesis draws also from the constants of all modules that are imported.
    played = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import play; play()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
