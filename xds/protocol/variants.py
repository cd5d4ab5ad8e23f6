"""Delta and state of the world: how a request subscribes, how a response is written.

"Variants of the xDS Transport Protocol" in ``xds_protocol.rst``. Everything else is common (``stream``).
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, Protocol, TypeVar

from xds.cache import Resource, View
from xds.protocol.features import Features
from xds.protocol.names import WILDCARD
from xds.protocol.responses import ResponseContent, delta_response, sotw_field, sotw_response
from xds.protocol.subscription import Subscription
from xds.protocol.types import absence_removes, empty_means_all, named_on_demand
from xds.wire import DeltaRequest, SotwRequest, decode_delta_request, decode_sotw_request

Request = DeltaRequest | SotwRequest

_T = TypeVar("_T")


class Due(NamedTuple):
    """What may be sent now of one type. Removals come only when nothing is left to be added."""

    put: Mapping[str, Resource]
    missing: Sequence[str] = ()
    """Names that await an answer, of which there is no resource."""
    drop: Sequence[str] = ()
    empty_response_due: bool = False
    """Whether the client awaits a response even if there is nothing in it."""


class Response(NamedTuple):
    """A response without its nonce."""

    body: bytes
    changes: Mapping[str, Resource | None]
    """By name what is sent, None for a removal."""
    repeated: Set[str] = frozenset()
    """What else it lists that the client may not hold yet, and may reject."""


class _Prepared(NamedTuple):
    """The key in ``View.derived`` of the resources of a type that are encoded in advance."""

    type_url: str
    ttl: bool


class Variant(Protocol):
    """One variant of the protocol; it has no state."""

    nonce_field: int
    complete: bool
    """Whether some responses must list everything, so that ``prepare`` has something to do."""
    wrapped: bool
    """Whether each resource comes in a ``Resource``, with its name and version."""

    def in_parts(self, type_url: str) -> bool:
        """Whether what is due of a type may be split into several responses."""
        ...

    def shareable(self, type_url: str) -> bool:
        """Whether a response with nothing but changed resources depends on these alone, not on the client."""
        ...

    def decode(self, data: bytes) -> Request:
        """Decode a request; raise ``WireError`` for malformed bytes."""
        ...

    def read(
        self, request: Request, subscription: Subscription, view: View, *, first: bool, stale: bool
    ) -> Iterator[None]:
        """Subscribe and unsubscribe as a request says, with pauses.

        It is the ``first`` on this stream for its type, or ``stale``: the client has yet to see a newer
        response than the one that it answers.
        """
        ...

    def prepare(self, subscription: Subscription, view: View, features: Features) -> Iterator[None]:
        """Encode in advance, with pauses, what ``write`` would have to encode at once."""
        ...

    def write(self, due: Due, subscription: Subscription, view: View, features: Features) -> Response | None:
        """Write one response with what is due; return None if none is needed."""
        ...

    def renew(
        self, held: Sequence[Resource], subscription: Subscription, view: View, features: Features
    ) -> Response:
        """Write a response that renews the time to live of what the client holds ("TTL")."""
        ...


class _Delta:
    """Incremental: requests add and take away names, responses carry what changed."""

    nonce_field = 5
    complete = False
    wrapped = True

    def in_parts(self, type_url: str) -> bool:
        return True

    def shareable(self, type_url: str) -> bool:
        return True

    def decode(self, data: bytes) -> DeltaRequest:
        return decode_delta_request(data)

    def read(
        self, request: Request, subscription: Subscription, view: View, *, first: bool, stale: bool
    ) -> Iterator[None]:
        # Stale or not, it adds and takes away what it says.
        assert isinstance(request, DeltaRequest)
        # The legacy wildcard: nothing named at first; names that come with later requests leave it as it is.
        if first and not request.subscribe and empty_means_all(subscription.type_url):
            subscription.subscribe(WILDCARD)
        if request.subscribe:
            yield from _paced(request.subscribe, subscription.subscribe)
        if request.unsubscribe:
            yield from _paced(request.unsubscribe, subscription.unsubscribe)
        if first:
            yield from _paced(request.initial_resource_versions.items(), subscription.resume)

    def prepare(self, subscription: Subscription, view: View, features: Features) -> Iterator[None]:
        return iter(())

    def write(self, due: Due, subscription: Subscription, view: View, features: Features) -> Response | None:
        if not (due.put or due.missing or due.drop or due.empty_response_due):
            return None
        type_url = subscription.type_url
        put = tuple(due.put.values())
        absent = {name: None for name in due.missing if _is_absent(name, subscription)}
        unknown = tuple(name for name in due.missing if name not in absent)
        content = ResponseContent(
            type_url,
            view.version(type_url),
            features,
            put,
            tuple(map(view.version_of, put)),
            gone=tuple(due.drop) if features.errors else (*unknown, *due.drop),
            unknown=unknown if features.errors else (),
            absent=tuple(absent),
        )
        changes = {**due.put, **dict.fromkeys((*due.missing, *due.drop))}
        return Response(delta_response(content), changes)

    def renew(
        self, held: Sequence[Resource], subscription: Subscription, view: View, features: Features
    ) -> Response:
        type_url = subscription.type_url
        versions = [view.version_of(resource) for resource in held]
        # A renewal without a body has the resource's own version. What the client knows by another one
        # (``View.version_of``) is sent whole.
        whole = [(each, known) for each, known in zip(held, versions, strict=True) if known != each.version]
        content = ResponseContent(
            type_url,
            view.version(type_url),
            features,
            tuple(resource for resource, _ in whole),
            tuple(version for _, version in whole),
            renewed=tuple(each for each, known in zip(held, versions, strict=True) if known == each.version),
        )
        return Response(delta_response(content), {})


class _StateOfTheWorld:
    """Requests list all names wanted; for some types responses list all there is."""

    nonce_field = 5
    complete = True
    wrapped = False

    def in_parts(self, type_url: str) -> bool:
        return not absence_removes(type_url)

    def shareable(self, type_url: str) -> bool:
        return not absence_removes(type_url)

    def decode(self, data: bytes) -> SotwRequest:
        return decode_sotw_request(data)

    def read(
        self, request: Request, subscription: Subscription, view: View, *, first: bool, stale: bool
    ) -> Iterator[None]:
        assert isinstance(request, SotwRequest)
        subscribed = subscription.subscribed
        wanted = self._wanted(request, subscription)
        before = subscribed.names | ({WILDCARD} if subscribed.wildcard else set())
        if stale:
            # Not answered. But the client dropped what it leaves out, even if the next request names that.
            subscription.omitted |= before - wanted.keys()
            return
        renewed = subscription.omitted & wanted.keys()
        subscription.omitted = set()
        fresh = [name for name in wanted if name in renewed or name not in before]
        yield from _paced(fresh, subscription.subscribe)
        yield from _paced(before - {*wanted}, subscription.unsubscribe)
        if first and [*wanted] == [WILDCARD] and request.version_info == view.version(subscribed.type_url):
            subscription.resume_all()

    def _wanted(self, request: SotwRequest, subscription: Subscription) -> dict[str, None]:
        """Return the names subscribed to. The legacy wildcard lasts while the client never named anything."""
        subscribed = subscription.subscribed
        subscribed.explicit = subscribed.explicit or bool(request.resource_names)
        legacy = not subscribed.explicit and empty_means_all(subscribed.type_url)
        return dict.fromkeys((WILDCARD,) if legacy else request.resource_names)

    def prepare(self, subscription: Subscription, view: View, features: Features) -> Iterator[None]:
        resources = view.resources(subscription.type_url)
        if not absence_removes(subscription.type_url) or len(resources) < _PAUSE:
            return
        key = _Prepared(subscription.type_url, ttl=features.ttl)
        fields = view.derived.setdefault(key, {})
        if not isinstance(fields, dict):
            return  # the response is made, and kept
        for number, resource in enumerate(tuple(resources.values()), 1):
            if resource not in fields:
                fields[resource] = sotw_field(resource, ttl=features.ttl)
            if number % _PAUSE == 0:
                yield
                view.derived.setdefault(key, fields)  # in case a change of the view has emptied it

    def write(self, due: Due, subscription: Subscription, view: View, features: Features) -> Response | None:
        if absence_removes(subscription.type_url):
            if due.put or due.missing or due.drop or due.empty_response_due:
                return self._all(due, subscription, view, features)
            return None
        unknown = tuple(due.missing) if features.errors else ()
        if not due.put and not unknown:
            subscription.pass_over((*due.missing, *due.drop, WILDCARD))
            return None
        type_url = subscription.type_url
        content = ResponseContent(
            type_url, view.version(type_url), features, tuple(due.put.values()), unknown=unknown
        )
        return Response(sotw_response(content), {**due.put, **dict.fromkeys(unknown)})

    def renew(
        self, held: Sequence[Resource], subscription: Subscription, view: View, features: Features
    ) -> Response:
        # With the bodies: Envoy takes a response of bodiless resources alone for one without resources,
        # which here removes everything, and it renews nothing of them.
        if absence_removes(subscription.type_url):
            return self._all(Due({}), subscription, view, features)
        type_url = subscription.type_url
        content = ResponseContent(type_url, view.version(type_url), features, tuple(held))
        return Response(sotw_response(content), {})

    def _all(self, due: Due, subscription: Subscription, view: View, features: Features) -> Response:
        type_url = subscription.type_url
        if not subscription.client.confirmed:
            # If it were absent, the client would remove what it holds of it from an earlier stream.
            due = due._replace(put={**subscription.rejected(), **due.put})
        after = self._after(due, subscription, view)
        version = view.version(type_url)
        if after != view.resources(type_url):
            # Not all that the view has: a client that comes back with this version is not up to date.
            digest = hashlib.blake2b(digest_size=8)
            for name in sorted(after):
                digest.update(f"{name}\0{after[name].version}\0".encode())
            version += f"~{digest.hexdigest()}"
        unknown = tuple(due.missing) if features.errors else ()
        content = ResponseContent(type_url, version, features, tuple(after.values()), unknown=unknown)
        changes = {**due.put, **dict.fromkeys((*due.missing, *due.drop))}
        key = _Prepared(type_url, ttl=features.ttl)
        fields = view.derived.get(key)
        body = sotw_response(content, fields if isinstance(fields, dict) else {})
        if fields:
            view.derived[key] = None  # made, and kept by ``sotw_response``: the fields are of no more use
        return Response(body, changes, subscription.client.unsettled() - changes.keys())

    def _after(self, due: Due, subscription: Subscription, view: View) -> dict[str, Resource]:
        """Return all that the client is to hold after this: what is due, and what it holds of the rest."""
        current = view.resources(subscription.type_url)
        after = {
            name: resource for name, resource in current.items() if subscription.subscribed.wants(resource)
        }
        for name in (*subscription.client.behind, *subscription.client.rejected):
            held = subscription.client.held(name)
            if name in due.put:
                continue
            if held and name not in due.drop:
                after[name] = held
            else:
                after.pop(name, None)
        return after


DELTA: Variant = _Delta()
STATE_OF_THE_WORLD: Variant = _StateOfTheWorld()


_PAUSE = 256
"""Names between two pauses: about a millisecond."""


def _paced(names: Iterable[_T], take: Callable[[_T], None]) -> Iterator[None]:
    for number, name in enumerate(names, 1):
        take(name)
        if number % _PAUSE == 0:
            yield


def _is_absent(name: str, subscription: Subscription) -> bool:
    """Whether a name is to be answered by a resource without a body.

    After a removal, the request for which Envoy asked for the virtual host would wait for ever.
    """
    return (
        named_on_demand(subscription.type_url)
        and name in subscription.subscribed.names
        and name not in subscription.client.uncertain  # the client may hold it: it must be removed
    )
