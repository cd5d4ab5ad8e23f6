"""The two faces of the protocol: how a request says what it wants, how a response is written.

"Variants of the xDS Transport Protocol" in ``xds_protocol.rst``. Everything else is common (``stream``).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from xds.cache import Resource, View
from xds.protocol.subscription import WILDCARD, Subscription
from xds.protocol.types import absence_removes, empty_means_all
from xds.wire import (
    DeltaRequest,
    SotwRequest,
    decode_delta_request,
    decode_sotw_request,
    delimited,
)

Request = DeltaRequest | SotwRequest

_BATCH_BYTES = 1 << 20
"""A delta response is closed at this size: below the 4 MiB that gRPC clients take by default, and small
enough that one client's first load does not hold up the loop."""


class Due(NamedTuple):
    """What may be sent now of one type, removals only once nothing is left to be added."""

    put: Mapping[str, Resource]
    missing: Sequence[str] = ()
    """Wanted by name, not there, and the client is to be told so."""
    drop: Sequence[str] = ()


class Response(NamedTuple):
    """A response without its nonce, and what it moves: by name what is sent, None for a removal."""

    body: bytes
    moves: Mapping[str, Resource | None]


class Variant(Protocol):
    """One variant of the protocol, without state of its own."""

    nonce_field: int

    def decode(self, data: bytes) -> Request:
        """Decode a request; raise ``WireError`` for malformed bytes."""
        ...

    def read(self, request: Request, subscription: Subscription, view: View, *, first: bool) -> None:
        """Take over what a request says of the client's wishes; ``first`` on this stream for its type."""
        ...

    def write(self, due: Due, subscription: Subscription, view: View) -> Response | None:
        """Write one response with what is due, or the first part of it; None if none is needed."""
        ...


class _Delta:
    """Incremental: requests add and take away names, responses carry what changed."""

    nonce_field = 5

    def decode(self, data: bytes) -> DeltaRequest:
        return decode_delta_request(data)

    def read(self, request: Request, subscription: Subscription, view: View, *, first: bool) -> None:
        assert isinstance(request, DeltaRequest)
        # The legacy wildcard: nothing named at first; names that come with later requests leave it standing.
        if first and not request.subscribe and empty_means_all(subscription.type_url):
            subscription.subscribe_all()
        for name in request.subscribe:
            if name == WILDCARD:
                subscription.subscribe_all()
            else:
                subscription.subscribe(name)
        for name in request.unsubscribe:
            if name == WILDCARD:
                subscription.unsubscribe_all()
            else:
                subscription.unsubscribe(name)
        if first:
            subscription.resume(request.initial_resource_versions)

    def write(self, due: Due, subscription: Subscription, view: View) -> Response | None:
        put = _batch(due.put.values())
        gone = (*due.missing, *due.drop) if len(put) == len(due.put) else ()
        if not put and not gone:
            return None
        body = _delta_body(subscription.type_url, view.version(subscription.type_url), put, gone)
        return Response(body, {resource.name: resource for resource in put} | dict.fromkeys(gone))


class _StateOfTheWorld:
    """Requests list all names wanted; for some types responses list all there is."""

    nonce_field = 5

    def decode(self, data: bytes) -> SotwRequest:
        return decode_sotw_request(data)

    def read(self, request: Request, subscription: Subscription, view: View, *, first: bool) -> None:
        assert isinstance(request, SotwRequest)
        wanted = dict.fromkeys(request.resource_names)
        named = [name for name in wanted if name != WILDCARD]
        # The legacy wildcard lasts while no name was ever given; after that, no names means none.
        legacy = not wanted and empty_means_all(subscription.type_url) and (first or subscription.wildcard)
        everything = WILDCARD in wanted or (legacy and not subscription.names)
        if everything and not subscription.wildcard:
            subscription.subscribe_all()
        elif subscription.wildcard and not everything:
            subscription.unsubscribe_all()
        for name in subscription.names - wanted.keys():
            subscription.unsubscribe(name)
        for name in named:
            if name not in subscription.names:
                subscription.subscribe(name)
        if first and everything and not named and request.version_info == view.version(subscription.type_url):
            subscription.resume_all()

    def write(self, due: Due, subscription: Subscription, view: View) -> Response | None:
        if absence_removes(subscription.type_url):
            return self._write_all(due, subscription, view)
        if not due.put:
            subscription.dismiss((*due.missing, *due.drop))
            return None
        version = view.version(subscription.type_url)
        body = _sotw_body(subscription.type_url, version, tuple(due.put.values()))
        return Response(body, due.put)

    def _write_all(self, due: Due, subscription: Subscription, view: View) -> Response | None:
        if not due.put and not due.missing and not due.drop:
            return None
        after = self._after(due, subscription, view)
        moves = {**due.put, **dict.fromkeys((*due.missing, *due.drop))}
        version = view.version(subscription.type_url)
        due_names = {name for name, _ in subscription.due()}
        if late := (due_names | subscription.refused.keys()) - moves.keys():
            # Not what the view holds: a client that brings this version back must not pass as up to date.
            held = (f"{name}\0{after[name].version if name in after else ''}" for name in sorted(late))
            version += "~" + hashlib.blake2b("\0".join(held).encode(), digest_size=8).hexdigest()
        return Response(_sotw_body(subscription.type_url, version, tuple(after.values())), moves)

    def _after(self, due: Due, subscription: Subscription, view: View) -> dict[str, Resource]:
        """Return all that the client is to have: what is due, and what it holds of everything else."""
        current = view.resources(subscription.type_url)
        after: dict[str, Resource] = {}
        for name in current if subscription.wildcard else sorted(subscription.names & current.keys()):
            resource = due.put.get(name) or subscription.held(name)
            if resource:
                after[name] = resource
        dropped = set(due.drop)
        return after | {
            name: held
            for name, held in subscription.behind.items()
            if held and name not in current and name not in dropped
        }


DELTA: Variant = _Delta()
STATE_OF_THE_WORLD: Variant = _StateOfTheWorld()


def _batch(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    batch: list[Resource] = []
    size = 0
    for resource in resources:
        size += len(resource.body)
        if batch and size > _BATCH_BYTES:
            break
        batch.append(resource)
    return tuple(batch)


# Streams in step with one view are due the same, so what one had encoded serves the next: the whole response
# but for its nonce, which is a field of its own and goes behind (fields of a message may come in any order).


@lru_cache(maxsize=32)
def _delta_body(type_url: str, version: str, put: tuple[Resource, ...], gone: tuple[str, ...]) -> bytes:
    """Encode a DeltaDiscoveryResponse without its nonce (``discovery.proto``)."""
    parts = [delimited(1, version.encode()), delimited(4, type_url.encode())]
    for resource in put:
        entry = (
            delimited(3, resource.name.encode())
            + delimited(1, resource.version.encode())
            + delimited(2, _any(resource))
        )
        parts.append(delimited(2, entry))
    parts += [delimited(6, name.encode()) for name in gone]
    return b"".join(parts)


@lru_cache(maxsize=32)
def _sotw_body(type_url: str, version: str, resources: tuple[Resource, ...]) -> bytes:
    """Encode a DiscoveryResponse without its nonce (``discovery.proto``)."""
    parts = [delimited(1, version.encode()), delimited(4, type_url.encode())]
    parts += [delimited(2, _any(resource)) for resource in resources]
    return b"".join(parts)


def _any(resource: Resource) -> bytes:
    return delimited(1, resource.type_url.encode()) + delimited(2, resource.body)
