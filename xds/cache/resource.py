"""One encoded xDS resource and what the ordering of pushes must know about it."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import NamedTuple, Self


class Ref(NamedTuple):
    """A resource as others name it."""

    type_url: str
    name: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Resource:
    """One version of one resource; compared by identity, told apart from other versions by ``version``.

    ``body`` is the encoded message. ``version`` is a hash of all that a client is sent of it, so that every
    replica and every restart gives the same content the same version.

    ``requires`` are the resources that a client must have acknowledged before it may see this one (the
    clusters that a route names). ``warms`` is the resource that a client waits for again whenever it is
    given this one (the ClusterLoadAssignment of an EDS cluster, "Resource warming" in
    ``xds_protocol.rst``). ``origins`` say what this version was made from, in the words of whoever made it;
    they come back with an ACK or a NACK and mean nothing here.

    ``aliases`` are other names by which a client may ask for it. With ``on_demand`` only those get it who
    ask by name or alias: ``*`` does not include it. (Envoy asks for a virtual host on demand as
    ``<route configuration>/<host>``. It removes one by the name in its body, so that name and this one must
    be the same. Its first request for virtual hosts is ``*``, and it waits for at least one in answer, so a
    view of virtual hosts on demand needs one that is not.)

    ``ttl``, in seconds, is how long a client keeps it after it last heard from the server ("TTL"), for
    clients that can do so.
    """

    type_url: str
    name: str
    body: bytes
    version: str
    requires: frozenset[Ref] = frozenset()
    warms: Ref | None = None
    origins: tuple[Hashable, ...] = ()
    aliases: tuple[str, ...] = ()
    on_demand: bool = False
    ttl: float | None = None

    @classmethod
    def of(
        cls,
        type_url: str,
        name: str,
        body: bytes,
        *,
        requires: frozenset[Ref] = frozenset(),
        warms: Ref | None = None,
        origins: tuple[Hashable, ...] = (),
        aliases: tuple[str, ...] = (),
        on_demand: bool = False,
        ttl: float | None = None,
    ) -> Self:
        """Make a resource whose version is the hash of what is sent of it."""
        digest = hashlib.blake2b(body, digest_size=8)
        if aliases or ttl is not None:
            digest.update(repr((aliases, ttl)).encode())
        return cls(
            type_url, name, body, digest.hexdigest(), requires, warms, origins, aliases, on_demand, ttl
        )

    def with_origins(self, origins: tuple[Hashable, ...]) -> Self:
        """Return the same version, made from something else."""
        return replace(self, origins=origins)

    @property
    def ref(self) -> Ref:
        """The type URL and name of this resource."""
        return Ref(self.type_url, self.name)
