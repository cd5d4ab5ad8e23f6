"""The names that resources have on the wire, and by which operators find them in Envoy's statistics."""

from xds.routing.model import Target

NO_FALLBACK = "none"
"""In the name of a cluster: nothing serves instead of its subset."""

INBOUND = "inbound"
"""The cluster of a sidecar's own application."""

TRACING = "tracing"
"""The cluster of the collector that proxies send their traces to."""


def cluster_name(service: str, subset: str | None) -> str:
    """Name the cluster of a subset, or of all instances of a service: ``reviews|gray``, ``reviews``."""
    return service if subset is None else f"{service}|{subset}"


def service_of(cluster: str) -> str:
    """Return the service that a cluster belongs to; the names of services hold no ``|``."""
    return cluster.partition("|")[0]


def target_cluster(target: Target, baseline: str | None) -> str:
    """Name the cluster of a target. One whose fallback is not the baseline has that in its name, too.

    ``reviews|gray`` falls back to the baseline, ``reviews|gray|beta`` to the subset beta and
    ``reviews|gray|none`` to nothing.
    """
    name = cluster_name(target.service, target.subset)
    usual = None if target.subset == baseline else baseline
    return name if target.fallback == usual else f"{name}|{target.fallback or NO_FALLBACK}"
