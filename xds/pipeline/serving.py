"""Which version of each service which clients are served, and what follows from their answers."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import replace
from functools import partial

from xds.cache import Ref
from xds.documents import Origin
from xds.pipeline.checks import Checks, Validator
from xds.pipeline.compilation import Compilation, Inputs
from xds.pipeline.saved_versions import SavedPush, SavedVersions
from xds.pipeline.served_versions import ServedVersions, Version
from xds.pipeline.staged_push import StagedPushes
from xds.pipeline.time_slice import TimeSlice
from xds.protocol import Event, Rejected
from xds.rules.instance import ServiceId
from xds.server import StreamInfo
from xds.status import VALIDATION, Quarantine, Status
from xds.type_urls import LISTENER
from xds.views import Cohorts, CompiledService, NodeGroup, Services

_LOOK_EVERY = 1.0
"""Seconds between two looks at pushes and trials that are under way."""


class Serving:
    """Serves the latest version of each service, or an earlier one: see ``served_versions``, ``staged_push``.

    It is told by the pipeline what the latest versions are, and by the server what clients answer. Answers
    never change a view: what follows from them is noted, and done when the pipeline, which is woken by
    ``wake``, calls ``serve_due``.
    """

    def __init__(
        self,
        services: Services,
        status: Status,
        inputs: Inputs,
        compilation: Compilation,
        *,
        saved: SavedVersions,
        pushes: StagedPushes,
        wake: Callable[[], None],
        cohorts: Cohorts,
        validator: Validator | None = None,
    ) -> None:
        self._services = services
        self._status = status
        self._inputs = inputs
        self._compilation = compilation
        self._saved = saved
        self._pushes = pushes
        self._wake = wake
        self._cohorts = cohorts
        cohorts.seated = saved.seated
        self._versions = ServedVersions(services)
        # Asked before a version is served first; None: nobody is.
        self._checks = Checks(validator, wake) if validator else None
        # Versions that were refused before any client was sent them. Written by ``offer``, ``_refuse``.
        self._refused: dict[ServiceId, Quarantine] = {}
        # The staged pushes as the snapshot has them. Written by ``restore`` and ``_keep_pushes``.
        self._kept_pushes: dict[ServiceId, SavedPush] = {}
        # Services of which another version is to be served. Taken by ``serve_due``.
        self._due: set[ServiceId] = set()
        # Services whose acknowledged version is to be kept. Taken by ``serve_due``.
        self._acknowledged: set[ServiceId] = set()

    # What the server tells

    def view_changed(
        self, group: NodeGroup, generation: int, services: Mapping[ServiceId, Set[Origin]], *, sent: bool
    ) -> None:
        """Note that the view of a group changed (``xds.views.services.ViewChanged``)."""
        if sent:
            self._status.view_changed(group, generation, services)
        self._versions.view_changed(group, generation, services)

    def answered(self, stream: StreamInfo, event: Event) -> None:
        """Note what a client answered: what it rejects may have to be quarantined."""
        if isinstance(event, Rejected):
            self._reject(self._cohorts.group_of(stream.node), event, stream.node.id)

    def _reject(self, group: NodeGroup, event: Rejected, node: str) -> None:
        found, again = self._versions.reject(group, event, node, self._inputs.wall_clock())
        for one in found:
            quarantine = replace(one, line=self._saved.line_named(one))
            self._versions.replace_quarantine(quarantine)
            self._status.quarantined(quarantine)
            self._saved.quarantined(quarantine)
        self._serve_later(again)

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        """Note that a client has all of its view, but for what it rejected."""
        if any(ref.type_url != LISTENER for ref in rejected):
            return
        self._acknowledge(self._cohorts.group_of(stream.node), generation)

    def _acknowledge(self, group: NodeGroup, generation: int) -> None:
        acknowledged, again = self._versions.acknowledge(group, generation, self._pushes.staged)
        self._acknowledged.update(acknowledged)
        self._serve_later(again)
        if acknowledged:
            self._wake()

    # What the pipeline asks for

    def restore(self, state: Mapping[str, bytes | None]) -> None:
        """Begin with what the snapshot has of the run before."""
        self._saved.load(state)
        # What was refused by who is asked no more may be served.
        quarantines = self._saved.quarantines()
        for one in quarantines:
            if one.before_push and not self._checks:
                self._saved.lifted(one.service)
        kept = [one for one in quarantines if self._checks or not one.before_push]
        self._versions.restore(self._saved.keys(), kept)
        self._cohorts.restore(self._saved.seats)
        self._kept_pushes = dict(self._saved.pushes)

    def begin(self) -> None:
        """Push in stages what changes from now on."""
        self._pushes.begin()

    def offer(self, service: ServiceId, latest: Version) -> None:
        """Take the latest version of a service."""
        kept = self._saved.take(service)
        fallback = self._compilation.compile_text(service, *kept) if kept and kept[0] != latest.key else None
        pushed = self._saved.pushes.pop(service, None)
        if pushed:
            self._resume(pushed)
        refused = self._refused.get(service)
        if refused and refused.origins != latest.key:
            del self._refused[service]
            self._status.quarantine_lifted(service)
            self._saved.lifted(service)
        known = self._versions.knows(service, latest.key) or (pushed and pushed.origins == latest.key)
        if self._checks is None or not latest.key or known:
            if self._checks:
                self._checks.drop(service)
                self._note_checking(service, on=False)
            self._take(service, latest, fallback)
        else:
            self._hold(service, latest, fallback)

    def _resume(self, pushed: SavedPush) -> None:
        """Go on with a staged push of the run before: later cohorts have the version before still."""
        before = self._compilation.compile_text(pushed.service, pushed.before.origins, pushed.text)
        if before:
            self._pushes.resume(pushed.service, before, pushed.origins, pushed.reached)

    def _hold(self, service: ServiceId, latest: Version, fallback: Version | None) -> None:
        """Have a version checked, and serve what is in force meanwhile."""
        assert self._checks is not None
        before = fallback or self._versions.latest(service)
        if before:
            self._take(service, before.with_instances(partial(self._inputs.instances_of, service)), None)
        if service not in self._refused:
            self._checks.offer(service, latest)
            self._note_checking(service, on=True)

    def _note_checking(self, service: ServiceId, *, on: bool) -> None:
        documents = [origin.document for origin in self._inputs.documents.origins(service)]
        self._status.checking(service, documents, on=on)

    def _take(self, service: ServiceId, latest: Version, fallback: Version | None) -> None:
        if self._versions.offer(service, latest, fallback):
            self._status.quarantine_lifted(service)
            self._saved.lifted(service)
        if quarantine := self._versions.quarantined(service):
            self._status.quarantined(quarantine)

    def latest(self, service: ServiceId) -> Version | None:
        """Return the latest version of a service that was taken, be it served or not."""
        return self._versions.latest(service)

    def forget(self, service: ServiceId) -> None:
        """Forget a service that is gone."""
        if self._checks:
            self._checks.drop(service)
            self._note_checking(service, on=False)
            if self._refused.pop(service, None):
                self._status.quarantine_lifted(service)
        self._versions.forget(service)
        self._saved.forget(service)

    def choose(self, service: ServiceId) -> CompiledService | None:
        """Choose the version of a service to be served; return what the first cohort gets."""
        version = self._versions.served(service, partial(self._inputs.instances_of, service))
        self._pushes.offer(service, version)
        return version.compiled if version else None

    def is_pushed_in_stages(self, services: Iterable[ServiceId]) -> bool:
        """Whether any of the services, as they were chosen, is pushed in stages."""
        return not self._pushes.staged.isdisjoint(services)

    async def serve(self, services: Collection[ServiceId]) -> None:
        """Serve every cohort the chosen version of each service."""
        await self._keep_pushes(services)
        turn = TimeSlice()
        for cohort in self._pushes.cohorts:
            served: dict[ServiceId, CompiledService | None] = {}
            for service in services:
                served[service] = self._served(service, cohort)
                await turn.pause()
            await self._serve(served, cohort)
        early = self._versions.applied(services)
        for group, generation in early.acknowledged:
            self._acknowledge(group, generation)
        for group, event, node in early.rejected:
            self._reject(group, event, node)

    async def serve_saved(self, services: Mapping[ServiceId, CompiledService | None]) -> None:
        """Serve all cohorts what the snapshot has."""
        for cohort in self._pushes.cohorts:
            before = {
                service: pushed.before
                for service, pushed in self._saved.pushes.items()
                if cohort > pushed.reached and service in services
            }
            await self._serve({**services, **before}, cohort)

    def due(self, now: float) -> bool:
        """Go on with trials and staged pushes; return whether there is something for ``serve_due``."""
        if self._versions.tried_too_long(now):
            self._due |= self._versions.give_up_trials()
        self._due |= self._versions.try_next()
        awaited = self._cohorts.awaited(now)
        if self._pushes.staged:
            advanced, over = self._pushes.advance(
                now, lambda service, cohort: cohort not in awaited and self._cohort_has(service, cohort)
            )
            self._due |= advanced
            self._acknowledged.update(service for service in over if self._versions.confirm(service))
        decided = self._checks is not None and self._checks.decisions
        return bool(self._due or self._acknowledged or decided)

    async def serve_due(self) -> None:
        """Do what follows from answers, and from ``due``."""
        self._take_verdicts()
        due, self._due = self._due, set()
        if due:
            for service in due:
                self.choose(service)
            await self.serve(due)
        await self._keep_pushes(())
        acknowledged, self._acknowledged = self._acknowledged, set()
        turn = TimeSlice()
        for service in acknowledged:
            self._keep_acknowledged(service)
            await turn.pause()

    async def run_checks(self) -> None:
        """Have versions checked before they are served, until cancelled."""
        if self._checks:
            await self._checks.run()

    async def checked(self) -> None:
        """Wait until all versions that wait are checked, and serve them."""
        if self._checks:
            await self._checks.settled()
            await self.serve_due()

    def _take_verdicts(self) -> None:
        for service, (version, reason) in (self._checks.take() if self._checks else {}).items():
            self._note_checking(service, on=False)
            if reason is None:
                self._take(service, version, None)
                self._due.add(service)
            else:
                self._refuse(service, version, reason)

    def _refuse(self, service: ServiceId, version: Version, reason: str) -> None:
        served = self._versions.latest(service)
        quarantine = Quarantine(
            service,
            version.key,
            VALIDATION,
            reason,
            self._inputs.wall_clock(),
            served.key[0].revision if served and served.key else None,
            before_push=True,
        )
        self._refused[service] = quarantine = replace(quarantine, line=self._saved.line_named(quarantine))
        self._status.quarantined(quarantine)
        self._saved.quarantined(quarantine)

    @property
    def patience(self) -> float | None:
        """Seconds until ``due`` is to be called again, None if there is no need."""
        return _LOOK_EVERY if self._versions.trying or self._pushes.staged else None

    def _serve_later(self, services: Set[ServiceId]) -> None:
        if services:
            self._due |= services
            self._wake()

    async def _keep_pushes(self, served: Collection[ServiceId]) -> None:
        """Keep on disk what is pushed in stages; what is ``served`` next may have other instances."""
        last = self._pushes.cohorts[-1]
        now: dict[ServiceId, SavedPush] = {}
        for service in self._pushes.staged:
            if service in served:
                self._served(service, last)
            if under_way := self._pushes.under_way(service):
                before, key, reached = under_way
                now[service] = SavedPush(service, key, reached, before.compiled, before.text)
        over = dict.fromkeys(self._kept_pushes.keys() - now.keys() - self._saved.pushes.keys())
        changed = {service: push for service, push in now.items() if self._kept_pushes.get(service) != push}
        self._kept_pushes = now
        await self._saved.pushed({**changed, **over})

    async def _serve(self, services: Mapping[ServiceId, CompiledService | None], cohort: int) -> None:
        for _ in self._services.apply(services, cohort):
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _served(self, service: ServiceId, cohort: int) -> CompiledService | None:
        return self._pushes.served(service, cohort, partial(self._inputs.instances_of, service))

    def _cohort_has(self, service: ServiceId, cohort: int) -> bool:
        groups = [one for one in self._services.groups_of(service) if one.cohort == cohort]
        documents = [origin.document for origin in self._inputs.documents.origins(service)]
        return all(self._status.has_all(document, groups) for document in documents)

    def _keep_acknowledged(self, service: ServiceId) -> None:
        if version := self._versions.acknowledged(service):
            self._saved.acknowledged(service, version.key)
