"""What is optional: nothing of it is loaded unless it is set, and nobody waits for it."""

import asyncio
import subprocess
import sys

import pytest

from tests.harness.ports import free_port
from xds.composition.edit_traces import EditTraces, edit_traces_of
from xds.documents import DocumentId
from xds.errors import StartError
from xds.settings import Tracing
from xds.status import events


def test_without_settings_no_optional_library_is_loaded() -> None:
    program = (
        "import sys, xds.app, xds.composition.control_plane, xds.cli;"
        "from xds.settings import Settings; from xds.sources.change_buffer import ChangeBuffer;"
        "xds.composition.control_plane.ControlPlane(Settings(), ChangeBuffer());"
        "loaded = {'authlib', 'joserfc', 'opentelemetry.sdk', 'opentelemetry.exporter'} & sys.modules.keys();"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_it_does_not_start_without_the_libraries_that_a_setting_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartError, match=r"tracing\.endpoint needs more libraries.*grayplane\[otel\]"):
        edit_traces_of(Tracing(endpoint="http://127.0.0.1:4317"))
    assert edit_traces_of(Tracing()) is None


async def stop_without_a_collector() -> None:
    """Trace more than is kept, and stop."""
    traces = EditTraces(f"http://127.0.0.1:{free_port()}")
    running = asyncio.create_task(traces.run(lambda _: None))
    for number in range(3000):
        document = DocumentId("", f"{number}.yaml")
        traces.sink(events.EditsTaken({document: 1.0}))
        traces.sink(events.DocumentRejected(document, waits=False))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=60)
    assert running.cancelled()


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    # In a process of its own: the exporter's thread goes on trying for some time, and uses ``random``, which
    # hypothesis forbids in its tests.
    program = f"import asyncio; from {__name__} import stop_without_a_collector as run; asyncio.run(run())"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
