"""Composition of what protects the xDS port: certificates, grants, revocation."""

import asyncio
from collections.abc import Callable

from xds.errors import StartError
from xds.server import Authorization, Grant, RevocationList, TlsError, TlsFiles
from xds.settings import HttpTls, MutualTls, Settings

_REVOCATION_POLL = 2.0
"""Seconds between looks at the file of revoked certificates."""


def revocation_list(tls: MutualTls | None) -> RevocationList | None:
    """Return the certificates that were taken back; None if no file says. Raise ``StartError``."""
    if tls is None or tls.crl is None or tls.client_ca is None:
        return None
    try:
        return RevocationList(tls.crl, tls.client_ca)
    except TlsError as error:
        raise StartError(f"xds.tls.crl: {error}") from error


async def follow_revocations(revoked: RevocationList, changed: Callable[[], None]) -> None:
    """Look at the file for good; call ``changed`` when other certificates are revoked than before."""
    while True:
        await asyncio.sleep(_REVOCATION_POLL)
        if await asyncio.to_thread(revoked.look):
            changed()


def authorization_of(
    settings: Settings, denied: Callable[[], None], revoked: RevocationList | None
) -> Authorization | None:
    """Return what decides who may be which node; None without grants: any client may be any node."""

    def any_of(values: tuple[str, ...] | None) -> frozenset[str] | None:
        return None if values is None else frozenset(values)

    grants = [
        Grant(
            each.identity,
            any_of(each.roles),
            any_of(each.groups),
            any_of(each.services),
            any_of(each.upstreams),
            any_of(each.namespaces),
            each.status,
        )
        for each in settings.xds.grants
    ]
    if not grants:
        return None
    return Authorization(grants, denied, settings.namespace_of, () if revoked is None else revoked)


def tls_files(tls: MutualTls | HttpTls | None) -> TlsFiles | None:
    """Return the files of a port with TLS."""
    return TlsFiles(tls.certificate, tls.key, tls.client_ca) if tls else None
