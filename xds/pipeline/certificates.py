"""Follows the certificate files of edges: what is in them is served as soon as it is whole and valid."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from xds.compiler.certificates import Certificate

_log = structlog.get_logger(__name__)

_POLL = 2.0  # seconds; renewing programs replace files every few weeks


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """Where a certificate chain and its private key are, and the edge groups that serve it; None: all."""

    certificate: Path
    private_key: Path
    gateways: tuple[str, ...] | None = None


@dataclass(slots=True)
class _Followed:
    """A pair of files."""

    files: CertificateFile
    stamp: object = None  # of the files when they were last read; written by ``CertificateFiles.read``
    good: Certificate | None = None  # the last that was valid; written by ``CertificateFiles.read``


@dataclass(slots=True)
class CertificateFiles:
    """The certificates as they are in their files; of files that become invalid, the last valid ones."""

    files: Iterable[CertificateFile]
    _followed: list[_Followed] = field(init=False)

    def __post_init__(self) -> None:
        self._followed = [_Followed(file) for file in self.files]

    def of_group(self, group: str) -> Sequence[Certificate]:
        """Return the certificates that an edge group serves, in the order of the settings."""
        return [
            followed.good
            for followed in self._followed
            if followed.good and (followed.files.gateways is None or group in followed.files.gateways)
        ]

    async def follow(self, changed: Callable[[], None]) -> None:
        """Read again what changes, until cancelled; tell when a certificate is another."""
        while self._followed:
            if await asyncio.to_thread(self.read):
                changed()
            await asyncio.sleep(_POLL)

    def read(self) -> bool:
        """Read the files that changed since they were last read; return whether a certificate is another."""
        before = [followed.good for followed in self._followed]
        for followed in self._followed:
            stamp = _stamp(followed.files)
            if stamp != followed.stamp:
                followed.stamp = stamp
                _read(followed)
        return before != [followed.good for followed in self._followed]


def _read(followed: _Followed) -> None:
    file = str(followed.files.certificate)
    try:
        certificate, expires = load_certificate(followed.files)
    except (OSError, ValueError) as error:
        kept = "the last good one is served" if followed.good else "its hosts have no HTTPS"
        _log.error(f"certificate cannot be used: {kept}", file=file, reason=str(error))
        return
    followed.good = certificate
    _log.info("certificate in use", file=file, hosts=certificate.hosts, expires=expires.isoformat())


def load_certificate(files: CertificateFile) -> tuple[Certificate, datetime]:
    """Read a certificate, and until when it is valid.

    Raise ``OSError`` if a file cannot be read, ``ValueError`` if Envoy would refuse what is in them: the
    message says why, and never what the key is.
    """
    chain, key = files.certificate.read_bytes(), files.private_key.read_bytes()
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise ValueError(f"{files.certificate} holds no certificate in PEM") from None
    try:
        private_key = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{files.private_key} holds no private key in PEM without a password") from None
    if private_key.public_key() != leaf.public_key():
        raise ValueError(f"{files.private_key} is not the key of {files.certificate}")
    hosts = _hosts(leaf)
    if not hosts:
        raise ValueError(f"{files.certificate} names no host (subject alternative names of type DNS)")
    return Certificate(f"certificate:{files.certificate}", hosts, chain, key), leaf.not_valid_after_utc


def _hosts(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _stamp(files: CertificateFile) -> object:
    """Return what differs when a file is another or has other content; also through links, as mounts have."""
    stamps: list[object] = []
    for path in (files.certificate, files.private_key):
        try:
            status = path.stat()
        except OSError as error:
            stamps.append(error.errno)
        else:
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return stamps
