"""One encoded xDS resource and what the ordering of pushes must know about it."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple, Self


class Ref(NamedTuple):
    """A resource as others name it."""

    type_url: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One version of one resource; compared by identity, told apart from other versions by ``version``.

    ``body`` is the encoded message. ``version`` is a hash of it, so that every replica and every restart
    gives the same content the same version.

    ``requires`` are the resources that a client must have acknowledged before it may see this one (the
    clusters that a route names). ``revives`` is the resource that a client waits for again whenever it is
    given this one (the ClusterLoadAssignment of an EDS cluster, "Resource warming" in
    ``xds_protocol.rst``). ``origins`` say what this version was made from, in the words of whoever made it;
    they come back with an ACK or a NACK and mean nothing here.
    """

    type_url: str
    name: str
    body: bytes
    version: str
    requires: frozenset[Ref] = frozenset()
    revives: Ref | None = None
    origins: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        type_url: str,
        name: str,
        body: bytes,
        *,
        requires: frozenset[Ref] = frozenset(),
        revives: Ref | None = None,
        origins: tuple[str, ...] = (),
    ) -> Self:
        """Make a resource whose version is the hash of its body."""
        version = hashlib.blake2b(body, digest_size=8).hexdigest()
        return cls(type_url, name, body, version, requires, revives, origins)

    @property
    def ref(self) -> Ref:
        """The type URL and name of this resource."""
        return Ref(self.type_url, self.name)
