"""Client certificates that their authority took back, by revocation lists (RFC 5280, section 5)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from xds.server.observer import CertificateId
from xds.server.tls import TlsError

_log = structlog.get_logger(__name__)

_BEGIN = b"-----BEGIN X509 CRL-----"


def certificate_id(auth_context: Mapping[str, Iterable[bytes]]) -> CertificateId | None:
    """Return the certificate of a client, of which gRPC tells the PEM text; None if it showed none."""
    pem = next(iter(auth_context.get("x509_pem_cert", ())), None)
    if pem is None:
        return None
    return id_of(x509.load_pem_x509_certificate(pem))


def id_of(certificate: x509.Certificate) -> CertificateId:
    """Return what a revocation list knows a certificate by."""
    return certificate.issuer.rfc4514_string(), f"{certificate.serial_number:x}"


class RevocationList:
    """What a file of lists in PEM says; each must be signed by one of the ``authorities``.

    ``look`` reads the file again if it has changed. If it is of no use then, the lists before stay in force.
    A list past its next update stays in force, too; it is logged when it is read. Making one raises
    ``TlsError`` if the file is of no use.
    """

    def __init__(self, file: Path, authorities: Path) -> None:
        self._file = file
        self._authorities = authorities
        # What the file was when it was last read, and what it said. Written by ``look``.
        self._stamp = self._look_at_files()
        self._revoked = self._read()

    def __contains__(self, certificate: object) -> bool:
        return certificate in self._revoked

    def look(self) -> bool:
        """Look at the files. Return whether other certificates are revoked now."""
        stamp = self._look_at_files()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            revoked = self._read()
        except TlsError as error:
            _log.error("new revocation lists are of no use: the ones before stay in force", reason=str(error))
            return False
        changed, self._revoked = revoked != self._revoked, revoked
        _log.info("revocation lists read again", file=str(self._file), certificates=len(revoked))
        return changed

    def _look_at_files(self) -> tuple[object, ...]:
        # Of both: a list may come before the authority that signed it.
        stamps: list[object] = []
        for file in (self._file, self._authorities):
            try:
                found = file.stat()
            except OSError as error:
                stamps.append(error.errno)
            else:
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stamps)

    def _read(self) -> frozenset[CertificateId]:
        try:
            authorities = x509.load_pem_x509_certificates(self._authorities.read_bytes())
            parts = self._file.read_bytes().split(_BEGIN)[1:]
            lists = [x509.load_pem_x509_crl(_BEGIN + part) for part in parts]
        except (OSError, ValueError) as error:
            raise TlsError(f"{self._file} holds no revocation lists: {error}") from None
        if not lists:
            raise TlsError(f"{self._file} holds no revocation list in PEM (-----BEGIN X509 CRL-----)")
        for each in lists:
            self._check(each, authorities)
        return frozenset(
            (each.issuer.rfc4514_string(), f"{revoked.serial_number:x}") for each in lists for revoked in each
        )

    def _check(
        self, revocations: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate]
    ) -> None:
        issuer = revocations.issuer.rfc4514_string()
        if not any(_signed(revocations, each) for each in authorities):
            raise TlsError(f"{self._file}: the list of {issuer} is signed by no authority of client_ca")
        due = revocations.next_update_utc
        if due is not None and due < datetime.now(UTC):
            _log.warning("a revocation list is out of date", file=str(self._file), issuer=issuer)


def _signed(revocations: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if revocations.issuer != authority.subject:
        return False
    try:
        return revocations.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # any other: False
    except (InvalidSignature, TypeError):
        return False
