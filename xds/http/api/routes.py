"""What can be read: services, documents, proxies, rollouts, the audit log, events."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from xds.documents import DocumentId
from xds.http.access import Role
from xds.http.api.context import TheApi, asked_by
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
    Who,
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


_LONGEST_STREAM = 900.0
"""Seconds after which a stream of events ends: who opens it again must be known still."""

reading = APIRouter()
"""The paths that change nothing."""


@reading.get("/overview")
async def overview(api: TheApi, request: Request) -> Overview:
    """Everything at a glance, and who the caller is."""
    caller = asked_by(request)
    return api.backend.overview(caller.name, caller.role)


@reading.get("/caller")
async def caller(api: TheApi, request: Request) -> Who:
    """Who the caller is, and what they may do."""
    found = asked_by(request)
    return Who(name=found.name, role=found.role.value, in_session=found.in_session, login=api.access.login)


@reading.get("/services")
async def services(
    api: TheApi, limit: Limit = 100, after: After = None, search: Search = "", namespace: str | None = None
) -> Page[ServiceSummary]:
    """All services that are known, with and without rules."""
    ids = [each for each in api.backend.service_ids() if namespace in (None, each.namespace)]
    return _page(ids, limit, after, search, api.backend.service_summary)


@reading.get("/services/{name:path}")
async def service(api: TheApi, name: str, namespace: Namespace = "") -> Service:
    """One service: its subsets, its splits now and before."""
    return _found(api.backend.service, ServiceId(namespace, name), "service")


@reading.get("/documents")
async def documents(
    api: TheApi,
    *,
    limit: Limit = 100,
    after: After = None,
    search: Search = "",
    namespace: str | None = None,
    state: str | None = None,
) -> Page[DocumentSummary]:
    """All documents."""
    ids = [each for each in api.backend.document_ids(state) if namespace in (None, each.namespace)]
    return _page(ids, limit, after, search, api.backend.document_summary)


@reading.get("/documents/{name:path}")
async def document(api: TheApi, name: str, namespace: Namespace = "") -> Document:
    """One document: its text, what is wrong with it, who runs it and who does not."""
    return _found(api.backend.document, DocumentId(namespace, name), "document")


@reading.get("/proxies")
async def proxies(
    api: TheApi, limit: Limit = 100, after: After = None, search: Search = "", state: str | None = None
) -> Page[ProxySummary]:
    """All connected proxies and gRPC clients."""
    return _page(api.backend.proxy_ids(state), limit, after, search, api.backend.proxy_summary)


@reading.get("/proxies/{proxy_id:path}")
async def proxy(api: TheApi, proxy_id: str) -> Proxy:
    """One proxy: what it runs, what it lacks, what it rejected and why."""
    return _found(api.backend.proxy, proxy_id, "proxy")


@reading.get("/rollouts")
async def rollouts(
    api: TheApi, limit: Limit = 100, after: After = None, search: Search = ""
) -> Page[RolloutSummary]:
    """All rollouts."""
    return _page(api.backend.rollout_ids(), limit, after, search, api.backend.rollout_summary)


@reading.get("/rollouts/{name:path}")
async def rollout(api: TheApi, name: str, namespace: Namespace = "") -> Rollout:
    """One rollout: its steps, its numbers, what may be done."""
    return _found(api.backend.rollout, ServiceId(namespace, name), "rollout")


@reading.get("/audit")
async def audit(api: TheApi, request: Request) -> Sequence[AuditRecord]:
    """The last changes that were asked for, newest first; for operators."""
    asked_by(request, Role.OPERATOR)
    return [AuditRecord.model_validate(entry, from_attributes=True) for entry in api.audit.entries]


@reading.get("/events", response_class=StreamingResponse)
async def events(api: TheApi) -> StreamingResponse:
    """Server-sent events, one for every topic that something changed in; `data` has some names."""
    following = api.events.follow()
    await anext(following)  # too many streams are a problem, not a stream
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_sent(following), media_type="text/event-stream", headers=headers)


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
    ends = time.monotonic() + _LONGEST_STREAM
    yield "retry: 2000\n\n"
    async for changed in following:
        if time.monotonic() > ends:
            return
        if changed is None:
            yield ": still here\n\n"
            continue
        for topic, names in changed.items():
            yield f"event: {topic}\ndata: {json.dumps({'names': sorted(names)})}\n\n"
