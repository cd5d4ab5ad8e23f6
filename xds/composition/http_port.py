"""Composition of the HTTP port: API, dashboard, metrics, OFREP, health and REST-JSON discovery."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from starlette.applications import Starlette

from xds.composition.certificate_expiry import CertificateExpiry, certificate_files
from xds.composition.oidc import oidc_of
from xds.composition.port_security import tls_files
from xds.composition.publishing import Publisher
from xds.errors import BindError
from xds.http import HttpServer, Readiness, http_app
from xds.http.access import Access, Role, Token, is_loopback
from xds.http.api import Api, api_app
from xds.http.api.live import LiveBackend
from xds.http.api.nodes import Nodes
from xds.http.audit import Audit
from xds.http.connections import ConnectionLimits
from xds.http.events import Events
from xds.http.events_sink import EventsSink
from xds.http.metrics import Metrics
from xds.http.observed import Observed
from xds.http.ofrep import Flags, flag_source, ofrep_routes
from xds.pipeline import Pipeline
from xds.rollout import Rollouts
from xds.server import TlsError
from xds.server.tls import http_context as tls_context
from xds.server_processes import ServerProcesses
from xds.settings import Settings
from xds.sources.base import SourceStatus
from xds.status import Sink, Status
from xds.validation import EnvoyValidator


@dataclass(frozen=True, slots=True)
class HttpSinks:
    """What is told what happens, and is asked for it over HTTP: metrics, and the events of the API."""

    metrics: Metrics
    events: Events

    def all(self) -> tuple[Sink, ...]:
        """Return what has to be told what the status tells."""
        return (self.metrics.tell, EventsSink(self.events))


@dataclass(frozen=True, slots=True)
class Answering:
    """The parts of the program that the HTTP port answers from.

    ``changes`` counts how often services changed, ``pushes`` the responses sent.
    """

    pipeline: Pipeline
    status: Status
    rollouts: Rollouts
    discovery: Starlette
    source_status: Callable[[], SourceStatus]
    changes: Callable[[], int]
    readiness: Callable[[], Readiness]
    pushes: Callable[[], int]
    validator: EnvoyValidator | None
    server_processes: ServerProcesses | None


class HttpPort:
    """What answers on the HTTP port."""

    def __init__(
        self, settings: Settings, sinks: HttpSinks, of: Answering, tls: ssl.SSLContext | None
    ) -> None:
        self._settings = settings
        self._metrics = sinks.metrics
        self._expiry = CertificateExpiry(certificate_files(settings))
        at = settings.http
        tokens = [Token(token.name, Role(token.role), token.sha256) for token in at.tokens]
        self._oidc = oidc_of(at.oidc)
        accounts = self._oidc.accounts if self._oidc else None
        access = Access(tokens, loopback=is_loopback(at.address), accounts=accounts)
        nodes = Nodes(of.status.nodes)
        self._backend = LiveBackend(
            of.pipeline,
            of.status,
            of.rollouts,
            sinks.events,
            nodes=nodes,
            readiness=of.readiness,
            source=settings.source,
            publish=Publisher(settings).publish,
        )
        region_header = settings.region_header
        flags = Flags(flag_source(of.pipeline, of.changes, region_header), exposed=of.rollouts.tally.exposed)
        observed = Observed(
            status=of.status,
            nodes=nodes,
            source=of.source_status,
            documents=self._backend.documents_by_state,
            rollouts=self._backend.rollouts_by_phase,
            exposure=flags.exposure,
            pushes=of.pushes,
            expiry=self._expiry.timestamps,
            validator=of.validator,
            server_processes=of.server_processes,
        )
        self._metrics.observe(observed)
        audit = Audit(lambda: datetime.now(UTC))
        limits = ConnectionLimits(**at.limits.model_dump())
        app = http_app(
            of.readiness,
            of.discovery,
            api=api_app(Api(self._backend, access, audit, sinks.events), version("grayplane")),
            metrics=self._metrics.look_and_expose,
            ofrep=ofrep_routes(flags, region_header, access, sinks.events),
            login=self._oidc.routes if self._oidc else (),
            limits=limits,
        )
        self._server = HttpServer(app, sinks.events.close, tls=tls, limits=limits)

    def bind(self) -> int:
        """Take the address; return the port. Raise ``BindError`` if it cannot be had."""
        at = self._settings.http
        try:
            return self._server.bind(at.address, at.port)
        except OSError as error:
            raise BindError(
                f"cannot listen on {at.address}:{at.port} (http.port): {error.strerror}"
            ) from error

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.run())
            tasks.create_task(self._backend.run())
            tasks.create_task(self._metrics.run())
            tasks.create_task(self._expiry.run())
            if self._oidc:
                tasks.create_task(self._oidc.run())

    def close(self) -> None:
        """Give the address back."""
        self._server.close()


def rest_is_closed(settings: Settings) -> str:
    """Return why nobody may fetch configuration by REST from the HTTP port; '' if some may."""
    at = settings.http
    if settings.xds.grants or settings.xds.trusted_network or is_loopback(at.address):
        return ""
    return (
        f"http.address {at.address} would let other machines read all configuration and be any proxy: set "
        "xds.trusted_network: true if nobody else is on that network, or certificates and xds.grants"
    )


def http_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the settings of handshakes on the HTTP port; None without TLS. Raise ``BindError``."""
    files = tls_files(settings.http.tls)
    try:
        return tls_context(files) if files else None
    except TlsError as error:
        raise BindError(f"http.tls: {error}") from error
