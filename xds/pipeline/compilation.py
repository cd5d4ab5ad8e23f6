"""Compiles services from all that they depend on: documents, instances, overrides and the time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from xds.documents import DocumentId, Origin
from xds.documents.defect import Path
from xds.documents.problem import Problem
from xds.documents.text import Mark
from xds.pipeline.digest import inputs_digest
from xds.pipeline.served_versions import Version
from xds.routing import Overrides, Routing, Surroundings, routing_of
from xds.routing.lanes import entrances_of, lists_named
from xds.rules.claims import LIST, needs_of
from xds.rules.instance import Instance, ServiceId
from xds.rules.lint import lint_group, lint_hosts, lint_instances, lint_service
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore
from xds.rules.webhook_hosts import WebhookHosts
from xds.snapshot import SavedService
from xds.sources.change_buffer import Changes
from xds.views import Compiled, CompiledService, Lanes, ServiceInputs, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilationSettings:
    """What the operator set that services are compiled by."""

    exact_only: Callable[[str], bool] = lambda _: False
    """Whether a gateway can serve no wildcard hosts."""
    lacks_certificate: Callable[[str, str], bool] = lambda *_: False
    """Whether a gateway serves a host by HTTPS and has no certificate for it. May change at any time."""
    naming_groups: Sequence[str] | None = None
    """The groups that the source takes instances from, the preferred first; None: it has none."""
    aliases_of: Callable[[str], tuple[str, ...]] = lambda _: ()
    """What a service is called in the mesh besides, by the operator's patterns."""
    region_header: str = "x-region"
    """The header with the region of a request."""
    bucket_by: str | None = None
    """The header that edges make buckets of; None: they make none."""
    webhook_hosts: WebhookHosts = field(default_factory=WebhookHosts)
    """The hosts that webhooks of rollouts may call."""


@dataclass(slots=True)
class Inputs:
    """What services are compiled from; written by the pipeline. ``wall_clock``: seconds since the epoch."""

    settings: CompilationSettings
    wall_clock: Callable[[], float]
    documents: DocumentStore = field(default_factory=DocumentStore)
    instances: dict[ServiceId, tuple[Instance, ...]] = field(default_factory=dict)
    """Those of the preferred naming group."""
    by_group: dict[ServiceId, Mapping[str, tuple[Instance, ...]]] = field(default_factory=dict)
    """Those of every naming group."""
    overrides: dict[ServiceId, Overrides] = field(default_factory=dict)
    """What is in force instead of what documents say."""
    grpc_clients: bool = False
    """Whether gRPC clients without a proxy were seen: then every service is compiled for them, too."""

    def exists(self, service: ServiceId) -> bool:
        """Whether a service has a rule or instances."""
        return service in self.instances or self.documents.rule(service) is not None

    def instances_of(self, service: ServiceId, group: str | None) -> tuple[Instance, ...]:
        """Return the instances of a service in a naming group; None: in the preferred one."""
        if group is None or self.settings.naming_groups is None:
            return self.instances.get(service) or ()
        return self.by_group.get(service, {}).get(group) or ()

    def take_instances(self, changes: Changes) -> set[ServiceId]:
        """Take the instances that changed; return the services that they are of."""
        changed: set[ServiceId] = set()
        for service, instances in changes.instances.items():
            groups = changes.groups.get(service, {})
            if (self.instances.get(service), self.by_group.get(service, {})) == (instances, groups):
                continue
            changed.add(service)
            self.instances.pop(service, None)
            self.by_group.pop(service, None)
            if instances is not None:
                self.instances[service], self.by_group[service] = instances, groups
        return changed

    def for_grpc_clients(self, rule: RuleDocument | None) -> bool:
        """Whether a service with this rule is to be compiled for gRPC clients, too."""
        return self.grpc_clients or (rule is not None and "grpc" in rule.clients)

    def routing(self, service: ServiceId, rule: RuleDocument | None) -> Routing:
        """Say what is decided for a service now."""
        lanes = self.documents.lanes(service.namespace).lanes
        lists = self._lists_of(service, rule)
        surroundings = Surroundings(lists, lanes, self.settings.region_header, self.settings.bucket_by)
        now = datetime.fromtimestamp(self.wall_clock(), UTC)
        overrides = self.overrides.get(service, Overrides())
        routing = routing_of(service.name, rule, now, surroundings, overrides)
        more = self.settings.aliases_of(service.name)
        return replace(routing, aliases=routing.aliases + more) if more else routing

    def of(self, service: ServiceId, rule: RuleDocument | None, origins: tuple[Origin, ...]) -> ServiceInputs:
        """Return what a service with a rule is compiled from now; ``KeyError`` if a list of it is gone."""
        routing = self.routing(service, rule)
        instances = self.instances_of(service, routing.group)
        return ServiceInputs(service, routing, origins, instances, self.for_grpc_clients(rule))

    def _lists_of(self, service: ServiceId, rule: RuleDocument | None) -> dict[str, tuple[str, ...]]:
        """Return the lists that a rule uses; ``KeyError`` if one of them is gone."""
        if rule is None or rule is self.documents.rule(service):
            return self.documents.lists_of(service)
        names = [claim.name for claim in needs_of(rule) if claim.kind == LIST]
        return {name: self.documents.list_values(service.namespace, name) for name in names}

    def parse(self, document: DocumentId, text: bytes, *, was_in_force: bool = False) -> ParsedDocument:
        """Read the text of a document."""
        return self._reader(document.name, text, was_in_force=was_in_force)

    @property
    def _reader(self) -> Callable[..., ParsedDocument]:
        return partial(
            parse,
            exact_only=self.settings.exact_only,
            groups=self.settings.naming_groups,
            webhook_hosts=self.settings.webhook_hosts,
        )

    async def check(self, document: DocumentId, text: bytes) -> tuple[ParsedDocument, tuple[Problem, ...]]:
        """Read a text as a new version of a document, off the event loop.

        Return it with all that would be wrong with it, and what its author can hardly mean.
        """
        now = datetime.fromtimestamp(self.wall_clock(), UTC)
        parsed = await asyncio.to_thread(self._reader, document.name, text, advice_at=now)
        found = (*parsed.problems, *self.documents.conflicts(document, parsed))
        if parsed.rule:
            service = ServiceId(document.namespace, parsed.rule.service)
            found += self.lint(service, document, parsed.rule, parsed.positions)
        return parsed, found

    def lint(
        self,
        service: ServiceId,
        document: DocumentId,
        rule: RuleDocument,
        positions: Mapping[Path, Mark] = MappingProxyType({}),
    ) -> tuple[Problem, ...]:
        """Say what is wrong with a rule beside the instances of its service, and the certificates."""
        for_grpc, instances = self.for_grpc_clients(rule), self.instances_of(service, rule.group)
        has_groups = self.settings.naming_groups is not None
        found = lint_instances(
            document.name, rule, instances, positions, grpc_clients=for_grpc, hides_disabled=has_groups
        )
        there = self.by_group.get(service, {})
        registered = [group for group in self.settings.naming_groups or () if group in there]
        found += lint_group(document.name, rule, registered, positions, has_groups=has_groups)
        if rule.group is None or rule.group in registered:
            found += lint_service(document.name, rule, instances, positions)
        return found + lint_hosts(document.name, rule, self.settings.lacks_certificate)


def lanes_in(documents: DocumentStore, namespace: str, now: datetime, region_header: str) -> Lanes:
    """Say who enters which lane of a namespace."""
    lanes = documents.lanes(namespace).lanes
    names = {name for lane in lanes for name in lists_named(lane)}
    lists = {name: documents.list_values(namespace, name) for name in names}
    entrances = entrances_of(Surroundings(lists, lanes, region_header), now)
    return Lanes(entrances, documents.lanes_origins(namespace))


class Compilation:
    """Compiles services, as little of them as has changed."""

    def __init__(self, inputs: Inputs, services: Services) -> None:
        self._inputs = inputs
        self._services = services
        # What the run before compiled and was not compared yet. Written by ``begin`` and ``compile``.
        self._saved: dict[ServiceId, SavedService[CompiledService] | None] = {}

    def begin(self, saved: dict[ServiceId, SavedService[CompiledService] | None]) -> None:
        """Take what the run before compiled: it is used where it was compiled from the same."""
        self._saved = saved

    def compile(
        self, service: ServiceId, earlier: Version | None
    ) -> tuple[SavedService[CompiledService], ServiceInputs]:
        """Compile a service as it is now; return what is to be kept of it, and what it is compiled from.

        Of an ``earlier`` version is taken what is made from the same.
        """
        origins, rule = self._inputs.documents.origins(service), self._inputs.documents.rule(service)
        inputs = self._inputs.of(service, rule, origins)
        digest = self._digest(inputs)
        saved = self._saved.pop(service, None)
        if saved and saved.inputs == digest:
            return saved, inputs
        compiled = CompiledService.of(inputs, Compiled(earlier.inputs, earlier.compiled) if earlier else None)
        if served := self._services.get(service):
            compiled = compiled.keeping_for_grpc_clients(served, inputs)
        return SavedService(digest, compiled), inputs

    def _digest(self, inputs: ServiceInputs) -> str:
        """Return a digest of all that ``inputs`` are made of: instead of a rule, the revisions of documents.

        What a document decides is the same from one time at which it changes by itself to the next.
        """
        known, service = self._inputs, inputs.service
        return inputs_digest(
            inputs.origins,
            known.documents.lanes_origins(service.namespace),
            inputs.routing.changes_at,
            known.overrides.get(service),
            inputs.routing.aliases,
            (known.settings.region_header, known.settings.bucket_by),
            inputs.instances,
            inputs.grpc_clients,
        )

    def compile_text(
        self, service: ServiceId, origins: tuple[Origin, ...], text: bytes | None
    ) -> Version | None:
        """Compile a service from an earlier text of its rule document (None: it had none).

        Return None if that text is not valid any more, since the language has changed or a list is gone.
        """
        rule = None
        if text is not None and (rule := self._inputs.parse(origins[0].document, text).rule) is None:
            return None
        try:
            inputs = self._inputs.of(service, rule, origins)
        except KeyError:
            return None
        return Version(CompiledService.of(inputs), inputs, text)
