"""Whatever clients, changes and the network do, each response is right and each client ends right."""

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.unit.protocol.machine import Machine

pytestmark = pytest.mark.slow

# The same play on every run, so that no change fails for what it did not do. To play on, leave out
# ``derandomize`` and raise ``max_examples``.
TestProtocol = Machine.TestCase
TestProtocol.settings = settings(
    max_examples=500,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
