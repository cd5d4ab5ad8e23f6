"""What rollouts know of services, and do to them."""

from collections.abc import Iterator
from typing import Protocol

from xds.compiler.endpoints import can_serve
from xds.compiler.grpc_client import split_clusters
from xds.compiler.names import cluster_name, target_cluster
from xds.pipeline import Pipeline
from xds.rollout.load_tally import Clusters
from xds.routing import Overrides
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.status import Status


class KnownServices(Protocol):
    """What rollouts need to know of services, and do to them."""

    @property
    def known(self) -> bool:
        """Whether documents and instances are what the source says; before that nothing is decided."""
        ...

    def changed(self) -> Iterator[ServiceId]:
        """Yield the services whose document may have changed since this was last asked; all at first."""
        ...

    def rule(self, service: ServiceId) -> RuleDocument | None:
        """Return the document in force."""
        ...

    def can_serve(self, service: ServiceId, subset: str) -> bool:
        """Whether a subset has an instance that serves."""
        ...

    def clusters(self, service: ServiceId) -> Clusters:
        """Return the clusters of a service that may serve one of several subsets, with these."""
        ...

    def override(self, service: ServiceId, overrides: Overrides | None) -> None:
        """Put weights in force instead of the document's; None: the document's."""
        ...


class PipelineServices:
    """The services of a pipeline."""

    def __init__(self, pipeline: Pipeline, status: Status) -> None:
        self._pipeline = pipeline
        self._status = status
        self._feed = status.feed()
        # What was last put in force, by service. Written by ``override``.
        self._overrides: dict[ServiceId, Overrides | None] = {}

    @property
    def known(self) -> bool:
        """Whether documents and instances are what the source says (``KnownServices``)."""
        return self._pipeline.in_step

    def changed(self) -> Iterator[ServiceId]:
        """Yield the services whose document may have changed (``KnownServices``)."""
        for document in self._status.changed_documents(self._feed):
            if status := self._status.document(document):
                yield from status.services

    def rule(self, service: ServiceId) -> RuleDocument | None:
        """Return the document in force (``KnownServices``)."""
        return self._pipeline.documents.rule(service)

    def can_serve(self, service: ServiceId, subset: str) -> bool:
        """Whether a subset has an instance that serves (``KnownServices``)."""
        rule = self.rule(service)
        if rule is None or subset not in rule.subsets:
            return False
        instances = self._pipeline.instances_of(service)
        return any(can_serve(one) and rule.subsets[subset].selects(one.metadata) for one in instances)

    def clusters(self, service: ServiceId) -> Clusters:
        """Return the clusters of a service (``KnownServices``): a subset has one for each fallback."""
        routing = self._pipeline.routing(service)
        own: dict[str, str | None] = {
            cluster_name(service.name, subset): subset for subset in routing.subsets
        }
        targets = {target_cluster(target, routing.baseline): target.subset for target in routing.targets()}
        return {**own, **targets, **dict.fromkeys(split_clusters(routing))}

    def override(self, service: ServiceId, overrides: Overrides | None) -> None:
        """Put weights in force (``KnownServices``); nothing is compiled if they are already."""
        if overrides != self._overrides.get(service):
            self._overrides[service] = overrides
            self._pipeline.set_overrides(service, overrides)
