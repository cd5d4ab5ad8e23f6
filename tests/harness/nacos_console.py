"""What an operator does in the Nacos console, over whichever HTTP API the server has."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.harness.nacos import NacosServer

RULES_GROUP = "GRAY_GROUP"
NAMING_GROUP = "DEFAULT_GROUP"


class Console:
    """Works in one namespace of a server."""

    def __init__(self, http: httpx.AsyncClient, namespace: str, *, v3: bool) -> None:
        self._http = http
        self._v3 = v3
        self._published: set[tuple[str, str]] = set()
        self.namespace = namespace

    async def create_namespace(self) -> None:
        if self._v3:
            form = {"namespaceId": self.namespace, "namespaceName": self.namespace, "namespaceDesc": "test"}
            await self._call("POST", "/v3/admin/core/namespace", form)
        else:
            names = {"customNamespaceId": self.namespace, "namespaceName": self.namespace}
            await self._call("POST", "/v1/console/namespaces", names | {"namespaceDesc": "test"})

    async def leave(self) -> None:
        """Delete what we published, and the namespace if the server lets us: some want it empty of services,
        which outlive their last instance for a while.
        """
        for data_id, group in sorted(self._published):
            await self.delete(data_id, group)
        path = "/v3/admin/core/namespace" if self._v3 else "/v1/console/namespaces"
        await self._http.delete(f"/nacos{path}", params={"namespaceId": self.namespace})

    async def publish(self, data_id: str, content: str, group: str = RULES_GROUP) -> None:
        await self._call(
            "POST", self._configs, self._document(data_id, group) | {"content": content, "type": "yaml"}
        )
        self._published.add((data_id, group))

    async def delete(self, data_id: str, group: str = RULES_GROUP) -> None:
        await self._call("DELETE", self._configs, self._document(data_id, group))

    async def read(self, data_id: str, group: str = RULES_GROUP) -> str | None:
        """The text of a document, as the console shows it; None if there is none."""
        response = await self._http.get(f"/nacos{self._configs}", params=self._document(data_id, group))
        if response.status_code == 404:
            return None
        text = response.raise_for_status().text
        found = (json.loads(text)["data"] or {"content": None})["content"] if self._v3 else text
        return None if found is None else str(found)

    @property
    def _configs(self) -> str:
        return "/v3/admin/cs/config" if self._v3 else "/v1/cs/configs"

    def _document(self, data_id: str, group: str) -> dict[str, str]:
        if self._v3:
            return {"dataId": data_id, "groupName": group, "namespaceId": self.namespace}
        return {"dataId": data_id, "group": group, "tenant": self.namespace}

    async def register(
        self,
        service: str,
        address: str,
        port: int,
        metadata: Mapping[str, str] | None = None,
        *,
        weight: float = 1,
        enabled: bool = True,
        group: str = NAMING_GROUP,
    ) -> None:
        """Add a persistent instance, or change it; services register ephemeral ones (``registered``)."""
        more = {
            "metadata": json.dumps(dict(metadata or {})),
            "weight": str(weight),
            "enabled": json.dumps(enabled),
            "healthy": "true",
        }
        await self._call("POST", self._instances, self._instance(service, address, port, group) | more)

    async def deregister(self, service: str, address: str, port: int, group: str = NAMING_GROUP) -> None:
        await self._call("DELETE", self._instances, self._instance(service, address, port, group))

    async def subscribers(self, service: str) -> int:
        """How many clients the server tells of changes of a service."""
        path = "/v3/admin/ns/service/subscribers" if self._v3 else "/v1/ns/service/subscribers"
        about = {"namespaceId": self.namespace, "groupName": NAMING_GROUP, "serviceName": service}
        response = await self._http.get(f"/nacos{path}", params={**about, "pageNo": "1", "pageSize": "10"})
        said = response.raise_for_status().json()
        return int(said["data"]["totalCount"] if self._v3 else said["count"])

    @property
    def _instances(self) -> str:
        return "/v3/admin/ns/instance" if self._v3 else "/v1/ns/instance"

    def _instance(self, service: str, address: str, port: int, group: str = NAMING_GROUP) -> dict[str, str]:
        return {
            "namespaceId": self.namespace,
            "groupName": group,
            "serviceName": service,
            "ip": address,
            "port": str(port),
            "ephemeral": "false",
        }

    async def _call(self, method: str, path: str, form: Mapping[str, str]) -> Any:
        place = "params" if method == "DELETE" else "data"
        url = f"/nacos{path}"
        try:
            response = await self._http.request(method, url, **{place: form})  # type: ignore[arg-type]
        except httpx.RemoteProtocolError:  # The server closed an idle connection just then.
            response = await self._http.request(method, url, **{place: form})  # type: ignore[arg-type]
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        return response.text


@asynccontextmanager
async def console(server: NacosServer, namespace: str) -> AsyncIterator[Console]:
    """A console on a namespace that exists for as long as the block runs."""
    async with httpx.AsyncClient(base_url=f"http://{server.address}", timeout=30, trust_env=False) as http:
        if server.username:
            form = {"username": server.username, "password": server.password}
            login = await http.post("/nacos/v1/auth/users/login", data=form)
            if login.status_code != 200:
                login = await http.post("/nacos/v3/auth/user/login", data=form)
            http.headers["accessToken"] = login.raise_for_status().json()["accessToken"]
        listing = "/nacos/v3/admin/cs/config/list?search=blur&pageNo=1&pageSize=1&dataId=*&groupName=*"
        v3 = (await http.get(listing)).status_code == 200
        works = Console(http, namespace, v3=v3)
        await works.create_namespace()
        try:
            yield works
        finally:
            await works.leave()
