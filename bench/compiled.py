"""The services of the workload, compiled."""

from functools import cache

from bench import workload
from xds.pipeline.compiled import CompiledService
from xds.rules.model import RuleDocument
from xds.rules.parse import parse


def rule(number: int) -> RuleDocument:
    """Read a service's rule document as it is at first."""
    parsed = parse(workload.document(number), workload.text(number))
    assert parsed.rule, parsed.problems
    return parsed.rule


@cache
def compiled(number: int) -> CompiledService:
    """Compile a service as it is at first, once in this process."""
    return CompiledService.of(
        workload.service(number), rule(number), workload.document(number), workload.instances(number)
    )
