"""What tests are run with: real Envoys, upstream services, free ports, raw HTTP."""

PATIENCE = 120.0
"""Seconds until a test gives up waiting, on however loaded a machine; nothing is asserted about how long a
thing took. ``timeout`` in ``pyproject.toml`` has room for several such waits, so these say what failed.
"""
