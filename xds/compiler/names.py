"""The names that resources have on the wire, and by which operators find them in Envoy's statistics."""

INBOUND = "inbound"
"""The cluster of a sidecar's own application."""


def cluster_name(service: str, subset: str | None) -> str:
    """Name the cluster of a subset, or of all instances of a service: ``reviews|gray``, ``reviews``."""
    return service if subset is None else f"{service}|{subset}"


def service_of(cluster: str) -> str:
    """Return the service that a cluster belongs to; the names of services hold no ``|``."""
    return cluster.partition("|")[0]
