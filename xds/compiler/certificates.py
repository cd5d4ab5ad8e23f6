"""Certificates of edges, and the secrets that carry them to those (SDS)."""

from dataclasses import dataclass, field

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret, TlsCertificate

from xds.wire import build, encode


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its private key, both in PEM.

    ``name`` is the secret's on the wire. ``hosts`` are the DNS names that it is for, wildcards too. The key
    is in no representation of this, so that it is in no log.
    """

    name: str
    hosts: tuple[str, ...]
    chain: bytes = field(repr=False)
    private_key: bytes = field(repr=False)

    def covers(self, host: str) -> bool:
        """Whether it is for a host. ``*.example.com`` is for names one label longer than ``example.com``."""
        parent = host.lower().partition(".")[2]
        names = {name.lower() for name in self.hosts}
        return host.lower() in names or (bool(parent) and f"*.{parent}" in names)


def secret(certificate: Certificate) -> bytes:
    """Encode the secret of a certificate."""
    return encode(
        build(
            Secret,
            name=certificate.name,
            tls_certificate=build(
                TlsCertificate,
                certificate_chain=build(DataSource, inline_bytes=certificate.chain),
                private_key=build(DataSource, inline_bytes=certificate.private_key),
            ),
        )
    )
