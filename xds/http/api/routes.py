"""What can be read: services, documents, proxies, rollouts, the audit log, events."""

import json
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Query, Request
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
    ProxyState,
    ProxySummary,
    Rollout,
    RolloutSummary,
    Service,
    ServiceSummary,
    State,
    Who,
)
from xds.http.events import Events, Topic
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
    await api.backend.look_at_proxies()
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
    state: State | None = None,
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
    api: TheApi, limit: Limit = 100, after: After = None, search: Search = "", state: ProxyState | None = None
) -> Page[ProxySummary]:
    """All connected proxies and gRPC clients."""
    await api.backend.look_at_proxies()
    return _page(api.backend.proxy_ids(state), limit, after, search, api.backend.proxy_summary)


@reading.get("/proxies/{proxy_id:path}")
async def proxy(api: TheApi, proxy_id: str) -> Proxy:
    """One proxy: what it runs, what it lacks, what it rejected and why."""
    await api.backend.look_at_proxies()
    return _found(api.backend.proxy, proxy_id, "proxy")


@reading.get("/rollouts")
async def rollouts(
    api: TheApi, limit: Limit = 100, after: After = None, search: Search = "", namespace: str | None = None
) -> Page[RolloutSummary]:
    """All rollouts."""
    ids = [each for each in api.backend.rollout_ids() if namespace in (None, each.namespace)]
    return _page(ids, limit, after, search, api.backend.rollout_summary)


@reading.get("/rollouts/{name:path}")
async def rollout(api: TheApi, name: str, namespace: Namespace = "") -> Rollout:
    """One rollout: its steps, its numbers, what may be done."""
    return _found(api.backend.rollout, ServiceId(namespace, name), "rollout")


@reading.get("/audit")
async def audit(api: TheApi, request: Request) -> Sequence[AuditRecord]:
    """The last changes that were asked for, newest first; for operators."""
    asked_by(request, Role.OPERATOR)
    return [AuditRecord.model_validate(entry, from_attributes=True) for entry in api.audit.entries]


@reading.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    api: TheApi, last_event_id: Annotated[str | None, Header(max_length=64)] = None
) -> StreamingResponse:
    """Server-sent events, one for every topic that something changed in.

    `data` has the `names` of what changed, none if everything may have. Who comes back with the id of the
    last event (browsers do) and missed something is told of every topic.
    """
    following = api.events.follow(last_event_id)
    await anext(following)  # too many streams are a problem, not a stream
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_sent(api.events, following), media_type="text/event-stream", headers=headers)


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
    start = 0 if after is None or not found else bisect_right(found, _key(after, found[0]))
    page = found[start : start + limit]
    more = start + limit < len(found)
    items = []
    for key in page:
        with suppress(KeyError):  # a proxy that went away meanwhile
            items.append(make(key))
    return Page(items=items, total=len(found), next=_text(page[-1]) if more else None)


def _text(key: ServiceId | DocumentId | str) -> str:
    return key if isinstance(key, str) else f"{key.namespace}/{key.name}"


def _key(text: str, other: Key) -> Key:
    """Return the key that a text stands for (``_text``), of the type that another key has."""
    if isinstance(other, str):
        return text
    namespace, slash, name = text.partition("/")
    return type(other)(namespace, name) if slash else type(other)("", text)


async def _sent(
    told: Events, following: AsyncIterator[Mapping[Topic, frozenset[str]] | None]
) -> AsyncIterator[str]:
    ends = time.monotonic() + _LONGEST_STREAM
    yield f"retry: 2000\nid: {told.position}\n\n"
    async for changed in following:
        if time.monotonic() > ends:
            return
        if changed is None:
            yield ": still here\n\n"
            continue
        position = told.position
        blocks = [_block(topic, names) for topic, names in changed.items()]
        # Only the last one says that all of this was told: a stream may end in between.
        yield "\n".join(blocks) + f"id: {position}\n\n"


def _block(topic: Topic, names: frozenset[str]) -> str:
    return f"event: {topic}\ndata: {json.dumps({'names': sorted(names)})}\n"
