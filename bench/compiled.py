"""The services of the workload, compiled."""

from functools import cache

from bench import workload
from xds.documents.identity import DocumentId, Origin, revision_of
from xds.rules.instance import ServiceId
from xds.rules.model import RuleDocument
from xds.rules.parse import parse
from xds.views import CompiledService


def rule(number: int) -> RuleDocument:
    """Read a service's rule document as it is at first."""
    parsed = parse(workload.document(number), workload.text(number))
    assert parsed.rule, parsed.problems
    return parsed.rule


def compile_service(number: int, rule: RuleDocument) -> CompiledService:
    """Compile a service from its rule."""
    origin = Origin(DocumentId("", workload.document(number)), revision_of(workload.text(number)))
    return CompiledService.of(
        ServiceId("", workload.service(number)), rule, (origin,), workload.instances(number)
    )


@cache
def compiled(number: int) -> CompiledService:
    """Compile a service as it is at first, once in this process."""
    return compile_service(number, rule(number))
