"""Keeps the view of a group of gRPC clients in step with the services."""

from collections.abc import Generator, Mapping

from xds.cache import Resource, View
from xds.views.compiled_service import CompiledService
from xds.views.node_group import GrpcClientGroup
from xds.views.view_builder import Change

_AT_ONCE = 64
"""Services whose resources are put before the caller may let others run: a few milliseconds."""


class GrpcClientViewBuilder:
    """Puts into a view what gRPC clients are sent: every resource is one service's own.

    A client asks by name for the Listener of the service that it calls, and from there for all else. At first
    the view has no service: all there are come by ``apply``.
    """

    def __init__(self, group: GrpcClientGroup, view: View) -> None:
        self._upstreams = group.upstreams
        self._view = view

    def apply(self, changes: Mapping[str, Change]) -> Generator[None, None, set[str]]:
        """Bring the view up to date with services that changed, with a pause before every few of them.

        Return the names of the services that the view had something of, or has now.
        """
        seen: set[str] = set()
        for count, (name, (before, after)) in enumerate(changes.items()):
            if count and count % _AT_ONCE == 0:
                yield
            put, was = self._resources(name, after), self._resources(name, before)
            kept = {resource.ref for resource in put}
            self._view.apply(put, {each.ref for each in was} - kept)
            if put or was:
                seen.add(name)
        return seen

    def has(self, service: CompiledService | None) -> bool:
        """Whether anything of a service is in the view."""
        return service is not None and bool(self._resources(service.id.name, service))

    def _resources(self, name: str, service: CompiledService | None) -> tuple[Resource, ...]:
        if service is None or (self._upstreams is not None and name not in self._upstreams):
            return ()
        return service.grpc_clients or ()
