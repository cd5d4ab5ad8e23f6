"""What a rule asks of its gateways that they, as the operator set them up, cannot do."""

from collections.abc import Callable

from xds.documents.problem import Problem
from xds.rules.parse import ParsedRule


def refuse_wildcards(document: str, parsed: ParsedRule, exact_only: Callable[[str], bool]) -> ParsedRule:
    """Refuse a rule with wildcard hosts on a gateway with scoped routes, which are found by the whole host:
    it would be answered 404, without a word to its author.
    """
    rule = parsed.rule
    gateway = next((gateway for gateway in rule.gateways if exact_only(gateway)), None) if rule else None
    if rule is None or gateway is None:
        return parsed
    problems = [
        Problem(
            document,
            *parsed.positions.get(("hosts", index), (0, 0)),
            path=f"hosts[{index}]",
            message=f"{host} is a wildcard, and gateway {gateway} serves exact hosts only",
            hint=f"list the hosts, or have the operator set `routes: shared` for {gateway}",
        )
        for index, host in enumerate(rule.hosts)
        if host.startswith("*") or host.endswith("*")
    ]
    return ParsedRule(None, tuple(sorted((*parsed.problems, *problems)))) if problems else parsed
