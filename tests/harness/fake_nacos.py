"""A Nacos that misbehaves when told to: its wire protocols of version 3, over data that a test sets.

What a well-behaved server does is tested with a real one (tests/nacos).
"""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc.aio
from aiohttp import web
from google.protobuf.any_pb2 import Any as ProtobufAny
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2_grpc import (
    BiRequestStreamServicer,
    RequestServicer,
    add_BiRequestStreamServicer_to_server,
    add_RequestServicer_to_server,
)

from tests.harness.nacos import port_pair

Json = dict[str, Any]
GROUP = "GRAY_GROUP"
FORBIDDEN = {"resultCode": 500, "errorCode": 403, "message": "user not found!"}
NO_HANDLER = {"resultCode": 500, "errorCode": 302, "message": "RequestHandler Not Found"}
CAS_FAILED = {"resultCode": 500, "errorCode": 101, "message": "Cas publish fail"}
UNREGISTERED = {"resultCode": 500, "errorCode": 301, "message": "Connection is unregistered."}


FakeT = TypeVar("FakeT", bound="FakeNacos")


def md5(content: str) -> str:
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


class FakeNacos(RequestServicer, BiRequestStreamServicer):  # type: ignore[misc]  # the SDK is untyped
    """Answers with what its attributes say."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.documents: dict[str, str] = {}
        self.other_documents: dict[str, dict[str, str]] = {}
        """The documents of groups other than GRAY_GROUP."""
        self.services: dict[str, list[Json]] = {}
        self.other_groups: dict[str, dict[str, list[Json]]] = {}
        """The services of naming groups other than DEFAULT_GROUP."""
        self.before: dict[str, Callable[[Json], None]] = {}
        """Called before a request of a type is answered, with its body."""
        self.instead: dict[str, Json] = {}
        """Answers to give instead, by request type."""
        self.requests: list[tuple[str, Json, dict[str, str]]] = []
        self.registrations: list[str] = []
        self.logins: list[dict[str, str]] = []
        self.password: str | None = None
        self.token = "token-1"
        self.token_seconds = 18000.0
        self._token_ends = 0.0
        self.login_status = 200
        self.groups: set[str] | None = None
        """The groups that a user may read; None: all. As in Nacos, a request without a group asks for all."""
        self.namespaces: dict[str, str] = {"": "public"}
        """The names of namespaces, by id. Left empty, they are told to nobody."""
        self.history: dict[str, list[str]] = {}
        """The earlier texts of documents, the oldest first."""
        self.data_keys: dict[str, str] = {}
        """The encryptedDataKey of documents."""
        self.betas: dict[str, str] = {}
        """Documents for the address of the client."""
        self.silent = asyncio.Event()
        """Cleared, HTTP requests are not answered."""
        self.silent.set()
        self._streams: list[asyncio.Queue[Payload | None]] = []

    @property
    def connections(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def push(self, kind: str, body: Json) -> None:
        """Send a request to every client."""
        for stream in self._streams:
            stream.put_nowait(_payload(kind, body))

    def end_streams(self) -> None:
        """Complete every client's stream, as when a server discards its connections: not an error to gRPC."""
        for stream in self._streams:
            stream.put_nowait(None)

    async def requestBiStream(self, requests: AsyncIterator[Payload], context: Any) -> AsyncIterator[Payload]:  # noqa: N802
        outgoing: asyncio.Queue[Payload | None] = asyncio.Queue()
        self._streams.append(outgoing)
        reading = asyncio.ensure_future(self._drain(requests))
        try:
            while (payload := await outgoing.get()) is not None:
                yield payload
        finally:
            reading.cancel()
            self._streams.remove(outgoing)

    async def _drain(self, requests: AsyncIterator[Payload]) -> None:
        async for payload in requests:
            kind, body = payload.metadata.type, json.loads(payload.body.value)
            self.requests.append((kind, body, {}))
            if kind in self.before:
                self.before[kind](body)

    async def request(self, payload: Payload, context: Any) -> Payload:
        kind, body = payload.metadata.type, json.loads(payload.body.value)
        self.requests.append((kind, body, dict(payload.metadata.headers)))
        if kind in self.before:
            self.before[kind](body)
        if kind in self.instead:
            return _payload("ErrorResponse", self.instead[kind])
        if kind not in {"ServerCheckRequest", "HealthCheckRequest"} and not self._may(
            payload.metadata.headers, body.get("groupName") or body.get("group") or "*"
        ):
            return _payload(kind.replace("Request", "Response"), FORBIDDEN | {"serviceNames": None})
        if not hasattr(self, f"_{kind}"):
            return _payload("ErrorResponse", NO_HANDLER)
        name, answer = getattr(self, f"_{kind}")(body)
        return _payload(name, answer)

    def _ServerCheckRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        return "ServerCheckResponse", {"connectionId": "1"}

    def _HealthCheckRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        return "HealthCheckResponse", {}

    def _ConfigQueryRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        documents = self._documents(body["group"])
        beta = self.betas.get(body["dataId"])
        content = documents.get(body["dataId"]) if beta is None else beta
        if content is None:
            return "ConfigQueryResponse", {
                "resultCode": 500,
                "errorCode": 300,
                "message": "config data not exist",
            }
        return "ConfigQueryResponse", {
            "content": content,
            "md5": md5(content),
            "beta": beta is not None,
            "encryptedDataKey": self.data_keys.get(body["dataId"]),
        }

    def _ConfigBatchListenRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        changed = [
            {"dataId": each["dataId"], "group": each["group"], "tenant": each["tenant"]}
            for each in body["configListenContexts"]
            if self._md5(each["dataId"]) != each["md5"]
        ]
        return "ConfigChangeBatchListenResponse", {"changedConfigs": changed}

    def _md5(self, data_id: str) -> str:
        content = self.betas.get(data_id, self.documents.get(data_id))
        return "" if content is None else md5(content)

    def _ServiceListRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        first = (body["pageNo"] - 1) * body["pageSize"]
        group = body["groupName"]
        names = sorted(self._services(group))
        page = [f"{group}@@{name}" for name in names[first : first + body["pageSize"]]]
        return "ServiceListResponse", {"count": len(names), "serviceNames": page}

    def _SubscribeServiceRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        # Some servers push what they answer too.
        self.push("NotifySubscriberRequest", self._service(body))
        return "SubscribeServiceResponse", self._service(body)

    def _ServiceQueryRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        return "QueryServiceResponse", {"message": None, "requestId": None} | self._service(body)

    def _InstanceRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        self.registrations.append(body["type"])
        if body["groupName"] != "DEFAULT_GROUP":
            hosts = self.other_groups.setdefault(body["groupName"], {}).setdefault(body["serviceName"], [])
            hosts[:] = [each for each in hosts if each["port"] != body["instance"]["port"]]
            if body["type"] == "registerInstance":
                hosts.append(body["instance"])
        return "InstanceResponse", {}

    def _service(self, body: Json) -> Json:
        name, group = body["serviceName"], body["groupName"]
        hosts = self._services(group).get(name, [])
        return {"serviceInfo": {"name": name, "groupName": group, "hosts": hosts}}

    def _services(self, group: str) -> dict[str, list[Json]]:
        return self.services if group == "DEFAULT_GROUP" else self.other_groups.get(group, {})

    def _may(self, headers: Mapping[str, str], group: str) -> bool:
        if self.groups is not None and group not in self.groups:
            return False
        if self.password is None:
            return True
        return headers.get("accessToken") == self.token and time.monotonic() < self._token_ends

    async def login(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.logins.append(form | {"query": request.query_string})
        if self.login_status != 200:
            return web.Response(status=self.login_status, text="no leader")
        if form["password"] != self.password:
            return web.json_response({"code": 403, "message": "unknown user!"}, status=403)
        self._token_ends = time.monotonic() + self.token_seconds
        return web.json_response({"accessToken": self.token, "tokenTtl": self.token_seconds})

    async def list_documents(self, request: web.Request) -> web.Response:
        if not self._may(request.headers, request.query["groupName"]):
            return web.json_response({"code": 403, "message": "user not found!"}, status=403)
        await self.silent.wait()
        number, size = int(request.query["pageNo"]), int(request.query["pageSize"])
        group = request.query["groupName"]
        documents = self._documents(group)
        names = sorted(documents)
        items = [
            {"dataId": name, "groupName": group, "md5": md5(documents[name])}
            for name in names[(number - 1) * size : number * size]
        ]
        page: Json = {
            "totalCount": len(names),
            "pageNumber": number,
            "pagesAvailable": -(-len(names) // size),
        }
        return web.json_response({"code": 0, "message": "success", "data": page | {"pageItems": items}})

    async def list_history(self, request: web.Request) -> web.Response:
        entries = self.history.get(request.query["dataId"], [])
        items = [
            {"id": str(id_), "opType": "U         ", "srcUser": "ann", "modifyTime": 1764000000000}
            for id_, _ in enumerate(entries, 1)
        ]
        return web.json_response({"code": 0, "data": {"totalCount": len(items), "pageItems": items}})

    async def history_entry(self, request: web.Request) -> web.Response:
        texts, number = self.history.get(request.query["dataId"], []), int(request.query["nid"])
        if number > len(texts):
            missing = {"code": 20004, "message": "resource not found", "data": f"nid = {number} not exist"}
            return web.json_response(missing, status=404, dumps=_compact)
        text = texts[number - 1]
        return web.json_response({"code": 0, "data": {"id": request.query["nid"], "content": text}})

    def _ConfigPublishRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        data_id, documents = body["dataId"], self._documents(body["group"])
        if data_id in documents:
            if body["casMd5"] and body["casMd5"] != md5(documents[data_id]):
                return "ConfigPublishResponse", CAS_FAILED
            self.history.setdefault(data_id, []).append(documents[data_id])
        documents[data_id] = body["content"]
        return "ConfigPublishResponse", {}

    def _ConfigRemoveRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        self._documents(body["group"]).pop(body["dataId"], None)
        return "ConfigRemoveResponse", {}

    def _documents(self, group: str) -> dict[str, str]:
        return self.documents if group == GROUP else self.other_documents.setdefault(group, {})

    async def list_namespaces(self, request: web.Request) -> web.Response:
        if not self.namespaces:
            return web.json_response({"code": 403, "message": "authorization failed!"}, status=403)
        listed = [{"namespace": each, "namespaceShowName": name} for each, name in self.namespaces.items()]
        return web.json_response({"code": 0, "message": "success", "data": listed})


class FakeNacos3(FakeNacos):
    """The same with what Nacos 2 lacks: a fuzzy watch."""

    def _ConfigFuzzyWatchRequest(self, body: Json) -> tuple[str, Json]:  # noqa: N802
        assert body["groupKeyPattern"] == f"public>>{GROUP}>>*"
        contexts = [self._context(name, "ADD_CONFIG") for name in sorted(self.documents)]
        self.push(
            "ConfigFuzzyWatchSyncRequest", {"syncType": "FUZZY_WATCH_INIT_NOTIFY", "contexts": contexts}
        )
        return "ConfigFuzzyWatchResponse", {}

    def announce(self, data_id: str, change: str) -> None:
        """Tell of a document that was created or deleted."""
        self.push("ConfigFuzzyWatchChangeNotifyRequest", self._context(data_id, change))

    def _context(self, data_id: str, change: str) -> Json:
        return {"groupKey": f"{data_id}+{GROUP}+public", "changeType": change}


def _compact(answer: Json) -> str:
    """JSON as Nacos writes it."""
    return json.dumps(answer, separators=(",", ":"))


def _payload(kind: str, body: Json) -> Payload:
    return Payload(metadata=Metadata(type=kind), body=ProtobufAny(value=json.dumps(body).encode()))


@asynccontextmanager
async def fake_nacos(kind: type[FakeT]) -> AsyncIterator[FakeT]:
    """A fake that serves for the length of a block."""
    port = port_pair()
    fake = kind(port)
    server = grpc.aio.server()
    add_RequestServicer_to_server(fake, server)
    add_BiRequestStreamServicer_to_server(fake, server)
    server.add_insecure_port(f"127.0.0.1:{port + 1000}")
    await server.start()
    app = web.Application()
    app.router.add_post("/nacos/v3/auth/user/login", fake.login)
    app.router.add_get("/nacos/v3/admin/cs/config/list", fake.list_documents)
    app.router.add_get("/nacos/v3/admin/core/namespace/list", fake.list_namespaces)
    app.router.add_get("/nacos/v3/admin/cs/history/list", fake.list_history)
    app.router.add_get("/nacos/v3/admin/cs/history", fake.history_entry)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield fake
    finally:
        with contextlib.suppress(TimeoutError):
            await server.stop(0)
        await runner.cleanup()
