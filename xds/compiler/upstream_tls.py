"""TLS towards instances."""

import ipaddress

from envoy_data_plane.envoy.config.core.v3 import DataSource, TransportSocket
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds.rules import model
from xds.rules.instance import Protocol
from xds.wire import any_of, build

# Envoy has no word for "the system's" (system_root_certs is gRPC's alone), and without a CA checks nothing.
# This is their place in Debian, Ubuntu and Envoy's images.
_SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"

_ALPN = {
    Protocol.HTTP: ["http/1.1"],
    Protocol.HTTP2: ["h2"],
    Protocol.GRPC: ["h2"],
    Protocol.AUTO: [],  # Envoy puts in what it can speak
}


def tls_socket(tls: model.Tls, protocol: Protocol) -> TransportSocket:
    """Build the transport socket for a mode other than DISABLE.

    The certificate must come from the named CA, or one that the proxy's system trusts, and be for one of
    ``subjectAltNames``, else for ``sni``. Without either any name will do.
    """
    certificates = []
    if tls.client_certificate and tls.private_key:
        certificates = [
            build(
                TlsCertificate,
                certificate_chain=_file(tls.client_certificate),
                private_key=_file(tls.private_key),
            )
        ]
    names = tls.subject_alt_names or ((tls.sni,) if tls.sni else ())
    context = build(
        UpstreamTlsContext,
        sni=tls.sni or "",
        common_tls_context=build(
            CommonTlsContext,
            tls_params=build(TlsParameters, tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2),
            tls_certificates=certificates,
            validation_context=_validation(tls.ca_certificates, names),
            alpn_protocols=_ALPN[protocol],
        ),
    )
    return build(TransportSocket, name="envoy.transport_sockets.tls", typed_config=any_of(context))


def _validation(ca: str | None, names: tuple[str, ...]) -> CertificateValidationContext:
    return build(
        CertificateValidationContext,
        trusted_ca=_file(ca or _SYSTEM_CA),
        match_typed_subject_alt_names=[_san(name) for name in names],
    )


def _san(name: str) -> SubjectAltNameMatcher:
    return build(SubjectAltNameMatcher, san_type=_kind(name), matcher=build(StringMatcher, exact=name))


def _kind(name: str) -> SubjectAltNameMatcherSanType:
    if "://" in name:
        return SubjectAltNameMatcherSanType.URI
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return SubjectAltNameMatcherSanType.DNS
    return SubjectAltNameMatcherSanType.IP_ADDRESS


def _file(path: str) -> DataSource:
    return build(DataSource, filename=path)
