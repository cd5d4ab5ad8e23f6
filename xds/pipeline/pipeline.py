"""Runs what sources report through rules, compiler and cache, in the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from typing import TypeVar

from xds.documents import DocumentId
from xds.lastgood import Keeper, Kept, LastGood
from xds.pipeline.compiled import CompiledService, inputs_digest
from xds.pipeline.plane import Plane
from xds.pipeline.reports import Reports
from xds.rules.instance import Instance, ServiceId
from xds.rules.lint import lint_instances
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore
from xds.sources.change_buffer import ChangeBuffer, Changes

ValueT = TypeVar("ValueT")

_COMPILED_AT_ONCE = 16
"""Services compiled before other tasks of the loop have their turn: a few milliseconds."""

_LONGEST_REST = 0.1
"""Seconds between two batches, at most."""

_RESTORED_AT_ONCE = 256
"""Kept services put into the plane before other tasks of the loop have their turn."""

_PATIENCE = 0.5
"""Seconds from when the source was asked that it has to report everything, before the last known good is
served instead. What it says is newer, and to proxies that run a word too late is better than an old one:
they keep what they have meanwhile. One that has just started waits, and 0.5 s is not long for it; nor would
more be of use, since a source that has much to say takes longer than anyone would wait."""

_PATIENCE_IN_TROUBLE = 0.1
"""The same once the source is in trouble. Not zero: the trouble may be with one document only."""


class Pipeline:
    """Takes batches from the change buffer and brings the plane up to date, one batch after the other.

    Until the source is synced, documents are only collected: which of two that conflict is applied must not
    depend on which arrived first. ``opened`` is called once there is something complete to serve: what the
    source says, or, if that takes long, the last known good. ``exact_only`` says whether a gateway can serve
    no wildcard hosts.
    """

    def __init__(
        self,
        buffer: ChangeBuffer,
        plane: Plane,
        keeper: Keeper[CompiledService],
        opened: Callable[[], None],
        exact_only: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._buffer = buffer
        self._plane = plane
        self._keeper = keeper
        self._opened = opened
        self._exact_only = exact_only
        self._documents = DocumentStore()
        self._texts: dict[str, bytes] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._kept: LastGood[CompiledService] = LastGood()
        self._reports = Reports()
        self.in_step = False
        """Whether what is served is what the source says, not only the last known good."""

    async def run(self) -> None:
        """Work until cancelled."""
        self._kept = await self._keeper.load()
        await self._restore()
        await self._load(await self._first())
        self.in_step = True
        self._opened()
        clock = asyncio.get_running_loop().time
        while True:
            batch = await self._take()
            began = clock()
            await self._apply(batch)
            # Half of the time is the streams', however fast edits come; what comes meanwhile is merged.
            await asyncio.sleep(min(clock() - began, _LONGEST_REST))

    async def _restore(self) -> None:
        """Put the last known good into the plane, where nobody sees it yet."""
        for count, (name, kept) in enumerate(self._kept.services.items(), 1):
            self._plane.apply({name: kept.service if kept else None})
            if count % _RESTORED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _first(self) -> Changes:
        """Collect what there is until the source is synced."""
        first = Changes()
        if self._kept.services:
            await self._collect_while_patient(first)
        if self._kept.services and not first.synced:
            self._reports.serving_last_known_good(len(self._kept.services))
            self._opened()
        while not first.synced:
            first.absorb(await self._take())
        return first

    async def _collect_while_patient(self, batch: Changes) -> None:
        """Collect until the source is synced or its time is up."""
        asked = asyncio.get_running_loop().time() - self._buffer.age
        with suppress(TimeoutError):
            async with asyncio.timeout_at(asked + _PATIENCE) as limit:
                while not batch.synced:
                    batch.absorb(await self._take())
                    in_trouble = self._buffer.trouble is not None
                    limit.reschedule(asked + (_PATIENCE_IN_TROUBLE if in_trouble else _PATIENCE))

    async def _take(self) -> Changes:
        batch = await self._buffer.take()
        self._reports.trouble(self._buffer.trouble)
        return batch

    async def _load(self, batch: Changes) -> None:
        """Bring the plane from the last known good, if there is one, to what the source says.

        The texts of then are loaded first and those of now applied as edits of them: so a document that is
        broken now keeps its last valid version, and of two that conflict the one stays that was there.
        """
        then = {name: text for name, text in self._kept.documents.items() if text is not None}
        parsed = await self._parse(then)
        change = self._documents.load({DocumentId("", name): one for name, one in parsed.items()})
        self._reports.loaded(change)
        now = _by_name(batch.documents)
        gone = dict.fromkeys(then.keys() - now.keys())
        changed = {service.name for service in change.services} | await self._edit({**now, **gone})
        self._note_instances(batch)
        known = {name for name, kept in self._kept.services.items() if kept}
        await self._compile(changed | self._instances.keys() | known)
        self._reports.synced(documents=len(self._texts), services=len(self._instances))

    async def _apply(self, batch: Changes) -> None:
        changed = await self._edit(_by_name(batch.documents))
        await self._compile(changed, self._note_instances(batch) - changed)

    async def _edit(self, documents: Mapping[str, bytes | None]) -> set[str]:
        """Apply new texts (None: deleted) to the book; return the services whose rule changed."""
        texts = {name: text for name, text in documents.items() if text != self._texts.get(name)}
        parsed = await self._parse({name: text for name, text in texts.items() if text is not None})
        changed: set[str] = set()
        # Deletions first: a document that was renamed is not in its own way.
        for document in sorted(texts, key=lambda name: (texts[name] is not None, name)):
            if texts[document] is None:
                self._texts.pop(document, None)
            change = self._documents.apply(DocumentId("", document), parsed.get(document))
            self._reports.applied(document, parsed.get(document), change)
            self._keep_texts({one.name for one in change.documents})
            changed |= {service.name for service in change.services}
        return changed

    def _keep_texts(self, documents: Set[str]) -> None:
        """Have texts kept; of a document that is rejected, the last valid one stays kept."""
        valid = {name: self._texts.get(name) for name in documents if not self._reports.rejected(name)}
        self._keeper.keep(LastGood(documents=dict(valid)))

    async def _parse(self, documents: Mapping[str, bytes]) -> dict[str, ParsedDocument]:
        self._texts.update(documents)
        if not documents:
            return {}
        return await asyncio.to_thread(
            lambda: {name: parse(name, text, self._exact_only) for name, text in documents.items()}
        )

    def _note_instances(self, batch: Changes) -> set[str]:
        reported = _by_name(batch.instances)
        changed = {
            service for service, instances in reported.items() if self._instances.get(service) != instances
        }
        for service in changed:
            instances = reported[service]
            if instances is None:
                self._instances.pop(service, None)
            else:
                self._instances[service] = instances
        return changed

    async def _compile(self, services: Set[str], instances_only: Set[str] = frozenset()) -> None:
        compiled: dict[str, Kept[CompiledService] | None] = {}
        for count, service in enumerate(sorted(services | instances_only), 1):
            known = self._plane.service(service) if service in instances_only else None
            compiled[service] = self._compile_one(service, known)
            if count % _COMPILED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if compiled:
            self._plane.apply({name: kept.service if kept else None for name, kept in compiled.items()})
            self._keeper.keep(LastGood(services=compiled))
            self._reports.unseen(
                {name for name, kept in compiled.items() if kept and not self._plane.is_seen(name)},
                among=compiled.keys(),
            )

    def _compile_one(self, service: str, known: CompiledService | None) -> Kept[CompiledService] | None:
        """Compile a service anew, or, if it is ``known`` that only its instances changed, those.

        After a restart, what was kept is taken for what it was compiled from.
        """
        rule = self._documents.rule(ServiceId("", service))
        instances = self._instances.get(service)
        if rule is None and instances is None:
            return None
        origin = service
        if rule is not None:
            origin = self._documents.document_of(ServiceId("", service)).name
            self._reports.instances(origin, lint_instances(origin, rule, instances or ()))
        inputs = inputs_digest(rule, origin, instances or ())
        kept = self._kept.services.pop(service, None)
        if kept and kept.inputs == inputs:
            return kept
        if known:
            return Kept(inputs, known.with_instances(rule, instances or ()))
        return Kept(inputs, CompiledService.of(service, rule, origin, instances or ()))


def _by_name(items: Mapping[DocumentId, ValueT] | Mapping[ServiceId, ValueT]) -> dict[str, ValueT]:
    return {item.name: value for item, value in items.items()}
