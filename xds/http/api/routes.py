"""What can be read: services, documents, proxies, rollouts, the audit log, events."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from xds.documents import DocumentId
from xds.http.access import Role
from xds.http.api.context import Api, Ask, asked_by
from xds.http.api.models import (
    AuditRecord,
    Document,
    DocumentSummary,
    Overview,
    Page,
    Proxy,
    ProxySummary,
    Rollout,
    RolloutSummary,
    Service,
    ServiceSummary,
)
from xds.http.events import Topic
from xds.http.problem import ProblemError
from xds.rules.instance import ServiceId

Key = TypeVar("Key", ServiceId, DocumentId, str)
Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=500, description="The most items to answer.")]
After = Annotated[str | None, Query(description="The `next` of the page before.")]
Search = Annotated[str, Query(max_length=200, description="A part of the name, in any case.")]
Namespace = Annotated[str, Query(description="'' is the default one.")]


def reading(api: Api) -> APIRouter:  # noqa: C901  # one function for each path
    """Return the paths that change nothing."""
    router = APIRouter()
    backend = api.backend

    @router.get("/overview")
    async def overview(ask: Ask) -> Overview:
        """Everything at a glance, and who the caller is."""
        caller = asked_by(ask)
        return backend.overview(caller.name, caller.role)

    @router.get("/services")
    async def services(
        limit: Limit = 100, after: After = None, search: Search = "", namespace: str | None = None
    ) -> Page[ServiceSummary]:
        """All services that are known, with and without rules."""
        ids = [each for each in backend.service_ids() if namespace in (None, each.namespace)]
        return _page(ids, limit, after, search, backend.service_summary)

    @router.get("/services/{name:path}")
    async def service(name: str, namespace: Namespace = "") -> Service:
        """One service: its subsets, its splits now and before."""
        return _found(backend.service, ServiceId(namespace, name), "service")

    @router.get("/documents")
    async def documents(
        limit: Limit = 100,
        after: After = None,
        search: Search = "",
        namespace: str | None = None,
        state: str | None = None,
    ) -> Page[DocumentSummary]:
        """All documents."""
        ids = [each for each in backend.document_ids(state) if namespace in (None, each.namespace)]
        return _page(ids, limit, after, search, backend.document_summary)

    @router.get("/documents/{name:path}")
    async def document(name: str, namespace: Namespace = "") -> Document:
        """One document: its text, what is wrong with it, who runs it and who does not."""
        return _found(backend.document, DocumentId(namespace, name), "document")

    @router.get("/proxies")
    async def proxies(
        limit: Limit = 100, after: After = None, search: Search = "", state: str | None = None
    ) -> Page[ProxySummary]:
        """All connected proxies and gRPC clients."""
        return _page(backend.proxy_ids(state), limit, after, search, backend.proxy_summary)

    @router.get("/proxies/{proxy_id:path}")
    async def proxy(proxy_id: str) -> Proxy:
        """One proxy: what it runs, what it lacks, what it rejected and why."""
        return _found(backend.proxy, proxy_id, "proxy")

    @router.get("/rollouts")
    async def rollouts(limit: Limit = 100, after: After = None, search: Search = "") -> Page[RolloutSummary]:
        """All rollouts."""
        return _page(backend.rollout_ids(), limit, after, search, backend.rollout_summary)

    @router.get("/rollouts/{name:path}")
    async def rollout(name: str, namespace: Namespace = "") -> Rollout:
        """One rollout: its steps, its numbers, what may be done."""
        return _found(backend.rollout, ServiceId(namespace, name), "rollout")

    @router.get("/audit")
    async def audit(ask: Ask) -> Sequence[AuditRecord]:
        """The last changes that were asked for, newest first; for operators."""
        asked_by(ask, Role.OPERATOR)
        return [AuditRecord.model_validate(entry, from_attributes=True) for entry in api.audit.entries]

    @router.get("/events", response_class=StreamingResponse)
    async def events() -> StreamingResponse:
        """Server-sent events, one for every topic that something changed in; `data` has some names."""
        following = api.events.follow()
        await anext(following)  # too many streams are a problem, not a stream
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_sent(following), media_type="text/event-stream", headers=headers)

    return router


def _found(get: Callable[[Key], Item], key: Key, what: str) -> Item:
    try:
        return get(key)
    except KeyError:
        raise ProblemError(404, f"there is no {what} {key}") from None


def _page(
    keys: Sequence[Key], limit: int, after: str | None, search: str, make: Callable[[Key], Item]
) -> Page[Item]:
    part = search.casefold()
    found = [key for key in keys if part in _text(key).casefold()] if part else keys
    start = 0 if after is None else sum(1 for key in found if _text(key) <= after)
    page = found[start : start + limit]
    more = start + limit < len(found)
    items = [make(key) for key in page]
    return Page(items=items, total=len(found), next=_text(page[-1]) if more else None)


def _text(key: ServiceId | DocumentId | str) -> str:
    return key if isinstance(key, str) else f"{key.namespace}/{key.name}"


async def _sent(following: AsyncIterator[Mapping[Topic, frozenset[str]] | None]) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for changed in following:
        if changed is None:
            yield ": still here\n\n"
            continue
        for topic, names in changed.items():
            yield f"event: {topic}\ndata: {json.dumps({'names': sorted(names)})}\n\n"
