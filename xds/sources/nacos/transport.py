"""One gRPC connection to one Nacos server, on the transport of nacos-sdk-python.

What is used of the SDK is its wire layer: connecting and setting up, encoding and decoding of requests,
the models of both. Its clients above that are not, for reasons that showed in use: they lose an update
that lands while the one before is fetched, subscribe again up to 30 s after a reconnect, do not notice
when the server ends their stream, wait for ever on a login, and keep snapshots and logs on disk.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Literal

from xds.sources.nacos.errors import NacosError, UnreachableError, os_reason
from xds.sources.nacos.sdk import (
    CONNECTION_RESET_REQUEST_TYPE,
    INVALID_INTERFACE_ERROR,
    UN_REGISTER,
    ClientConfig,
    ClientDetectionRequest,
    ClientDetectionResponse,
    Constants,
    GrpcClient,
    GrpcConnection,
    GrpcUtils,
    HealthCheckRequest,
    NacosException,
    NetUtils,
    Request,
    Response,
    ServerInfo,
    SetupAckRequest,
)
from xds.sources.nacos.settings import NacosSettings, Server

Module = Literal["config", "naming"]
"""Which half of Nacos a connection is for."""

_HEALTH_CHECK = 5.0
"""Seconds between asking a silent server whether it is there."""

# The SDK logs requests and failures in its own words; what matters of them we report.
_SDK_LOG = logging.getLogger("xds.sources.nacos.sdk")
_SDK_LOG.setLevel(logging.CRITICAL + 1)


class Transport(GrpcClient):  # type: ignore[misc]  # the SDK is untyped
    """One attempt at a connection, and the connection."""

    def __init__(
        self,
        settings: NacosSettings,
        server: Server,
        module: Module,
        pushed: Callable[[Request], Response | None],
    ) -> None:
        config = ClientConfig(namespace_id=settings.config_tenant)
        config.grpc_config.grpc_timeout = int(settings.request_timeout * 1000)
        super().__init__(_SDK_LOG, f"grayplane-{module}", config, None)
        self.put_all_labels(
            {
                Constants.LABEL_SOURCE: Constants.LABEL_SOURCE_SDK,
                Constants.LABEL_MODULE: module,
                Constants.APP_NAME_HEADER: "grayplane",
            }
        )
        self.server = server
        self.lost = asyncio.Event()
        self._timeout = settings.request_timeout
        self._answer = pushed
        self._channel: Any = None

    async def open(self) -> None:
        """Connect. Raises ``UnreachableError``."""
        await self._reach()
        try:
            self.current_connection = await self.connect_to_server(
                ServerInfo(self.server.host, self.server.grpc_port)
            )
        except (NacosException, TimeoutError) as error:
            await self.close()
            raise UnreachableError(self._unreached(str(error))) from error
        except BaseException:
            await self.close()
            raise
        if self.current_connection is None:
            await self.close()
            raise UnreachableError(f"Nacos {self.server} is not ready")

    async def _reach(self) -> None:
        """Connect a socket first: gRPC alone would not say why it cannot, and would wait to find out."""
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(self.server.host.strip("[]"), self.server.grpc_port)
            writer.close()
        except TimeoutError:
            raise UnreachableError(self._unreached("no answer")) from None
        except OSError as error:
            raise UnreachableError(self._unreached(os_reason(error))) from None

    def _unreached(self, reason: str) -> str:
        port = self.server.grpc_port
        return f"Nacos {self.server} cannot be reached on its gRPC port {port}: {reason}"

    async def _create_new_managed_channel(self, server_ip: str, grpc_port: int) -> Any:
        self._channel = await super()._create_new_managed_channel(server_ip, grpc_port)
        return self._channel

    async def _server_request_watcher(self, grpc_conn: GrpcConnection) -> None:
        """Answer the server's requests for as long as its stream lasts, however it ends."""
        try:
            with suppress(Exception):  # gRPC's errors, which mean no more than the end of the stream.
                async for payload in grpc_conn.bi_stream_client.requestBiStream(_queued(grpc_conn.queue)):
                    if payload.metadata.type == CONNECTION_RESET_REQUEST_TYPE:
                        break  # The server wants us to go to another one of the cluster.
                    await self._handle(payload, grpc_conn)
        finally:
            grpc_conn.queue.put_nowait(None)
            self.lost.set()

    async def _handle(self, payload: Any, connection: GrpcConnection) -> None:
        request = _parsed(payload)
        if request is None:
            return  # Of a kind that was not asked for.
        if isinstance(request, SetupAckRequest):
            await self.setup_ack_request_handler.request_reply(request)
            return
        reply = (
            ClientDetectionResponse()
            if isinstance(request, ClientDetectionRequest)
            else self._answer(request)
        )
        if reply is not None:
            reply.set_request_id(request.get_request_id())
            await connection.send_bi_request(GrpcUtils.convert_response_to_payload(reply))

    async def call(self, request: Request) -> Response:
        """The answer to a request, be it an error. Raises ``UnreachableError``, and ``NacosError`` for an
        answer that cannot be understood.
        """
        payload = GrpcUtils.convert_request_to_payload(request)
        try:
            answer = await self.current_connection.client.request(payload, timeout=self._timeout)
        except asyncio.CancelledError:
            # Closing a channel cancels its calls, which looks to who awaits them as if they were cancelled.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise UnreachableError(
                f"Nacos {self.server} did not answer before the connection was lost"
            ) from None
        except Exception as error:
            raise _call_error(self.server, error) from error
        response = _parsed(answer)
        if response is None:
            raise NacosError(f"{self.server} answers {payload.metadata.type} with what no Nacos does")
        return response

    async def until_lost(self) -> None:
        """Return when the connection is of no use any more."""
        while not self.lost.is_set():
            try:
                async with asyncio.timeout(_HEALTH_CHECK):
                    await self.lost.wait()
            except TimeoutError:
                await self._check()

    async def _check(self) -> None:
        try:
            response = await self.call(HealthCheckRequest())
        except NacosError:
            self.lost.set()
            return
        if response.get_error_code() == UN_REGISTER:
            self.lost.set()

    async def close(self) -> None:
        """Close the connection, or what there is of one."""
        if self._channel is not None:
            await self._channel.close()


async def _queued(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    """What is put into a queue, until None: the SDK's own would wait on after the stream has ended."""
    while (payload := await queue.get()) is not None:
        yield payload


def _parsed(payload: Any) -> Any:
    """The SDK's model of a payload; None of one it does not know.

    Without the nulls, which some servers send for what is not there and the models refuse.
    """
    model = GrpcUtils.remote_type.get(payload.metadata.type)
    try:
        return model and model.model_validate(json.loads(payload.body.value, object_hook=_without_nulls))
    except ValueError:
        return None


def _without_nulls(json_object: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in json_object.items() if value is not None}


def _call_error(server: Server, error: Exception) -> NacosError:
    """What an error of gRPC means, which has a code and details."""
    code = getattr(error, "code", None)
    details = getattr(error, "details", None)
    reason = (details() if callable(details) else str(error)) or type(error).__name__
    if callable(code) and code().name == "RESOURCE_EXHAUSTED":
        return NacosError(f"the answer of {server} is too large ({reason})")
    return UnreachableError(f"Nacos {server} does not answer: {reason}")


def _local_address_or_loopback(find: Callable[[], str]) -> Callable[[], str]:
    def local_address() -> str:
        try:
            return find()
        except NacosException as error:
            if error.error_code != INVALID_INTERFACE_ERROR:
                raise
            return "127.0.0.1"

    return local_address


# The SDK sends its own address along and cannot do without one, even where there is only the loopback.
NetUtils.get_local_ip = staticmethod(_local_address_or_loopback(NetUtils.get_local_ip))
