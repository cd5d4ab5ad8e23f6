"""Who may claim to be which node.

A node claims to be somebody (``node.cluster``, ``node.metadata``); its certificate proves who it is. Grants
say which certificates may claim what. Everything else is denied.
"""

import re
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import grpc

from xds.server.errors import StreamError
from xds.server.observer import CertificateId, Peer
from xds.wire import Node

_PLACEHOLDER = re.compile(r"\\\{([a-z]+)\\\}|(\\\*)")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the owners of some certificates may claim.

    ``identity`` is a pattern of a subject alternative name, with its kind before it:
    ``uri:spiffe://prod/edge``, ``dns:*.edges.internal``. ``*`` stands for one part between two separators
    (``/`` in a URI, ``.`` in a domain). ``{service}`` does, too, and the same word in a value below stands
    for what it was: with ``uri:spiffe://prod/sa/{service}`` and ``services={"{service}"}``, each service may
    claim its own name alone. A pattern has each word once.

    Of ``roles``, ``groups``, ``services``, ``upstreams`` and ``namespaces``, None allows any; in each value
    ``*`` stands for any text. ``upstreams`` are what a sidecar may ask to see; where they are limited, it
    must say which ones it wants. ``status``: may read the status of all clients (CSDS).
    """

    identity: str
    roles: frozenset[str] | None = None
    groups: frozenset[str] | None = None
    services: frozenset[str] | None = None
    upstreams: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None
    status: bool = False

    def match(self, identity: str) -> Mapping[str, str] | None:
        """Return what the placeholders stand for if an identity has the pattern, else None."""
        found = _identity_pattern(self.identity).fullmatch(identity)
        return found.groupdict() if found else None


class Authorization:
    """Decides by grants.

    ``denied`` is called for everything that was refused. ``namespace_of`` says which namespace a proxy group
    has if its nodes do not say. Clients whose certificate is in ``revoked`` are nobody.
    """

    def __init__(
        self,
        grants: Sequence[Grant],
        denied: Callable[[], object] = lambda: None,
        namespace_of: Callable[[str], str] = lambda _: "",
        revoked: Container[CertificateId | None] = (),
    ) -> None:
        self._revoked = revoked
        self._grants = tuple(grants)
        self._denied = denied
        self._namespace_of = namespace_of

    def check(self, node: Node, peer: Peer) -> None:
        """Let a node be what it claims to be. Raise ``StreamError`` (PERMISSION_DENIED) if it may not."""
        self._check_certificate(peer)
        matched = self._matched(peer)
        namespace = node.metadata.get("namespace")
        if namespace is None:
            namespace = self._namespace_of(node.cluster)
        reasons = [_refusal(node, str(namespace), grant, names) for grant, names in matched]
        if all(reasons):  # no grant without a reason against it, or no grant at all
            raise self._deny(peer, f"node {node.id!r} may not claim this", [each for each in reasons if each])

    def check_status(self, peer: Peer) -> None:
        """Let a client read the status of all others. Raise ``StreamError`` (PERMISSION_DENIED)."""
        self._check_certificate(peer)
        if not any(grant.status for grant, _ in self._matched(peer)):
            raise self._deny(peer, "the status of clients is for grants with status: true", [])

    def is_revoked(self, peer: Peer) -> bool:
        """Whether the certificate of a client was taken back."""
        return peer.certificate in self._revoked

    def _check_certificate(self, peer: Peer) -> None:
        if self.is_revoked(peer):
            raise self._deny(peer, "the certificate was revoked", ["its authority took it back"])

    def _matched(self, peer: Peer) -> list[tuple[Grant, Mapping[str, str]]]:
        found = ((grant, grant.match(each)) for grant in self._grants for each in peer.identities)
        return [(grant, names) for grant, names in found if names is not None]

    def _deny(self, peer: Peer, what: str, reasons: Sequence[str]) -> StreamError:
        self._denied()
        who = ", ".join(peer.identities) or "a client without a certificate"
        why = "; ".join(dict.fromkeys(reasons)) or "no grant is for it"
        return StreamError(grpc.StatusCode.PERMISSION_DENIED, f"{what}: {who}: {why}")


def _refusal(node: Node, namespace: str, grant: Grant, names: Mapping[str, str]) -> str | None:
    """Return why a grant does not allow what a node in a namespace claims; None if it does."""
    metadata = node.metadata
    role = metadata.get("role")
    if not isinstance(role, str):
        return "it must say its role (node.metadata.role)"
    claims: list[tuple[str, Collection[str], frozenset[str] | None]] = [
        ("role", [role], grant.roles),
        ("group (node.cluster)", [node.cluster], grant.groups),
        ("namespace", [namespace], grant.namespaces),
    ]
    service = metadata.get("service")
    if service is not None or (grant.services is not None and role == "sidecar"):
        claims.append(("service", [str(service or "")], grant.services))
    if grant.upstreams is not None and role != "edge":
        upstreams = metadata.get("upstreams")
        if not isinstance(upstreams, list | tuple):
            return "it must say which upstreams it wants (node.metadata.upstreams)"
        claims.append(("upstream", [str(each) for each in upstreams], grant.upstreams))
    for what, claimed, allowed in claims:
        if allowed is None:
            continue
        patterns = [_claim_pattern(each, tuple(names.items())) for each in allowed]
        for value in claimed:
            if not any(pattern.fullmatch(value) for pattern in patterns):
                return f"{what} {value!r} is not granted"
    return None


@lru_cache(1024)
def _identity_pattern(pattern: str) -> re.Pattern[str]:
    part = "[^/]+" if pattern.startswith("uri:") else "[^.]+"

    def wildcard(found: re.Match[str]) -> str:
        return f"(?P<{found[1]}>{part})" if found[1] else part

    return re.compile(_PLACEHOLDER.sub(wildcard, re.escape(pattern)))


@lru_cache(1024)
def _claim_pattern(pattern: str, names: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    known = dict(names)

    def value(found: re.Match[str]) -> str:
        # What a certificate says is no pattern. An unknown word stands for nothing that can be claimed.
        return ".*" if found[2] else re.escape(known[found[1]]) if found[1] in known else "(?!)"

    return re.compile(_PLACEHOLDER.sub(value, re.escape(pattern)), re.DOTALL)
