"""Composition of listeners: what those of each proxy group are follows from the settings."""

from datetime import timedelta

from xds.compiler.connection_managers import EscapedSlashes, HttpSettings
from xds.compiler.listeners import EdgeListener, Https, SidecarListeners
from xds.compiler.route_sources import RouteMode
from xds.compiler.tracing import Tracing
from xds.pipeline import CertificateFiles
from xds.settings import Edge, Settings, Sidecar
from xds.views import ListenerSettings


def listener_settings(settings: Settings, certificates: CertificateFiles) -> ListenerSettings:
    """Return what the listeners of each proxy group are made from."""

    def edge(group: str) -> EdgeListener:
        at = settings.edge_of(group)
        return EdgeListener(
            address=at.address,
            port=at.port,
            routes=RouteMode(at.routes),
            trusted_hops=at.trusted_hops,
            https=_https(at),
            bucket_by=settings.bucket_by,
            http=_http_settings(at, group, settings.rollouts.latency_cluster),
        )

    def sidecar(group: str) -> SidecarListeners:
        at = settings.sidecar_of(group)
        return SidecarListeners(
            address=at.address,
            outbound_port=at.outbound_port,
            inbound_port=at.inbound_port,
            routes=RouteMode(at.routes),
            http=_http_settings(at, group, settings.rollouts.latency_cluster),
        )

    return ListenerSettings(edge, sidecar, certificates.of_group)


def _https(at: Edge) -> Https | None:
    if at.https_port is None:
        return None
    hsts = timedelta(seconds=at.hsts) if at.hsts else None
    return Https(at.https_port, at.https_redirect, at.https_redirect_port, hsts)


def _http_settings(at: Edge | Sidecar, group: str, latency_cluster: str | None) -> HttpSettings:
    tracing = None
    if at.tracing:
        host, _, port = at.tracing.rpartition(":")
        tracing = Tracing(host.strip("[]"), int(port), at.tracing_sampling, service=group)
    return HttpSettings(
        access_log=at.access_log,
        rule_stats=at.rule_stats,
        escaped_slashes=EscapedSlashes(at.escaped_slashes),
        http10=at.http10,
        http10_host=at.http10_host,
        upgrades=at.upgrades,
        latency_cluster=latency_cluster,
        tracing=tracing,
    )
