"""Runs what sources report through rules, compiler and cache, in the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Set

from xds.pipeline.compiled import CompiledService
from xds.pipeline.inbox import Batch, Inbox
from xds.pipeline.plane import Plane
from xds.pipeline.reports import Reports
from xds.rules.book import RuleBook
from xds.rules.instance import Instance
from xds.rules.parse import ParsedRule, parse

_COMPILED_AT_ONCE = 16
"""Services compiled before other tasks of the loop have their turn: a few milliseconds."""


class Pipeline:
    """Takes batches from the inbox and brings the plane up to date, one batch after the other.

    Until the source is synced, documents are only collected: which of two that conflict is applied must not
    depend on which arrived first. ``opened`` is called when the first complete state is in the cache.
    """

    def __init__(self, inbox: Inbox, plane: Plane, opened: Callable[[], None]) -> None:
        self._inbox = inbox
        self._plane = plane
        self._opened = opened
        self._book = RuleBook()
        self._texts: dict[str, bytes] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self._reports = Reports()

    async def run(self) -> None:
        """Work until cancelled."""
        first = await self._take()
        while not first.synced:
            first.absorb(await self._take())
        await self._load(first)
        self._opened()
        while True:
            await self._apply(await self._take())

    async def _take(self) -> Batch:
        batch = await self._inbox.take()
        self._reports.trouble(self._inbox.trouble)
        return batch

    async def _load(self, batch: Batch) -> None:
        parsed = await self._parse({name: text for name, text in batch.documents.items() if text is not None})
        change = self._book.load(parsed)
        self._reports.loaded(parsed, change.problems)
        self._note_instances(batch)
        await self._compile(change.services | self._instances.keys())

    async def _apply(self, batch: Batch) -> None:
        texts = {name: text for name, text in batch.documents.items() if self._texts.get(name) != text}
        parsed = await self._parse({name: text for name, text in texts.items() if text is not None})
        changed: set[str] = set()
        for document in texts:
            change = self._book.apply_parsed(document, parsed.get(document))
            self._reports.applied(document, parsed.get(document), change)
            changed |= change.services
            if document not in parsed:
                self._texts.pop(document, None)
        await self._compile(changed, self._note_instances(batch) - changed)

    async def _parse(self, documents: Mapping[str, bytes]) -> dict[str, ParsedRule]:
        self._texts.update(documents)
        if not documents:
            return {}
        return await asyncio.to_thread(lambda: {name: parse(name, text) for name, text in documents.items()})

    def _note_instances(self, batch: Batch) -> set[str]:
        changed = {
            service
            for service, instances in batch.instances.items()
            if self._instances.get(service) != instances
        }
        for service in changed:
            instances = batch.instances[service]
            if instances is None:
                self._instances.pop(service, None)
            else:
                self._instances[service] = instances
        return changed

    async def _compile(self, services: Set[str], instances_only: Set[str] = frozenset()) -> None:
        compiled: dict[str, CompiledService | None] = {}
        for count, service in enumerate(sorted(services | instances_only), 1):
            known = self._plane.service(service) if service in instances_only else None
            compiled[service] = self._compile_one(service, known)
            if count % _COMPILED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if compiled:
            self._plane.apply(compiled)

    def _compile_one(self, service: str, known: CompiledService | None) -> CompiledService | None:
        """Compile a service anew, or, if it is ``known`` that only its instances changed, those."""
        rule = self._book.rule(service)
        instances = self._instances.get(service)
        if rule is None and instances is None:
            return None
        if known:
            return known.with_instances(rule, instances or ())
        origin = self._book.document_of(service) if rule else service
        return CompiledService.of(service, rule, origin, instances or ())
