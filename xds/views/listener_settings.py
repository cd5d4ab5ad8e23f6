"""Where the proxies of each group listen, as the operator set it."""

from collections.abc import Callable
from dataclasses import dataclass

from xds.compiler.listeners import EdgeListener, SidecarListeners


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Looks up the listeners of a proxy group (Envoy's ``node.cluster``)."""

    edge: Callable[[str], EdgeListener]
    sidecar: Callable[[str], SidecarListeners]
