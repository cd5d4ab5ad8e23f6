"""Whatever clients, changes and the network do, each response is right and each client ends right."""

from hypothesis import HealthCheck, settings

from tests.unit.protocol.machine import Machine

TestProtocol = Machine.TestCase
TestProtocol.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
