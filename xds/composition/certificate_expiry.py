"""Composition of what says until when certificates of the settings are valid: for metrics, and in the log."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from xds.settings import Settings

_log = structlog.get_logger(__name__)

_POLL = 60.0
"""Seconds between two looks at the files."""
_SOON = timedelta(days=14)
_AGAIN = timedelta(days=1)
"""How long after a warning it is said again."""

Choice = Callable[[Iterable[datetime]], datetime]
"""Which of the certificates in a file counts."""


def certificate_files(settings: Settings) -> Mapping[Path, Choice]:
    """Return the files of certificates that the settings name.

    A chain is valid until the first certificate of it expires, a bundle of authorities until the last does.
    """
    found: dict[Path, Choice] = {pair.certificate: min for pair in settings.certificates}
    for tls in (settings.xds.tls, settings.http.tls):
        if tls:
            found[tls.certificate] = min
            if tls.client_ca:
                found[tls.client_ca] = max
    if settings.nacos.tls and settings.nacos.tls.cert:
        found[settings.nacos.tls.cert] = min
    return found


class CertificateExpiry:
    """Until when each file is valid. A file that cannot be read is as it was when it last could be."""

    def __init__(
        self, files: Mapping[Path, Choice], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._files = files
        self._now = now
        # Until when each file is valid, and when that was last warned of. Written by ``look``.
        self._expires: dict[Path, datetime] = {}
        self._warned: dict[Path, datetime] = {}

    def timestamps(self) -> Mapping[str, float]:
        """Return until when each file is valid, in seconds since the epoch."""
        return {str(file): expires.timestamp() for file, expires in self._expires.items()}

    async def run(self) -> None:
        """Look at the files for good, if there are any."""
        while self._files:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_POLL)

    def look(self) -> None:
        """Read the files, and warn of those that expire soon: at once, once a day, and of each new one."""
        now = self._now()
        for file, choice in self._files.items():
            expires = _expires(file, choice) or self._expires.get(file)
            if expires is None:
                continue
            if self._expires.get(file) != expires:
                self._warned.pop(file, None)
            self._expires[file] = expires
            warned = self._warned.get(file)
            if expires - now < _SOON and (warned is None or now - warned >= _AGAIN):
                self._warned[file] = now
                event = "certificate has expired" if expires < now else "certificate expires soon"
                _log.warning(event, file=str(file), expires=expires.isoformat())


def _expires(file: Path, choice: Choice) -> datetime | None:
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return None  # whoever uses the file says what is wrong with it
    return choice(each.not_valid_after_utc for each in certificates)
