"""The services of the workload, compiled."""

from datetime import UTC, datetime
from functools import cache

from bench import workload
from xds.documents.identity import DocumentId, Origin, revision_of
from xds.routing import routing_of
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.rules.parse import parse
from xds.views import CompiledService, ServiceInputs


def rule(number: int) -> RuleDocument:
    """Read a service's rule document as it is at first."""
    parsed = parse(workload.document(number), workload.text(number))
    assert parsed.rule, parsed.problems
    return parsed.rule


def compile_service(number: int, rule: RuleDocument) -> CompiledService:
    """Compile a service from its rule."""
    origin = Origin(DocumentId("", workload.document(number)), revision_of(workload.text(number)))
    routing = routing_of(workload.service(number), rule, datetime(2026, 1, 1, tzinfo=UTC))
    service = ServiceId("", workload.service(number))
    return CompiledService.of(ServiceInputs(service, routing, (origin,), workload.instances(number)))


@cache
def compiled(number: int) -> CompiledService:
    """Compile a service as it is at first, once in this process."""
    return compile_service(number, rule(number))
