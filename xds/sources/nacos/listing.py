"""Which rule documents exist, and what they contain by MD5: Nacos's listing over HTTP.

Nacos 3 has `GET /v3/admin/cs/config/list`; Nacos 2, and servers that speak its API, have
`GET /v1/cs/configs?search=accurate`, which 3.2 removed.
"""

from typing import Any

from xds.sources.nacos.errors import NacosError, RefusedError
from xds.sources.nacos.http import Answer, Http
from xds.sources.nacos.identity import Identity
from xds.sources.nacos.settings import NacosSettings

_PAGE = 100
_V3 = "/v3/admin/cs/config/list"
_V1 = "/v1/cs/configs"


class Listing:
    """Lists the documents of the group of rules."""

    def __init__(self, settings: NacosSettings, http: Http, identity: Identity) -> None:
        self._settings = settings
        self._http = http
        self._identity = identity
        self._path: str | None = None

    async def documents(self) -> dict[str, str]:
        """The MD5 of every document, by dataId. Raises ``NacosError``; never leaves a page out."""
        listed: dict[str, str] = {}
        number = 1
        while True:
            page = await self._page(number)
            for item in page["pageItems"] or ():
                # Nacos 3 searches with LIKE, to which the underscore in GRAY_GROUP is any character.
                if item.get("groupName", item.get("group")) == self._settings.rules_group:
                    listed[item["dataId"]] = item["md5"]
            if number >= page["pagesAvailable"]:
                return listed
            number += 1

    async def _page(self, number: int) -> Any:
        for path in (self._path,) if self._path else (_V3, _V1):
            headers = await self._identity.for_config()
            answer = await self._http.request("GET", path, query=self._query(path, number), headers=headers)
            if answer.status in (401, 403):
                self._identity.refused()
                raise RefusedError(self._refusal(answer))
            if answer.status in (404, 410, 501):
                continue
            return await self._items(answer, path)
        self._path = None
        raise NacosError(
            f"{answer.server} has no list of configurations (HTTP {answer.status}: {answer.excerpt}); "
            "is it the main port of a Nacos server of version 2 or 3, and not that of its console?"
        )

    async def _items(self, answer: Answer, path: str) -> Any:
        body = await answer.json() if answer.status == 200 else None
        page = body.get("data") if path == _V3 and isinstance(body, dict) else body
        if not isinstance(page, dict) or "pageItems" not in page or "pagesAvailable" not in page:
            raise NacosError(
                f"{answer.server} cannot list its configurations (HTTP {answer.status}: {answer.excerpt})"
            )
        self._path = path
        return page

    def _query(self, path: str, number: int) -> dict[str, str]:
        page = {"pageNo": str(number), "pageSize": str(_PAGE)}
        tenant, group = self._settings.config_tenant, self._settings.rules_group
        if path == _V3:
            return page | {"search": "blur", "dataId": "*", "groupName": group, "namespaceId": tenant}
        return page | {"search": "accurate", "dataId": "", "group": group, "tenant": tenant}

    def _refusal(self, answer: Answer) -> str:
        who = self._settings.username or self._settings.access_key
        remedy = (
            f"let {who!r} read configurations there"
            if who
            else "set nacos.username and nacos.password of who may"
        )
        return (
            f"{answer.server} refuses to list group {self._settings.rules_group} of namespace "
            f"{self._settings.namespace or 'public'!r} (HTTP {answer.status}: {answer.excerpt}); {remedy}"
        )
