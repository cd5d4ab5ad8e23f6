"""TLS of the server's ports: certificates from files, read again when the files change.

Files are looked at when a client connects, and open connections go on undisturbed. If new files are of no use
(a key that does not match, a file half written), the last good ones stay in use, and the log says so.
"""

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import structlog
from cryptography import x509

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")
_Stamp = tuple[tuple[int, int, int], ...]


class TlsError(Exception):
    """The files cannot be used for TLS; the text says which one and why, for the operator."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With ``client_ca``, clients must show a certificate that one of its authorities signed."""

    certificate: Path
    """The server's certificate, then those of the authorities between it and the root."""
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return the settings of a server's handshakes: TLS 1.2 or later. Raise ``TlsError``."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(
                f"{self.certificate} and {self.key} are no certificate and its key: {error}"
            ) from None
        if self.client_ca:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ssl.SSLError) as error:
                raise TlsError(f"{self.client_ca} holds no certificate of an authority: {error}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def stamp(self) -> _Stamp:
        """Return what changes when a file changes. Raise ``OSError``."""
        files = (self.certificate, self.key, *([self.client_ca] if self.client_ca else []))
        stats = [path.stat() for path in files]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in stats)


class _Reloading(Generic[_T]):
    """Something made of the files, made anew when they change."""

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], _T]) -> None:
        self._files = files
        self._make = make
        # What the files were when they were last tried, whether they were of use or not.
        self._tried = _stamp(files)
        # What was made of the last files of use. Written by ``changed``.
        self.current = make(files)

    def changed(self) -> bool:
        """Look at the files. Return whether ``current`` is new."""
        stamp = _stamp(self._files)
        if stamp == self._tried:
            return False
        self._tried = stamp
        try:
            self.current = self._make(self._files)
        except TlsError as error:
            _log.error("new TLS files are of no use: the ones before stay in use", reason=str(error))
            return False
        _log.info("TLS files read again", certificate=str(self._files.certificate))
        return True


def _stamp(files: TlsFiles) -> _Stamp | None:
    try:
        return files.stamp()
    except OSError:
        return None


def grpc_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return the credentials of a gRPC port. Raise ``TlsError``."""
    reloading = _Reloading(files, _grpc_configuration)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        return reloading.current if reloading.changed() else None

    return grpc.dynamic_ssl_server_credentials(
        reloading.current,
        fetch,  # type: ignore[arg-type]  # None is allowed: it stands for no change
        require_client_authentication=files.client_ca is not None,
    )


def _grpc_configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    files.context()  # gRPC would find out what is wrong only at the next handshake
    try:
        pair = (files.key.read_bytes(), files.certificate.read_bytes())
        authorities = files.client_ca.read_bytes() if files.client_ca else None
    except OSError as error:
        raise TlsError(str(error)) from None
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)


def http_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the settings of an HTTP server's handshakes. Raise ``TlsError``.

    With ``client_ca``, clients may show a certificate of these authorities, or none: who needs one is for
    the paths to say.
    """
    reloading = _Reloading(files, _http_context)

    def before_handshake(
        connection: ssl.SSLObject | ssl.SSLSocket, _: str | None, __: ssl.SSLContext
    ) -> None:
        reloading.changed()
        connection.context = reloading.current

    context = _http_context(files)
    context.sni_callback = before_handshake  # called for clients that name no server, too
    return context


def _http_context(files: TlsFiles) -> ssl.SSLContext:
    context = files.context()
    if files.client_ca:
        context.verify_mode = ssl.CERT_OPTIONAL
        # A resumed session would bring back a certificate whose authority may be trusted no longer.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


_IDENTITIES = {"peer_uri": "uri", "peer_dns": "dns"}
"""Properties of gRPC's authentication context, and what their values are called here."""


def identities(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return who a client certificate says its owner is: ``uri:spiffe://prod/edge``, ``dns:edge.internal``.

    These are subject alternative names. The common name is nobody's identity any more (RFC 6125).
    """
    return tuple(
        f"{kind}:{value.decode(errors='replace')}"
        for key, kind in _IDENTITIES.items()
        for value in auth_context.get(key, ())
    )


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the same of a certificate itself."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    hosts = names.get_values_for_type(x509.DNSName)
    return (*(f"uri:{each}" for each in uris), *(f"dns:{each}" for each in hosts))
