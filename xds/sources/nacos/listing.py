"""What there is in Nacos, by its listings over HTTP: documents with their MD5, and namespaces.

Documents: Nacos 3 has ``GET /v3/admin/cs/config/list``. Nacos 2, and servers that speak its API, have
``GET /v1/cs/configs?search=accurate``, which Nacos 3.2 removed.
"""

from typing import NamedTuple

from pydantic import AliasChoices, BaseModel, Field

from xds.sources.nacos.credentials import Credentials
from xds.sources.nacos.errors import NacosError, RefusedError
from xds.sources.nacos.http import Answer, Http
from xds.sources.nacos.settings import NacosSettings

_PAGE = 100
_V3 = "/v3/admin/cs/config/list"
_V1 = "/v1/cs/configs"
_NAMESPACES = ("/v3/admin/core/namespace/list", "/v1/console/namespaces")
_MAX_NAMED = 10
"""How many namespaces a message names."""


class _Item(BaseModel):
    data_id: str = Field(alias="dataId")
    group: str = Field(validation_alias=AliasChoices("groupName", "group"))
    md5: str | None = None


class _Page(BaseModel):
    items: list[_Item] | None = Field(alias="pageItems")
    pages: int = Field(alias="pagesAvailable")


class _Result(BaseModel):
    data: _Page


class _Namespace(BaseModel):
    id: str = Field(alias="namespace")
    name: str = Field(default="", alias="namespaceShowName")


class _Namespaces(BaseModel):
    data: list[_Namespace]


class Doubt(NamedTuple):
    """Why a namespace may not be the one that is meant. Not certain: it may well be, and hold nothing."""

    text: str
    is_certain: bool = True


class Listing:
    """Lists the documents of the group of rules, and checks the namespace."""

    def __init__(self, settings: NacosSettings, http: Http, credentials: Credentials) -> None:
        self._settings = settings
        self._http = http
        self._credentials = credentials
        # Which of the two APIs the server has; None before it is known. Written by ``_page``.
        self._path: str | None = None

    async def documents(self, group: str | None = None) -> dict[str, str]:
        """Return the MD5 of every document of a group, by dataId; by default of the group of rules.

        Raise ``NacosError``; never leaves a page out.
        """
        group = self._settings.rules_group if group is None else group
        listed: dict[str, str] = {}
        number = 1
        while True:
            page = await self._page(group, number)
            for item in page.items or ():
                # Nacos 3 searches with LIKE, to which the underscore in GRAY_GROUP is any character.
                if item.group == group:
                    listed[item.data_id] = item.md5 or ""
            if number >= page.pages:
                return listed
            number += 1

    async def namespace_doubt(self) -> Doubt | None:
        """Say why our namespace may not be the one that is meant; None if it exists. Raise ``NacosError``."""
        if not self._settings.config_tenant:
            return None
        wanted, namespaces = self._settings.namespace, await self._namespaces()
        if namespaces is None:
            return Doubt(
                f"namespace {wanted!r} has no document in group {self._settings.rules_group}, and which "
                f"namespaces there are is not told to {self._settings.user!r}: check that nacos.namespace is "
                "an id, not a name",
                is_certain=False,
            )
        if any(each.id == wanted for each in namespaces):
            return None
        named = next((each.id for each in namespaces if each.name == wanted), None)
        if named is not None:
            return Doubt(f"nacos.namespace is {wanted!r}, a namespace's name: write its id, {named!r}")
        ids = sorted(each.id or "public" for each in namespaces)
        more = f" and {len(ids) - _MAX_NAMED} more" if len(ids) > _MAX_NAMED else ""
        known = ", ".join(map(repr, ids[:_MAX_NAMED])) + more
        return Doubt(
            f"Nacos has no namespace {wanted!r} (nacos.namespace); the ids of those it has are {known}"
        )

    async def _namespaces(self) -> list[_Namespace] | None:
        """Return every namespace; None where they are not told to us."""
        for path in _NAMESPACES:
            headers = await self._credentials.for_config()
            answer = await self._http.request("GET", path, headers=headers)
            if answer.status == 200:
                return (await answer.parsed(_Namespaces)).data
        return None

    async def _page(self, group: str, number: int) -> _Page:
        for path in (self._path,) if self._path else (_V3, _V1):
            headers = await self._credentials.for_config(group)
            query = self._query(path, group, number)
            answer = await self._http.request("GET", path, query=query, headers=headers)
            if answer.status in {401, 403}:
                self._credentials.refused()
                raise RefusedError(self._refusal(answer, group))
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

    def _query(self, path: str, group: str, number: int) -> dict[str, str]:
        page = {"pageNo": str(number), "pageSize": str(_PAGE)}
        tenant = self._settings.config_tenant
        if path == _V3:
            return page | {"search": "blur", "dataId": "*", "groupName": group, "namespaceId": tenant}
        return page | {"search": "accurate", "dataId": "", "group": group, "tenant": tenant}

    def _refusal(self, answer: Answer, group: str) -> str:
        who = self._settings.username or self._settings.access_key
        remedy = (
            f"let {who!r} read configurations there"
            if who
            else "set nacos.username and nacos.password of who may"
        )
        return (
            f"{answer.server} refuses to list group {group} of namespace "
            f"{self._settings.namespace or 'public'!r} (HTTP {answer.status}: {answer.excerpt}); {remedy}"
        )
