"""What a valid document says that its author can hardly mean."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from xds.documents.defect import Defect, Path, printable, render
from xds.documents.problem import Problem, Severity
from xds.documents.text import Mark
from xds.rules.instance import Instance, canonical_ip
from xds.rules.model import HttpRule, Match, RuleDocument, Subset

_NOWHERE: Mapping[Path, Mark] = {}
_MOST_NAMES = 5


def lint(rule: RuleDocument) -> Iterator[Defect]:
    """Warn about a document by itself."""
    for defect in (*_unreachable(rule.http), *_needless_sticky(rule.http), *_same_subsets(rule.subsets)):
        yield defect._replace(severity=Severity.WARNING)


def lint_instances(
    document: str,
    rule: RuleDocument,
    instances: Iterable[Instance],
    positions: Mapping[Path, Mark] = _NOWHERE,
    *,
    grpc_clients: bool = False,
    hides_disabled: bool = False,
) -> tuple[Problem, ...]:
    """Warn about subsets that select none of the service's instances, or none that may take traffic.

    ``positions`` is where the subsets stand, if that is known. With ``grpc_clients``, warn also of instances
    that these are not sent, since their address is a host name. ``hides_disabled``: the registry tells
    nothing of instances that are disabled.
    """
    known = tuple(instances)
    problems = list(_not_for_grpc(document, known)) if grpc_clients else []
    for name, subset in rule.subsets.items():
        selected = [instance for instance in known if subset.selects(instance.metadata)]
        if any(instance.serving for instance in selected):
            continue
        if selected:
            message, hint = _out_of_service(name, selected)
        else:
            message, hint = _missing(rule.service, subset, known, or_disabled=hides_disabled)
        if name != rule.baseline:
            message += f": its requests go to {rule.baseline}"
        path: Path = ("subsets", name)
        mark = positions.get(path, (0, 0))
        problems.append(Problem(document, *mark, render(path), message, hint, Severity.WARNING))
    return tuple(problems)


def lint_service(
    document: str,
    rule: RuleDocument,
    instances: Iterable[Instance],
    positions: Mapping[Path, Mark] = _NOWHERE,
) -> tuple[Problem, ...]:
    """Warn about a service without any instance that may take traffic, where no subset says so."""
    known = list(instances)
    if rule.subsets or any(instance.serving for instance in known):
        return ()
    path: Path = ("service",)
    name = printable(rule.service)
    message, hint = f"there is no instance of {name}", "is this the service's name in the registry?"
    if known:
        message, hint = _out_of_service(name, known)
    mark = positions.get(path, (0, 0))
    return (Problem(document, *mark, render(path), f"{message}: requests fail", hint, Severity.WARNING),)


def lint_group(
    document: str,
    rule: RuleDocument,
    registered: Sequence[str],
    positions: Mapping[Path, Mark] = _NOWHERE,
    *,
    has_groups: bool,
) -> tuple[Problem, ...]:
    """Warn about a naming group that has no such service, and about several where the rule names none.

    ``registered`` are the groups with a service of this name, the preferred first. ``has_groups``: whether
    instances come from where there are groups.
    """
    service, listed = printable(rule.service), ", ".join(map(printable, registered))
    if rule.group is None and len(registered) > 1:
        message = f"{service} is registered in groups {listed}: the instances of {registered[0]} are used"
        hint = f"say which: group: {printable(registered[0])}"
    elif rule.group is not None and not has_groups:
        message, hint = "says nothing: instances that stand in files have no naming groups", "remove it"
    elif rule.group is not None and rule.group not in registered:
        message = f"there is no {service} in naming group {printable(rule.group)}"
        hint = f"it is registered in {listed}" if registered else ""
    else:
        return ()
    path: Path = ("group",) if rule.group is not None else ("service",)
    mark = positions.get(path, (0, 0))
    return (Problem(document, *mark, render(path), message, hint, Severity.WARNING),)


def lint_hosts(
    document: str, rule: RuleDocument, lacks_certificate: Callable[[str, str], bool]
) -> tuple[Problem, ...]:
    """Warn about hosts that a gateway serves by HTTPS without a certificate for them.

    ``lacks_certificate`` says so of a gateway and a host.
    """
    return tuple(
        Problem(
            document,
            *(0, 0),
            path=f"hosts[{index}]",
            message=f"gateway {printable(gateway)} has no certificate for {printable(host)}",
            hint="have the operator add one that names it to `certificates`",
            severity=Severity.WARNING,
        )
        for index, host in enumerate(rule.hosts)
        for gateway in rule.gateways
        if lacks_certificate(gateway, host)
    )


def _not_for_grpc(document: str, instances: Iterable[Instance]) -> Iterator[Problem]:
    names = [
        f"{one.address}:{one.port}" for one in instances if one.serving and canonical_ip(one.address) is None
    ]
    if names:
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        listed = ", ".join(map(printable, names[:_MOST_NAMES]))
        message = f"gRPC clients are not sent {listed}{more}: they resolve no host names"
        hint = "register the instances by their IP addresses"
        yield Problem(document, *(0, 0), "", message, hint, Severity.WARNING)


def _out_of_service(name: str, selected: list[Instance]) -> tuple[str, str]:
    count = "the one instance" if len(selected) == 1 else f"all {len(selected)} instances"
    verb = "is" if len(selected) == 1 else "are"
    hint = "see the registry: they are not healthy, or have weight 0"
    return f"{count} of {printable(name)} {verb} out of service", hint


def _missing(
    service: str, subset: Subset, instances: Iterable[Instance], *, or_disabled: bool
) -> tuple[str, str]:
    known = [instance.metadata for instance in instances]
    there = {(key, metadata[key]) for metadata in known for key in subset.labels if key in metadata}
    hint = f"there is {_said(sorted(there)[:10])}" if there else ""
    unseen = ", or it is disabled in the registry" if or_disabled else ""
    return f"no instance of {service} has {_said(subset.labels.items())}{unseen}", hint


def _said(labels: Iterable[tuple[str, str]]) -> str:
    return ", ".join(printable(f"{key}={value}") for key, value in labels)


def _unreachable(rules: Sequence[HttpRule]) -> Iterator[Defect]:
    known: dict[str, Path] = {}
    alone = sum(len(rule.match) for rule in rules) < 2
    taker: HttpRule | None = None
    for index, rule in enumerate(rules):
        path: Path = ("http", index)
        if taker:
            yield Defect(
                path, f"is never reached: rule {taker.name} takes every request", "move it above that rule"
            )
            continue
        for number, match in enumerate(() if alone else rule.match):
            here = (*path, "match", number)
            first = known.setdefault(_canonical(match), here)
            if first is not here:
                yield Defect(here, f"is never reached: the same as {render(first)}", "remove one")
        if not rule.match:
            taker = rule


def _canonical(match: Match) -> str:
    return json.dumps(match.model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def _needless_sticky(rules: Iterable[HttpRule]) -> Iterator[Defect]:
    for index, rule in enumerate(rules):
        if rule.sticky and len(rule.route) == 1:
            hint = "remove it, or list the subsets of the split"
            yield Defect(("http", index, "sticky"), "has no effect: all requests go to one subset", hint)


def _same_subsets(subsets: dict[str, Subset]) -> Iterator[Defect]:
    first: dict[frozenset[tuple[str, str]], str] = {}
    for name, subset in subsets.items():
        known = first.setdefault(frozenset(subset.labels.items()), name)
        if known != name:
            yield Defect(
                ("subsets", name),
                f"has the labels of {known}: the same instances",
                "tell them apart by a label",
            )
