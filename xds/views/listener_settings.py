"""Where the proxies of each group listen, as the operator set it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xds.compiler.certificates import Certificate
from xds.compiler.listeners import EdgeListener, SidecarListeners


def _no_certificates(_: str) -> Sequence[Certificate]:
    return ()


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Looks up the listeners of a proxy group (Envoy's ``node.cluster``), and the certificates of an edge.

    What ``certificates`` returns may change at any time (``Services.renew_listeners``).
    """

    edge: Callable[[str], EdgeListener]
    sidecar: Callable[[str], SidecarListeners]
    certificates: Callable[[str], Sequence[Certificate]] = _no_certificates
