"""Type URLs of the xDS resources that Grayplane makes or treats specially.

Any other type URL is served too, without special treatment (``xds_protocol.rst``, "Resource Types").
"""

_PREFIX = "type.googleapis.com/envoy."

LISTENER = _PREFIX + "config.listener.v3.Listener"
ROUTE = _PREFIX + "config.route.v3.RouteConfiguration"
SCOPED_ROUTE = _PREFIX + "config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = _PREFIX + "config.route.v3.VirtualHost"
CLUSTER = _PREFIX + "config.cluster.v3.Cluster"
ENDPOINT = _PREFIX + "config.endpoint.v3.ClusterLoadAssignment"
SECRET = _PREFIX + "extensions.transport_sockets.tls.v3.Secret"
RUNTIME = _PREFIX + "service.runtime.v3.Runtime"
EXTENSION = _PREFIX + "config.core.v3.TypedExtensionConfig"


def short(type_url: str) -> str:
    """Return the message name alone, for logs: ``Cluster``."""
    return type_url.rpartition(".")[2]
