"""Services of several naming groups, which have one name each in Grayplane."""

from collections.abc import Callable, Sequence
from functools import partial

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged
from xds.sources.health import SourceHealth


class GroupMerge:
    """Of services with one name in several groups, emits the one of the group that comes first in ``groups``.

    Their instances are never mixed: they may be different programs. The clash is reported for as long as it
    lasts. When the preferred one is gone from Nacos, not only without instances, the next one is emitted.
    """

    def __init__(self, groups: Sequence[str], emit: Callable[[Event], None], health: SourceHealth) -> None:
        self._groups = groups
        self._emit = emit
        self._health = health
        # What each group holds of a service. Written by `_take`.
        self._held: dict[ServiceId, dict[str, tuple[Instance, ...]]] = {}

    def of(self, group: str) -> Callable[[Event], None]:
        """What takes the events of a group."""
        return partial(self._take, group)

    def _take(self, group: str, event: Event) -> None:
        if not isinstance(event, InstancesChanged):
            self._emit(event)
            return
        service = event.service
        held = self._held.setdefault(service, {})
        before = self._chosen(held)
        if event.instances is None:
            held.pop(group, None)
        else:
            held[group] = event.instances
        self._report(service, held)
        chosen = self._chosen(held)
        if chosen is None:
            del self._held[service]
        if group in {before, chosen}:
            self._emit(InstancesChanged(service, None if chosen is None else held[chosen]))

    def _chosen(self, held: dict[str, tuple[Instance, ...]]) -> str | None:
        return next((group for group in self._groups if group in held), None)

    def _report(self, service: ServiceId, held: dict[str, tuple[Instance, ...]]) -> None:
        there = [group for group in self._groups if group in held]
        text = None
        if len(there) > 1:
            text = (
                f"service {service.name} is registered in groups {', '.join(there)}; that of {there[0]} is "
                "used (nacos.naming_groups)"
            )
        self._health.report(f"services {service.namespace}: groups of {service.name}", text)
