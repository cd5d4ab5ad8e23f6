"""Which resources the nodes of a group see, and how that is kept in step with the services.

How a view is kept in step
==========================

``Services`` holds every ``CompiledService``. A node belongs to a ``NodeGroup``; all nodes of a group share
one ``View`` of the cache, made when the first of them opens a stream.

When services change, ``Services.apply`` finds out which changes are visible at all (``mesh_names``: of names
that Envoy takes for one, one is visible), and hands them to the ``ViewBuilder`` of each view. That asks the
group's ``Visibility`` what the group sees of a service, and its route modes (``route_modes``: shared, scoped,
lazy) for the resources of that. It puts and drops in the view what changed, and the view tells the streams.

A view is closed: whatever a route requires is in it, also if it belongs to a service that the group does not
see otherwise. So a change costs the services that changed, times the views that see them.
"""

from xds.views.cohorts import Cohorts, Stage
from xds.views.compiled_service import Compiled, CompiledService, ServiceInputs
from xds.views.listener_settings import ListenerSettings
from xds.views.node_group import (
    EdgeGroup,
    GrpcClientGroup,
    NodeGroup,
    SidecarGroup,
    UnknownNode,
    node_group_of,
)
from xds.views.route_mode_switches import RouteModeSwitches, ServedModes
from xds.views.services import Services
from xds.views.visibility import Lanes

__all__ = [
    "Cohorts",
    "Compiled",
    "CompiledService",
    "EdgeGroup",
    "GrpcClientGroup",
    "Lanes",
    "ListenerSettings",
    "NodeGroup",
    "RouteModeSwitches",
    "ServedModes",
    "ServiceInputs",
    "Services",
    "SidecarGroup",
    "Stage",
    "UnknownNode",
    "node_group_of",
]
