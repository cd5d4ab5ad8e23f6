"""Which version of each service is served: the latest, or, if a client rejected that, the last acknowledged.

A version is *acknowledged* once a client has everything of it. A version that a client rejects and nobody
has acknowledged is a *suspect*. A single suspect is *quarantined*: nobody is served it any more. Of several,
such as services in one RouteConfiguration, nothing says which is at fault. They are *held back* and then
*tried*, one half after the other: a half that is acknowledged is good, one that is rejected is halved again.

Meanwhile clients are served the version that was acknowledged last, and nothing if there is none. A new
version of a service ends all of this for it. What is acknowledged already is no suspect: a client that
rejects what others took is told of in the status, and takes nothing from the others.

No I/O, no clock. ``ServedVersions`` is told what clients answer, and says which services must be served anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple
from weakref import WeakKeyDictionary

from xds.cache import Ref, View
from xds.documents import Origin
from xds.pipeline.suspects import Key, Unacknowledged, is_current, services_named
from xds.protocol import Rejected
from xds.rules.instance import Instance, ServiceId
from xds.status import Quarantine, changed_origins
from xds.type_urls import CLUSTER
from xds.views import Compiled, CompiledService, NodeGroup, ServiceInputs, Services

_LONGEST_TRIAL = 15.0
"""Seconds after a rejection in which clients tell of what is tried; they take milliseconds."""

InstancesIn = Callable[[str | None], Sequence[Instance]]
"""The instances of a service in a naming group; None: in the preferred one."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a service, and what it takes to compile it again for other instances.

    ``text`` is that of its rule document; None if it has none.
    """

    compiled: CompiledService
    inputs: ServiceInputs
    text: bytes | None = None

    @property
    def key(self) -> Key:
        """What tells it from other versions."""
        return self.compiled.origins

    def with_instances(self, instances_in: InstancesIn) -> "Version":
        """Return the same version with other instances, of the group that this version names."""
        inputs = replace(self.inputs, instances=instances_in(self.inputs.routing.group))
        if inputs.instances == self.inputs.instances:
            return self
        compiled = CompiledService.of(inputs, Compiled(self.inputs, self.compiled))
        return replace(self, compiled=compiled.keeping_for_grpc_clients(self.compiled, inputs), inputs=inputs)


class EarlyAnswers(NamedTuple):
    """What clients answered while some views had not yet the served versions."""

    acknowledged: Sequence[tuple[NodeGroup, int]]
    """Groups, and the generation that a client of them has all of."""
    rejected: Sequence[tuple[NodeGroup, Rejected, str]]
    """Groups, what a client of them rejected, and its node id."""


@dataclass(slots=True)
class _Record:
    """What is known of one service."""

    latest: Version
    # The last version that a client has. Written by ``acknowledge`` and ``restore``.
    acknowledged: Version | None = None
    # The version that was rejected, and is not served. Written by ``_quarantine``.
    quarantine: Quarantine | None = None
    held_back: bool = False
    # Whether the views have the served version. Written by ``applied``.
    applied: bool = False

    @property
    def served(self) -> Version | None:
        """The version that is served."""
        return self.acknowledged if self.quarantine or self.held_back else self.latest


class ServedVersions:
    """The versions of all services that clients have, may have and must not have."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # By service. Written by ``offer`` and ``forget``.
        self._records: dict[ServiceId, _Record] = {}
        # Written by ``offer`` and by what rejects, tries and acknowledges.
        self._unknown = Unacknowledged()
        # By view: the services that its clients may acknowledge, and the generation in which each came. May
        # have some that were acknowledged since. Written by ``view_changed`` and ``acknowledge``.
        self._awaited: WeakKeyDictionary[View, dict[ServiceId, int]] = WeakKeyDictionary()
        # By view: its group, and the last generation that a client had all of while other views had not yet
        # been changed. Written by ``acknowledge``, taken by ``applied``.
        self._early: WeakKeyDictionary[View, tuple[NodeGroup, int]] = WeakKeyDictionary()
        # What clients rejected meanwhile. Written by ``reject``, taken by ``applied``.
        self._early_rejections: list[tuple[NodeGroup, Rejected, str]] = []
        # Suspects that are tried now, and those that are tried next, half by half: of these, the ones that
        # are still held back. Written by ``reject`` and ``try_next``.
        self._tried: set[ServiceId] = set()
        self._queue: list[list[ServiceId]] = []
        # When a client last rejected something, in seconds since the epoch. Written by ``reject``.
        self._tried_since = 0.0
        # Kept in the run before, of services that were not offered yet. Written by ``restore``, ``offer``.
        self._restored_keys: dict[ServiceId, Key] = {}
        self._restored_quarantines: dict[ServiceId, Quarantine] = {}

    def restore(self, acknowledged: Mapping[ServiceId, Key], quarantines: Iterable[Quarantine]) -> None:
        """Begin with what was kept in the run before."""
        self._restored_keys = dict(acknowledged)
        self._restored_quarantines = {one.service: one for one in quarantines}

    def quarantined(self, service: ServiceId) -> Quarantine | None:
        """Return the quarantine of a service, None if there is none."""
        record = self._records.get(service)
        return record.quarantine if record else None

    def acknowledged(self, service: ServiceId) -> Version | None:
        """Return the last version of a service that a client has acknowledged."""
        record = self._records.get(service)
        return record.acknowledged if record else None

    def knows(self, service: ServiceId, key: Key) -> bool:
        """Whether a version of a service was offered or acknowledged, or quarantined in the run before."""
        quarantine = self._restored_quarantines.get(service)
        if self._restored_keys.get(service) == key or (quarantine and quarantine.origins == key):
            return True
        record = self._records.get(service)
        return record is not None and any(
            version and version.key == key for version in (record.latest, record.acknowledged)
        )

    def latest(self, service: ServiceId) -> Version | None:
        """Return the latest version of a service that was offered."""
        record = self._records.get(service)
        return record.latest if record else None

    def offer(self, service: ServiceId, latest: Version, fallback: Version | None) -> bool:
        """Take the latest version of a service; return whether a quarantine is lifted by it.

        ``fallback`` is what the run before had acknowledged; it counts when a service is offered first.
        """
        record = self._records.get(service)
        if record is None:
            return self._offer_first(service, latest, fallback)
        changed = record.latest.key != latest.key
        known = record.acknowledged is not None and record.acknowledged.key == latest.key
        record.latest = latest
        if known and not record.quarantine:
            record.acknowledged = latest
        if not changed:
            return False
        lifted = record.quarantine is not None
        self._release(service, record)
        record.applied = False
        if known:
            self._unknown.discard(service)
        else:
            self._unknown.add(service, latest.key)
        return lifted

    def _offer_first(self, service: ServiceId, latest: Version, fallback: Version | None) -> bool:
        """Begin with a service as the run before left it."""
        known = self._restored_keys.pop(service, None) == latest.key
        quarantine = self._restored_quarantines.pop(service, None)
        holds = quarantine is not None and quarantine.origins == latest.key
        self._records[service] = _Record(
            latest, acknowledged=latest if known else fallback, quarantine=quarantine if holds else None
        )
        if not known and not holds:
            self._unknown.add(service, latest.key)
        return quarantine is not None and not holds

    def forget(self, service: ServiceId) -> None:
        """Forget a service that is gone."""
        if record := self._records.pop(service, None):
            self._release(service, record)
        self._unknown.discard(service)

    def served(self, service: ServiceId, instances_in: InstancesIn) -> Version | None:
        """Return what is to be served of a service with its instances; None for nothing."""
        record = self._records.get(service)
        if record is None:
            return None
        if record.served is record.latest:
            return record.latest
        if record.acknowledged is not None:
            record.acknowledged = record.acknowledged.with_instances(instances_in)
        return record.acknowledged

    def applied(self, services: Iterable[ServiceId]) -> EarlyAnswers:
        """Note that all views have the served versions of services; return what counts only from now on."""
        for service in services:
            if record := self._records.get(service):
                record.applied = True
        acknowledged = [
            (group, one) for view, (group, one) in self._early.items() if self._services.view(group) is view
        ]
        self._early.clear()
        rejected, self._early_rejections = self._early_rejections, []
        return EarlyAnswers(acknowledged, rejected)

    def view_changed(self, group: NodeGroup, generation: int, services: Iterable[ServiceId]) -> None:
        """Note in which generation of a group's view services changed."""
        awaited = self._awaited_of(group)
        awaited.update((one, generation) for one in services if self._may_be_acknowledged(one))

    def _awaited_of(self, group: NodeGroup) -> dict[ServiceId, int]:
        """Return the services that a group may acknowledge; of a new view, all that it was made with."""
        view = self._services.view(group)
        if view is None:
            return {}
        if view not in self._awaited:
            candidates = chain(self._unknown, *self._queue)
            self._awaited[view] = {one: 0 for one in candidates if self._services.shows(group, one)}
        return self._awaited[view]

    def _may_be_acknowledged(self, service: ServiceId) -> bool:
        """Whether nobody has acknowledged what is served of a service, or what is tried of it later."""
        return service in self._unknown or self._is_held_back(service)

    def acknowledge(
        self, group: NodeGroup, generation: int, but: Set[ServiceId] = frozenset()
    ) -> tuple[list[ServiceId], set[ServiceId]]:
        """Note that a client has all of its view up to a generation.

        Return the services that are acknowledged by that for the first time, and those to be served anew.
        Services in ``but`` count as acknowledged when more clients have them (``confirm``).
        """
        awaited, found, view = self._awaited_of(group), [], self._services.view(group)
        for service, since in tuple(awaited.items()):
            if not (self._may_be_acknowledged(service) and self._services.shows(group, service)):
                del awaited[service]
            elif service in self._unknown and service not in but and since <= generation:
                if self._records[service].applied:
                    found.append(service)
                elif view:
                    self._early[view] = group, max(generation, self._early.get(view, (group, 0))[1])
        for service in found:
            self._note_acknowledged(service)
        return found, self.try_next()

    def replace_quarantine(self, quarantine: Quarantine) -> None:
        """Take the quarantine of a service with more that is known of it, such as the line at fault."""
        self._records[quarantine.service].quarantine = quarantine

    def confirm(self, service: ServiceId) -> bool:
        """Note that all clients have a service; return whether its version was not acknowledged before."""
        if service not in self._unknown:
            return False
        self._note_acknowledged(service)
        return True

    def _note_acknowledged(self, service: ServiceId) -> None:
        record = self._records[service]
        record.acknowledged = record.latest
        self._unknown.discard(service)
        self._tried.discard(service)

    def reject(
        self, group: NodeGroup, event: Rejected, node: str, now: float
    ) -> tuple[list[Quarantine], set[ServiceId]]:
        """Note that a client rejected a response.

        Return what is quarantined for it, and the services that are to be served anew.
        """
        suspects = self._suspects(group, event)
        if not all(self._records[one].applied for one in suspects):
            # It may be about what is served no more: many clients reject the same. If the view of the group
            # has it still once all views have what is served, it counts.
            self._early_rejections.append((group, event, node))
            return [], set()
        if not suspects:
            return [], set()
        # Of clusters, each is taken or rejected by itself, and Envoy names those that it rejects.
        names = services_named(event) if event.type_url == CLUSTER else set()
        named = [one for one in suspects if one.name in names]
        suspects = named or suspects
        self._tried_since = now
        self._tried.difference_update(suspects)
        if named or len(suspects) == 1:
            found = [self._quarantine(one, event, node, now) for one in suspects]
            return found, {*suspects, *self.try_next()}
        for service in suspects:
            self._records[service].held_back = True
            self._unknown.discard(service)
        middle = len(suspects) // 2
        self._queue += [suspects[middle:], suspects[:middle]]
        return [], {*suspects, *self.try_next()}

    def try_next(self) -> set[ServiceId]:
        """Try the next suspects if those before them are known or gone; return which to serve anew."""
        while not self._tried and self._queue:
            self._tried = {one for one in self._queue.pop() if self._is_held_back(one)}
            for service in self._tried:
                self._serve_again(service)
            if self._tried:
                return set(self._tried)
        return set()

    def give_up_trials(self) -> set[ServiceId]:
        """Serve all suspects again: there is no client left that could tell which is at fault."""
        released = {one for services in self._queue for one in services if self._is_held_back(one)}
        self._queue.clear()
        self._tried.clear()
        for service in released:
            self._serve_again(service)
        return released

    def _serve_again(self, service: ServiceId) -> None:
        record = self._records[service]
        record.held_back = False
        record.applied = False
        self._unknown.add(service, record.latest.key)

    def _is_held_back(self, service: ServiceId) -> bool:
        record = self._records.get(service)
        return record is not None and record.held_back

    def tried_too_long(self, now: float) -> bool:
        """Whether no client has told of what is tried for so long that none will."""
        return self.trying and now - self._tried_since > _LONGEST_TRIAL

    @property
    def trying(self) -> bool:
        """Whether suspects are tried."""
        return bool(self._tried or self._queue)

    def _suspects(self, group: NodeGroup, event: Rejected) -> list[ServiceId]:
        """Return the services whose served version came with what a client rejected, and nobody has it."""
        origins: set[Origin] = set()
        sent: set[Origin] = set()
        for name, change in event.changes.items():
            if change.sent and is_current(
                self._services.resource(group, Ref(event.type_url, name)), change.sent
            ):
                origins |= changed_origins(*change)
                sent |= changed_origins(None, change.sent)
        suspects = self._unknown.made_from(origins)
        return sorted(one for one in suspects if sent.issuperset(self._records[one].latest.key))

    def _quarantine(self, service: ServiceId, event: Rejected, node: str, now: float) -> Quarantine:
        record = self._records[service]
        served = record.acknowledged
        revision = served.key[0].revision if served and served.key else None
        record.quarantine = Quarantine(service, record.latest.key, node, event.reason.message, now, revision)
        record.held_back = False
        self._unknown.discard(service)
        return record.quarantine

    def _release(self, service: ServiceId, record: _Record) -> None:
        record.quarantine = None
        record.held_back = False
        self._tried.discard(service)
