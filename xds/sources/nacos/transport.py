"""One gRPC connection to one Nacos server, on the transport of nacos-sdk-python.

Of the SDK only the wire layer is used: the handshake, the encoding of requests and the models of both. Its
clients above that are not used. They lose an update that lands while the one before is fetched, subscribe
again up to 30 s after a reconnect, do not notice when the server ends their stream, wait for ever on a login,
and keep snapshots and logs on disk.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import grpc.aio

from xds.sources.nacos.errors import NacosError, UnreachableError, os_reason
from xds.sources.nacos.http import ssl_context
from xds.sources.nacos.sdk import (
    CONNECTION_RESET_REQUEST_TYPE,
    INVALID_INTERFACE_ERROR,
    UN_REGISTER,
    ClientConfig,
    ClientDetectionRequest,
    ClientDetectionResponse,
    Constants,
    ErrorResponse,
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
from xds.sources.nacos.settings import NacosServer, NacosSettings, Tls
from xds.sources.nacos.wire_models import MODELS

Module = Literal["config", "naming"]
"""Which half of Nacos a connection is for."""

_HEALTH_CHECK = 5.0
"""Seconds between health checks of a silent server."""

_KEEPALIVE_MS = 10_000

_LARGEST_ANSWER = 24 << 20
"""Bytes. Nacos takes documents of up to 10 MiB, and JSON may escape every second character."""

# The SDK logs requests and failures in its own words. What matters of them is reported here.
_SDK_LOG = logging.getLogger("xds.sources.nacos.sdk")
_SDK_LOG.setLevel(logging.CRITICAL + 1)


class Transport(GrpcClient):  # type: ignore[misc]  # the SDK is untyped
    """One attempt at a connection, and the connection. ``pushed`` answers what the server sends by itself."""

    def __init__(
        self,
        settings: NacosSettings,
        server: NacosServer,
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
        # Set once the connection is of no use any more. Written by whoever notices.
        self.lost = asyncio.Event()
        self._timeout = settings.request_timeout
        self._tls = settings.tls
        self._pushed = pushed
        # The open channel; None before ``open``.
        self._channel: grpc.aio.Channel | None = None

    async def open(self) -> None:
        """Connect. Raise ``UnreachableError``."""
        await self._reach()
        try:
            self.current_connection = await self.connect_to_server(
                ServerInfo(self.server.host, self.server.grpc_port)
            )
        except (NacosException, TimeoutError, OSError) as error:
            await self.close()
            raise UnreachableError(self._unreached(self._handshake_reason(error))) from error
        except BaseException:
            await self.close()
            raise
        if self.current_connection is None:
            await self.close()
            raise UnreachableError(self._unreached("the server is not ready"))

    async def _reach(self) -> None:
        """Connect a socket first: gRPC alone does not say why it cannot, and waits to find out."""
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(
                    self.server.host.strip("[]"), self.server.grpc_port, **self._probe_tls()
                )
            writer.close()
        except TimeoutError:
            raise UnreachableError(self._unreached(self._silence)) from None
        except OSError as error:
            raise UnreachableError(self._unreached(os_reason(error))) from None

    def _probe_tls(self) -> dict[str, Any]:
        if self._tls is None:
            return {}
        return {"ssl": ssl_context(self._tls), "server_hostname": self._tls.server_name or self.server.host}

    @property
    def _silence(self) -> str:
        return f"no answer within {self._timeout:g} s"

    def _handshake_reason(self, error: BaseException) -> str:
        """Say why the handshake failed. The SDK wraps errors in its own, with the cause as context."""
        for each in _causes(error):
            if isinstance(each, grpc.aio.AioRpcError):
                if each.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    return self._silence
                return each.details() or each.code().name
            if isinstance(each, OSError) and not isinstance(each, TimeoutError):
                return f"{each.filename or ''} {os_reason(each)}".strip()
        return self._silence

    def _unreached(self, reason: str) -> str:
        port = self.server.grpc_port
        return f"Nacos {self.server} cannot be reached on its gRPC port {port}: {reason}"

    async def _create_new_managed_channel(self, server_ip: str, grpc_port: int) -> grpc.aio.Channel:
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", _LARGEST_ANSWER),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),  # As for HTTP: a proxy of the environment is not for Nacos.
        ]
        target = f"{server_ip}:{grpc_port}"
        if self._tls:
            if self._tls.server_name:
                options.append(("grpc.ssl_target_name_override", self._tls.server_name))
            credentials = await asyncio.to_thread(_channel_credentials, self._tls)
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        else:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        async with asyncio.timeout(self._timeout):
            await self._channel.channel_ready()
        return self._channel

    async def _server_request_watcher(self, grpc_conn: GrpcConnection) -> None:
        """Answer the server's requests for as long as its stream lasts, however it ends."""
        try:
            with suppress(Exception):  # gRPC's errors mean no more here than the end of the stream.
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
            else self._pushed(request)
        )
        if reply is not None:
            reply.set_request_id(request.get_request_id())
            await connection.send_bi_request(GrpcUtils.convert_response_to_payload(reply))

    async def call(self, request: Request) -> Response:
        """Return the answer to a request, be it an error.

        Raise ``UnreachableError``, and ``NacosError`` for an answer that cannot be understood.
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
        except grpc.aio.AioRpcError as error:
            raise self._call_error(error) from error
        response = _parsed(answer)
        if response is None:
            raise NacosError(f"{self.server} answers {payload.metadata.type} with what no Nacos does")
        return response

    def _call_error(self, error: grpc.aio.AioRpcError) -> NacosError:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return NacosError(f"the answer of {self.server} is too large ({error.details()})")
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return UnreachableError(self._unreached(self._silence))
        return UnreachableError(self._unreached(error.details() or error.code().name))

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


def _channel_credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=tls.ca.read_bytes() if tls.ca else None,
        private_key=tls.key.read_bytes() if tls.key else None,
        certificate_chain=tls.cert.read_bytes() if tls.cert else None,
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the errors behind an error, the first cause first."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return reversed(chain)


async def _queued(queue: asyncio.Queue[Any]) -> AsyncIterator[Any]:
    """Yield what is put into a queue, until None. The SDK's own waits on after the stream has ended."""
    while (payload := await queue.get()) is not None:
        yield payload


def _parsed(payload: Any) -> Any:
    """Return the model of a payload; None of one that is not known.

    An error is parsed as such, whatever it is called: it lacks what its model requires. Nulls are left out:
    some servers send them for what is not there, and the models refuse them.
    """
    model = MODELS.get(payload.metadata.type)
    try:
        body = json.loads(payload.body.value, object_hook=_without_nulls)
        if body.get("resultCode", 200) != 200:
            return ErrorResponse.model_validate(body)
        return model and model.model_validate(body)
    except ValueError:
        return None


def _without_nulls(json_object: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in json_object.items() if value is not None}


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
