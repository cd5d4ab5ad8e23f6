"""gRPC health checking (``grpc.health.v1``): whether the server answers, as a whole and by service."""

import asyncio
from collections.abc import Iterable

import grpc.aio
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE: str = health.SERVICE_NAME
FILE: FileDescriptor = health_pb2.DESCRIPTOR  # type: ignore[assignment]  # its stubs have another

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """NOT_SERVING until ``opened`` is set, SERVING from then on until ``end``."""

    def __init__(self, server: grpc.aio.Server, services: Iterable[str], opened: asyncio.Event) -> None:
        self._servicer = health.aio.HealthServicer()
        self._services = ("", *services)
        self._opened = opened
        # Waits for ``opened``; None before ``begin``.
        self._following: asyncio.Task[None] | None = None
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def begin(self) -> None:
        """Report NOT_SERVING, and follow ``opened`` in the background."""
        await self._report(_NOT_SERVING)
        self._following = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Report NOT_SERVING for good."""
        if self._following:
            self._following.cancel()
        await self._servicer.enter_graceful_shutdown()

    async def _follow(self) -> None:
        await self._opened.wait()
        await self._report(_SERVING)

    async def _report(self, status: int) -> None:
        for service in self._services:
            await self._servicer.set(service, status)
