"""An OpenTelemetry collector for tests: takes traces by OTLP over gRPC and keeps them."""

from collections.abc import Mapping
from typing import NamedTuple, Self

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Trace(NamedTuple):
    """A span without a parent, and those below it, by name."""

    root: Span
    steps: Mapping[str, Span]

    def attributes(self, step: str | None = None) -> dict[str, object]:
        """Return the attributes of the root or of a step."""
        span = self.root if step is None else self.steps[step]
        found: dict[str, object] = {}
        for pair in span.attributes:
            kind = pair.value.WhichOneof("value")
            value = getattr(pair.value, kind or "")
            found[pair.key] = [each.string_value for each in value.values] if kind == "array_value" else value
        return found


class Collector:
    """A collector on a free port. ``received`` is the requests as they came."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]]
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(self._export)}
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    @property
    def resources(self) -> list[dict[str, str]]:
        """The attributes of those who sent traces."""
        return [
            {pair.key: pair.value.string_value for pair in part.resource.attributes}
            for request in self.received
            for part in ExportTraceServiceRequest.FromString(request).resource_spans
        ]

    @property
    def traces(self) -> list[Trace]:
        """The traces that came, in the order of their beginnings."""
        spans = [
            span
            for request in self.received
            for part in ExportTraceServiceRequest.FromString(request).resource_spans
            for scope in part.scope_spans
            for span in scope.spans
        ]
        roots = sorted(
            (span for span in spans if not span.parent_span_id), key=lambda it: it.start_time_unix_nano
        )
        return [
            Trace(root, {span.name: span for span in spans if span.parent_span_id == root.span_id})
            for root in roots
        ]

    async def _export(self, request: bytes, _: object) -> bytes:
        self.received.append(request)
        return ExportTraceServiceResponse().SerializeToString()
