"""Which rule documents exist, and what they contain by MD5: Nacos's listing over HTTP.

Nacos 3 has `GET /v3/admin/cs/config/list`; Nacos 2, and servers that speak its API, have
`GET /v1/cs/configs?search=accurate`, which 3.2 removed.
"""

from pydantic import AliasChoices, BaseModel, Field

from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError
from xds.sources.nacos.http import Answer, Http
from xds.sources.nacos.settings import NacosSettings

_PAGE = 100
_V3 = "/v3/admin/cs/config/list"
_V1 = "/v1/cs/configs"


class _Item(BaseModel):
    data_id: str = Field(alias="dataId")
    group: str = Field(validation_alias=AliasChoices("groupName", "group"))
    md5: str | None = None


class _Page(BaseModel):
    items: list[_Item] | None = Field(alias="pageItems")
    pages: int = Field(alias="pagesAvailable")


class _Result(BaseModel):
    data: _Page


class Listing:
    """Lists the documents of the group of rules."""

    def __init__(self, settings: NacosSettings, http: Http, credentials: Credentials) -> None:
        self._settings = settings
        self._http = http
        self._credentials = credentials
        self._path: str | None = None

    async def documents(self) -> dict[str, str]:
        """The MD5 of every document, by dataId. Raises ``NacosError``; never leaves a page out."""
        listed: dict[str, str] = {}
        number = 1
        while True:
            page = await self._page(number)
            for item in page.items or ():
                # Nacos 3 searches with LIKE, to which the underscore in GRAY_GROUP is any character.
                if item.group == self._settings.rules_group:
                    listed[item.data_id] = item.md5 or ""
            if number >= page.pages:
                return listed
            number += 1

    async def _page(self, number: int) -> _Page:
        for path in (self._path,) if self._path else (_V3, _V1):
            headers = await self._credentials.for_config()
            answer = await self._http.request("GET", path, query=self._query(path, number), headers=headers)
            if answer.status in {401, 403}:
                self._credentials.refused()
                raise RefusedError(self._refusal(answer))
            if answer.status in {404, 410, 501}:
                continue
            page = await answer.parsed(_Page) if path == _V1 else (await answer.parsed(_Result)).data
            self._path = path
            return page
        self._path = None
        raise NacosError(
            f"{answer.server} has no list of configurations (HTTP {answer.status}: {answer.excerpt}); "
            "is it the main port of a Nacos server of version 2 or 3, and not that of its console?"
        )

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
