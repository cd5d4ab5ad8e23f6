"""Sends the traces of edits to an OpenTelemetry collector (OTLP over gRPC). It needs the extra ``otel``.

Nothing of OpenTelemetry is loaded unless ``tracing.endpoint`` is set.
"""

import asyncio
import importlib.util
import socket
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from xds.documents import DocumentId
from xds.errors import MissingExtraError
from xds.settings import Tracing
from xds.status import DocumentStatus, Edits, EditTrace, Sink

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Status as SpanStatus

_LOOK_EVERY = 0.05  # seconds, while an edit is under way
_REST = 0.5  # seconds, while none is
_STOP_WITHIN = 2.0  # seconds, to send what is left
_EXPORT_TIMEOUT = 5  # seconds, of one request to the collector
_MOST_WAITING = 2048  # spans that wait for a collector that is away; later ones are dropped


class EditTraces:
    """Follows edits and sends a trace of each that is over. ``sink`` has to be told what the status tells."""

    def __init__(self, endpoint: str) -> None:
        self._provider = _provider(endpoint)
        self._tracer = self._provider.get_tracer("grayplane", version("grayplane"))
        self._edits = Edits(self._send, time.time)
        self.sink: Sink = self._edits

    async def run(self, status_of: Callable[[DocumentId], DocumentStatus | None]) -> None:
        """Find what is over, until cancelled; then send what is left."""
        try:
            while True:
                await asyncio.sleep(_LOOK_EVERY if self._edits.under_way else _REST)
                self._edits.look(status_of)
        finally:
            # It sends what is left, without end while the collector is away: nobody waits for its thread.
            stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
            stopping.start()
            await asyncio.to_thread(stopping.join, _STOP_WITHIN)

    def _send(self, edit: EditTrace) -> None:
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415  # optional

        root = self._tracer.start_span(
            f"edit {edit.document.name}", attributes=_attributes(edit), start_time=_ns(edit.start)
        )
        within = set_span_in_context(root)
        for part in edit.spans:
            span = self._tracer.start_span(
                part.name, within, attributes=dict(part.attributes), start_time=_ns(part.start)
            )
            if part.error:
                span.set_status(_error(part.error))
            span.end(_ns(part.end))
        if edit.error:
            root.set_status(_error(edit.error))
        root.end(_ns(edit.end))


def edit_traces_of(settings: Tracing) -> EditTraces | None:
    """Return what sends traces by some settings; None if they say no collector.

    Raise ``MissingExtraError`` if the libraries are not installed.
    """
    if settings.endpoint is None:
        return None
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        raise MissingExtraError("tracing.endpoint", "otel")
    return EditTraces(settings.endpoint)


def _provider(endpoint: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415  # optional
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # optional
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # optional
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # optional

    described = {
        "service.name": "grayplane",
        "service.version": version("grayplane"),
        "service.instance.id": socket.gethostname(),
    }
    provider = TracerProvider(resource=Resource.create(described), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(
        endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=_EXPORT_TIMEOUT
    )
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=_MOST_WAITING, schedule_delay_millis=1000)
    )
    return provider


def _attributes(edit: EditTrace) -> Mapping[str, str | int | list[str]]:
    programmed, of = edit.proxies
    found: dict[str, str | int | list[str]] = {
        "grayplane.document": edit.document.name,
        "grayplane.namespace": edit.document.namespace,
        "grayplane.services": [service.name for service in edit.services],
        "grayplane.outcome": edit.outcome,
        "grayplane.proxies.programmed": programmed,
        "grayplane.proxies.of": of,
    }
    return {**found, "grayplane.revision": edit.revision} if edit.revision else found


def _error(reason: str) -> "SpanStatus":
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  # optional

    return Status(StatusCode.ERROR, reason)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
