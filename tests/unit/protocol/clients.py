"""Clients that drive a ``Stream`` as a driver would, and keep what they were sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryResponse,
    DiscoveryResponse,
    ResourceError,
)
from envoy_data_plane.envoy.service.discovery.v3 import Resource as ProtoResource

from xds.cache import Ref, Resource, View
from xds.protocol import DELTA, STATE_OF_THE_WORLD, Event, Stream
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST
from xds.wire import DeltaRequest, SotwRequest, Status

WRAPPER = "type.googleapis.com/envoy.service.discovery.v3.Resource"
NOT_FOUND = 5

ResponseT = TypeVar("ResponseT")


def cluster(name: str, content: str = "1") -> Resource:
    """A cluster whose endpoints a client waits for again whenever the cluster changes."""
    return Resource.of(CLUSTER, name, f"{name} {content}".encode(), warms=Ref(ENDPOINT, name))


def endpoints(name: str, content: str = "1") -> Resource:
    return Resource.of(ENDPOINT, name, f"{name} {content}".encode())


def listener(name: str, content: str = "1") -> Resource:
    return Resource.of(LISTENER, name, f"{name} {content}".encode())


def route(name: str, *clusters: str, content: str = "1") -> Resource:
    """A route configuration that sends to the clusters."""
    requires = frozenset(Ref(CLUSTER, required) for required in clusters)
    return Resource.of(ROUTE, name, f"{name} {clusters} {content}".encode(), requires=requires)


def virtual_host(
    name: str, *aliases: str, content: str = "1", clusters: tuple[str, ...] = (), on_demand: bool = True
) -> Resource:
    requires = frozenset(Ref(CLUSTER, required) for required in clusters)
    body = f"{name} {content}".encode()
    return Resource.of(VIRTUAL_HOST, name, body, requires=requires, aliases=aliases, on_demand=on_demand)


def ttls_of(resources: Sequence[ProtoResource]) -> tuple[tuple[str, float], ...]:
    return tuple((each.name, each.ttl.total_seconds()) for each in resources if each.ttl)


def not_found(errors: Sequence[ResourceError]) -> tuple[str, ...]:
    for error in errors:
        assert error.error_detail is not None
        assert error.error_detail.code == NOT_FOUND
    return tuple(error.resource_name.name for error in errors if error.resource_name)


@dataclass(frozen=True)
class Received:
    """One response, of either variant, as a test looks at it."""

    type_url: str
    nonce: str
    bodies: dict[str, bytes]
    removed: tuple[str, ...] = ()
    version: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    """Of resources with a body."""
    absent: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Names and aliases of resources without a body."""
    ttls: tuple[tuple[str, float], ...] = ()
    not_found: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        return set(self.bodies)


class _Client(Generic[ResponseT]):
    def __init__(self, view: View, stream: Stream) -> None:
        self.view = view
        self.stream = stream
        self.now = 0.0
        view.watch(self)

    def changed(self, changes: object) -> None:
        self.stream.on_change(changes)  # type: ignore[arg-type]

    def disconnect(self) -> None:
        self.view.unwatch(self)

    def next(self) -> Received | None:
        """Take one response without answering it."""
        data = self.stream.poll(self.now)
        return None if data is None else self.parse(data)

    def take(self) -> list[Received]:
        """Take all responses there are, without answering."""
        responses = []
        while (response := self.next()) is not None:
            responses.append(response)
            assert len(responses) < 1000, "the stream never has enough"
        return responses

    def settle(self) -> list[Received]:
        """Take all responses there are and acknowledge each, until nothing comes any more."""
        responses = []
        while (response := self.next()) is not None:
            responses.append(response)
            self.ack(response)
            assert len(responses) < 1000, "the stream never has enough"
        return responses

    def parse(self, data: bytes) -> Received:
        raise NotImplementedError

    def ack(self, response: Received) -> Event | None:
        raise NotImplementedError


class DeltaClient(_Client[DeltaDiscoveryResponse]):
    def __init__(self, view: View, *, drain: float = 0.0, features: tuple[str, ...] = ()) -> None:
        super().__init__(view, Stream(DELTA, view, drain=drain, features=features))

    def parse(self, data: bytes) -> Received:
        response = DeltaDiscoveryResponse.parse(data)
        names = [*(resource.name for resource in response.resources), *response.removed_resources]
        assert len(names) == len(set(names)), "a name twice in one response (checklist 7)"
        full = [resource for resource in response.resources if resource.resource]
        return Received(
            response.type_url,
            response.nonce,
            {each.name: each.resource.value for each in full if each.resource},
            tuple(response.removed_resources),
            response.system_version_info,
            tuple((each.name, each.version) for each in full),
            tuple((each.name, tuple(each.aliases)) for each in response.resources if not each.resource),
            ttls_of(response.resources),
            not_found(response.resource_errors),
        )

    def ask(
        self,
        type_url: str,
        *names: str,
        drop: tuple[str, ...] = (),
        nonce: str = "",
        have: dict[str, str] | None = None,
        error: str | None = None,
    ) -> Event | None:
        status = None if error is None else Status(3, error)
        return self.stream.receive(DeltaRequest(None, type_url, names, drop, have or {}, nonce, status))

    def ack(self, response: Received) -> Event | None:
        return self.ask(response.type_url, nonce=response.nonce)

    def nack(self, response: Received, why: str = "no") -> Event | None:
        return self.ask(response.type_url, nonce=response.nonce, error=why)


class SotwClient(_Client[DiscoveryResponse]):
    def __init__(self, view: View, *, drain: float = 0.0, features: tuple[str, ...] = ()) -> None:
        super().__init__(view, Stream(STATE_OF_THE_WORLD, view, drain=drain, features=features))
        self.names: dict[str, tuple[str, ...]] = {}
        self.versions: dict[str, str] = {}
        self.nonces: dict[str, str] = {}

    def parse(self, data: bytes) -> Received:
        response = DiscoveryResponse.parse(data)
        wrapped = [ProtoResource.parse(each.value) for each in response.resources if each.type_url == WRAPPER]
        values = [each.value for each in response.resources if each.type_url != WRAPPER]
        values += [each.resource.value for each in wrapped if each.resource]
        bodies = {value.split()[0].decode(): value for value in values}
        assert len(bodies) == len(response.resources), "a name twice in one response (checklist 7)"
        self.nonces[response.type_url] = response.nonce
        return Received(
            response.type_url,
            response.nonce,
            bodies,
            version=response.version_info,
            ttls=ttls_of(wrapped),
            not_found=not_found(response.resource_errors),
        )

    def ask(
        self,
        type_url: str,
        *names: str,
        version: str | None = None,
        nonce: str | None = None,
        error: str | None = None,
    ) -> Event | None:
        self.names[type_url] = names
        return self.stream.receive(
            SotwRequest(
                self.versions.get(type_url, "") if version is None else version,
                None,
                names,
                type_url,
                self.nonces.get(type_url, "") if nonce is None else nonce,
                None if error is None else Status(3, error),
            )
        )

    def ack(self, response: Received) -> Event | None:
        self.versions[response.type_url] = response.version
        return self.ask(response.type_url, *self.names[response.type_url], nonce=response.nonce)

    def nack(self, response: Received, why: str = "no") -> Event | None:
        return self.ask(response.type_url, *self.names[response.type_url], nonce=response.nonce, error=why)
