"""Services of several naming groups, which have one name each in Grayplane."""

from collections.abc import Callable, Sequence
from functools import partial

from xds.rules.instance import Instance, ServiceId
from xds.sources.base import Event, InstancesChanged
from xds.sources.health import SourceHealth
from xds.sources.watched_services import WatchedServices


class GroupMerge:
    """Of services with one name in several groups, prefers that of the group that comes first in ``groups``.

    Their instances are never mixed: they may be different programs. Those of every group are emitted beside
    the preferred ones, for rules that name their group. The clash is reported until the rule of the service
    names a group, or it is over. When the preferred one is gone from Nacos, not only without instances, the
    next one is preferred.

    What is emitted is complete once the service was read in every group that has it, and no more once it is
    let go.
    """

    def __init__(
        self,
        groups: Sequence[str],
        emit: Callable[[Event], None],
        health: SourceHealth,
        watched: WatchedServices,
    ) -> None:
        self._groups = groups
        self._emit = emit
        self._health = health
        self._watched = watched
        # What each group that was read holds of a service; None: it has none. Written by ``_take``.
        self._read: dict[ServiceId, dict[str, tuple[Instance, ...] | None]] = {}
        watched.follow_groups(self._report)

    def of(self, group: str) -> Callable[[Event], None]:
        """Return what takes the events of a group."""
        return partial(self._take, group)

    def _take(self, group: str, event: Event) -> None:
        if not isinstance(event, InstancesChanged):
            self._emit(event)
            return
        service = event.service
        read = self._read.setdefault(service, {})
        read[group] = event.instances
        if not event.complete:
            del read[group]
        if not read:
            del self._read[service]
        held = {group: instances for group, instances in read.items() if instances is not None}
        self._report(service)
        preferred = next((held[group] for group in self._groups if group in held), None)
        missing = [each for each in self._groups if each not in read]
        complete = bool(read) and all(self._watched.lacks(group, service) for group in missing)
        self._emit(InstancesChanged(service, preferred, held, complete))

    def _report(self, service: ServiceId) -> None:
        """Report that a service is in several groups and nobody says which is meant, or no more."""
        read = self._read.get(service, {})
        there = [group for group in self._groups if read.get(group) is not None]
        text = None
        if len(there) > 1 and self._watched.group_of(service) is None:
            text = (
                f"service {service.name} is registered in groups {', '.join(there)}; that of {there[0]} is "
                "used unless its rule names another `group` (nacos.naming_groups)"
            )
        self._health.report(f"services {service.namespace}: groups of {service.name}", text)
