"""How the parts of a document fit together.

Works on plain data rather than on the model, and overlooks whatever has the wrong type: so an author is
told of an unknown subset in the same breath as of a misspelt field elsewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from xds.documents.defect import Defect, Path, printable, quoted, render
from xds.documents.problem import Severity
from xds.documents.words import did_you_mean
from xds.rules.model import NO_FALLBACK, RuleDocument
from xds.rules.webhook_hosts import WebhookHosts

_MAX_TOTAL = 2**32 - 1  # of the weights of a split: Envoy adds them in 32 bits


def check(document: dict[str, Any]) -> Iterator[Defect]:
    """Yield what does not fit together in the plain data of a document."""
    yield from _hosts(document)
    yield from _baseline(document)
    rules = _items(document.get("http"))
    yield from _twice(("http",), [(i, _mapping(rule).get("name")) for i, rule in rules], at="name")
    for index, rule in rules:
        yield from _rule(("http", index), _mapping(rule), document)
    yield from _rollout(document)


def check_gateways(rule: RuleDocument, exact_only: Callable[[str], bool]) -> Iterator[Defect]:
    """Tell of wildcard hosts on a gateway that serves exact hosts only: requests would be answered 404."""
    gateway = next((gateway for gateway in rule.gateways if exact_only(gateway)), None)
    if gateway is None:
        return
    hint = f"list the hosts, or have the operator set `routes: shared` for {gateway}"
    for index, host in enumerate(rule.hosts):
        if host.startswith("*"):
            message = f"{host} is a wildcard, and gateway {gateway} serves exact hosts only"
            yield Defect(("hosts", index), message, hint)


def check_group(rule: RuleDocument, groups: Sequence[str]) -> Iterator[Defect]:
    """Tell of a naming group that is not followed; ``groups`` are those that are."""
    if rule.group is not None and rule.group not in groups:
        listed = ", ".join(map(printable, groups))
        hint = f"there is {listed}; the operator can add others to nacos.naming_groups"
        yield Defect(("group",), f"no instances are taken from naming group {quoted(rule.group)}", hint)


def check_webhooks(rule: RuleDocument, hosts: WebhookHosts, severity: Severity) -> Iterator[Defect]:
    """Tell of webhooks on hosts that the operator does not allow."""
    webhooks = rule.rollout.analysis.webhooks if rule.rollout and rule.rollout.analysis else ()
    for index, hook in enumerate(webhooks):
        if problem := hosts.problem_of(hook.url):
            path = ("rollout", "analysis", "webhooks", index, "url")
            yield Defect(path, problem, hosts.hint, severity=severity)


def check_lanes(document: dict[str, Any]) -> Iterator[Defect]:
    """Yield what does not fit together in the plain data of lanes."""
    lanes = _items(document.get("lanes"))
    for word in ("name", "header", "baggage"):
        yield from _twice(("lanes",), [(i, _mapping(lane).get(word)) for i, lane in lanes], at=word)
    for index, lane in lanes:
        yield from _alternatives(("lanes", index, "enter"), _mapping(lane).get("enter"))


def _rule(path: Path, rule: dict[str, Any], document: dict[str, Any]) -> Iterator[Defect]:
    yield from _alternatives((*path, "match"), rule.get("match"))
    yield from _split((*path, "route"), _items(rule.get("route")), document)
    if (fallback := rule.get("fallback")) is not None and fallback != NO_FALLBACK:
        yield from _reference((*path, "fallback"), fallback, document)
    elif fallback is not None and NO_FALLBACK in _mapping(document.get("subsets")):
        yield Defect((*path, "fallback"), "means both no fallback and the subset none", "rename the subset")
    if mirror := _mapping(rule.get("mirror")):
        yield from _reference((*path, "mirror", "subset"), mirror.get("subset"), document)
    for side, changes in _mapping(rule.get("headers")).items():
        yield from _header_changes((*path, "headers", side), _mapping(changes))


def _header_changes(path: Path, changes: dict[str, Any]) -> Iterator[Defect]:
    """Yield the headers that are changed in more than one way."""
    named = [((*path, kind, name), name) for kind in ("set", "add") for name in _mapping(changes.get(kind))]
    named += [((*path, "remove", index), name) for index, name in _items(changes.get("remove"))]
    first: dict[str, Path] = {}
    for here, name in named:
        known = first.setdefault(str(name).lower(), here)
        if known is not here:
            at_key = here[-2] != "remove"
            yield Defect(here, f"is the same header as {render(known)}", "keep one", at_key)


def _rollout(document: dict[str, Any]) -> Iterator[Defect]:
    if not (rollout := _mapping(document.get("rollout"))):
        return
    yield from _reference(("rollout", "subset"), rollout.get("subset"), document)
    subset, baseline = rollout.get("subset"), document.get("baseline")
    if subset is not None and subset == baseline:
        yield Defect(("rollout", "subset"), "is the baseline", "name the subset that is released")
        return
    split = {
        str(rule.get("name")): [_mapping(one).get("subset") for _, one in route]
        for rule in (_mapping(rule) for _, rule in _items(document.get("http")))
        if len(route := _items(rule.get("route"))) > 1
    }
    name = rollout.get("rule")
    if isinstance(name, str) and name not in split:
        yield Defect(
            ("rollout", "rule"), f"there is no rule {quoted(name)} that splits", did_you_mean(name, split)
        )
    elif name is None and len(split) != 1:
        message = f"{len(split)} rules split" if split else "no rule splits"
        hint = did_you_mean("", split) or "write a rule whose route has the baseline and the subset"
        yield Defect(("rollout",), message, f"name one with rule: {hint}" if split else hint)
    elif isinstance(subset, str) and (name is None or isinstance(name, str)):
        rule = next(iter(split)) if name is None else name
        if subset in _mapping(document.get("subsets")) and subset not in split[rule]:
            yield Defect(("rollout", "subset"), f"is not in the route of {printable(rule)}", "add it there")


def _hosts(document: dict[str, Any]) -> Iterator[Defect]:
    hosts = _items(document.get("hosts"))
    yield from _twice(("hosts",), hosts, fold=str.lower)
    yield from _twice(("aliases",), _items(document.get("aliases")), fold=str.lower)
    yield from _twice(("clients",), _items(document.get("clients")))
    yield from _twice(("gateways",), _items(document.get("gateways")))
    if hosts and document.get("gateways") == []:
        hint = "remove `gateways` for the default, [edge]"
        yield Defect(("gateways",), "is empty: nothing serves the hosts", hint)


def _baseline(document: dict[str, Any]) -> Iterator[Defect]:
    subsets = _mapping(document.get("subsets"))
    if "baseline" in document:
        yield from _reference(("baseline",), document["baseline"], document)
    elif subsets:
        few = ", ".join(printable(name) for name in list(subsets)[:10])
        yield Defect(("baseline",), "is missing", f"name the subset that takes all other requests: {few}")


def _reference(path: Path, name: object, document: dict[str, Any]) -> Iterator[Defect]:
    """Tell of a subset that is named at ``path`` and defined nowhere."""
    subsets = document.get("subsets", {})
    if isinstance(name, str) and isinstance(subsets, dict) and name not in subsets:
        hint = did_you_mean(name, subsets) if subsets else "define it under `subsets`"
        yield Defect(path, f"there is no subset {quoted(name)}", hint)


def _alternatives(path: Path, match: object) -> Iterator[Defect]:
    """Check a list of alternatives, of which one must hold."""
    everything = "to match every request, leave `match` out"
    if match == []:
        yield Defect(path, "is empty", everything)
    for index, alternative in _items(match):
        if alternative == {}:
            yield Defect((*path, index), "is empty", everything)
        for kind, tests in _mapping(alternative).items():
            yield from _tests((*path, index, kind), kind, tests)


def _tests(path: Path, kind: str, tests: object) -> Iterator[Defect]:
    """Check what an alternative says of one thing, such as headers."""
    if kind in {"headers", "cookies", "query"}:
        if tests == {}:
            yield Defect(path, "is empty", "name one, or remove the key")
        if kind == "headers":
            yield from _same_header(path, _mapping(tests))
        for name, matcher in _mapping(tests).items():
            yield from _values((*path, name), _mapping(matcher))
    elif kind == "method":
        yield from _values(path, _mapping(tests))
    elif kind in {"sourceIp", "device", "region"}:
        yield from _twice(path, _items(tests), fold=str.upper)


def _same_header(path: Path, headers: dict[str, Any]) -> Iterator[Defect]:
    first: dict[str, str] = {}
    for name in headers:
        known = first.setdefault(name.lower(), name)
        if known != name:
            message = f"is the same header as {printable(known)}"
            yield Defect((*path, name), message, "keep one; case does not count", at_key=True)


def _values(path: Path, matcher: dict[str, Any]) -> Iterator[Defect]:
    if values := _items(matcher.get("in")):
        fold = str.lower if matcher.get("ignoreCase") is True else None
        yield from _twice((*path, "in"), values, fold=fold)


def _split(path: Path, route: list[tuple[int, Any]], document: dict[str, Any]) -> Iterator[Defect]:
    destinations = [(index, destination) for index, destination in route if isinstance(destination, dict)]
    for index, destination in destinations:
        yield from _reference((*path, index, "subset"), destination.get("subset"), document)
        if len(route) > 1 and "weight" not in destination:
            yield Defect((*path, index, "weight"), "is missing", "every destination of a split needs one")
    yield from _twice(path, [(i, destination.get("subset")) for i, destination in destinations], at="subset")
    weights = [weight for _, destination in destinations if _is_weight(weight := destination.get("weight"))]
    if weights and len(weights) == len(route) and sum(weights) == 0:
        yield Defect(path, "all weights are 0", "give at least one subset a weight above 0")
    if sum(weights) > _MAX_TOTAL:
        yield Defect(path, "the weights add up to too much", f"their sum may be {_MAX_TOTAL} at most")


def _twice(
    path: Path,
    values: list[tuple[int, Any]],
    *,
    at: str | None = None,
    fold: Callable[[str], str] | None = None,
) -> Iterator[Defect]:
    """Yield every text that occurs again; ``at`` is the field of each entry that holds it."""
    if len(values) < 2:
        return
    first: dict[str, int] = {}
    for index, value in values:
        if isinstance(value, str):
            known = first.setdefault(fold(value) if fold else value, index)
            if known != index:
                field = () if at is None else (at,)
                message = f"{quoted(value)} is given twice, first in {render((*path, known, *field))}"
                yield Defect((*path, index, *field), message, "remove one")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _is_weight(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOTAL
