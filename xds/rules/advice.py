"""What ``grayplane lint`` says of a valid document, beyond the warnings that everybody gets."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from xds.documents.defect import Defect, Path, printable, quoted, render
from xds.documents.problem import Severity
from xds.rules.coverage import covers, same_users
from xds.rules.model import HttpRule, Match, RuleDocument, StringMatcher, UriMatcher
from xds.rules.regex import MAX_PROGRAM, program_size

_COSTLY = MAX_PROGRAM // 2
_MOST_PAIRS = 200_000
"""Pairs of alternatives that are compared; a document with more is not searched for covered ones."""

_LITERAL = re.compile(r"\^?((?:[A-Za-z0-9 _/@:;,~=-]|\\[.+*?()|\[\]{}^$\\/-])+)(\.\*)?\$?")


def advise(rule: RuleDocument, now: datetime) -> Iterator[Defect]:
    """Tell of rules that never match, that overlap, that cost much, and of words that do nothing."""
    found = chain(
        _covered(rule.http),
        _shares(rule.http),
        *(_of_rule(("http", index), one, now) for index, one in enumerate(rule.http)),
        _unused(rule),
    )
    for defect in found:
        yield defect._replace(severity=Severity.WARNING)


def _alternatives(rules: tuple[HttpRule, ...]) -> list[tuple[Path, HttpRule, Match]]:
    return [
        (("http", index, "match", number), rule, match)
        for index, rule in enumerate(rules)
        for number, match in enumerate(rule.match)
    ]


def _covered(rules: tuple[HttpRule, ...]) -> Iterator[Defect]:
    alternatives = _alternatives(rules)
    if len(alternatives) ** 2 > _MOST_PAIRS:
        return
    for number, (path, rule, match) in enumerate(alternatives):
        for earlier, other, wide in alternatives[:number]:
            if wide != match and covers(wide, match):
                taker = "" if other is rule else f" of rule {other.name}"
                message = f"is never reached: {render(earlier)}{taker} takes all of its requests"
                yield Defect(path, message, "move it above, or remove it")
                break


def _shares(rules: tuple[HttpRule, ...]) -> Iterator[Defect]:
    """Say where a later rule gets less than its percentage, since an earlier one takes the same users."""
    seen: list[tuple[Path, HttpRule, Match]] = []
    for path, rule, match in _alternatives(rules):
        share = match.percentage
        if share is None or not share.identities():
            continue
        for earlier, other, wide in seen:
            if wide.percentage and other is not rule and same_users(wide.percentage, share):
                rest = share.value - wide.percentage.value
                if rest > 0 and covers(wide.model_copy(update={"percentage": None}), match):
                    message = (
                        f"{wide.percentage.value:g} % of these users go to {other.name}: {rest:g} % are left"
                    )
                    yield Defect(
                        (*path, "percentage"),
                        message,
                        f"a salt of its own makes it independent of {render(earlier)}",
                    )
        seen.append((path, rule, match))


def _of_rule(path: Path, rule: HttpRule, now: datetime) -> Iterator[Defect]:
    for number, match in enumerate(rule.match):
        yield from _of_match((*path, "match", number), match, now)
    subsets = [one.subset for one in rule.route if one.weight != 0]
    if rule.fallback is not None and subsets == [rule.fallback]:
        yield Defect(
            (*path, "fallback"), "is where the requests go anyway", "name another subset, or remove it"
        )
    if rule.mirror and subsets == [rule.mirror.subset]:
        yield Defect((*path, "mirror", "subset"), "gets every copied request twice", "name another subset")
    retries = rule.retries
    if retries and retries.per_try_timeout and rule.timeout and retries.per_try_timeout >= rule.timeout:
        hint = "make it shorter than the timeout of the rule"
        yield Defect((*path, "retries", "perTryTimeout"), "leaves no time for a retry", hint)


def _of_match(path: Path, match: Match, now: datetime) -> Iterator[Defect]:
    if match.percentage and match.percentage.value == 0:
        yield Defect(
            (*path, "percentage", "value"), "0 percent: it never holds", "write more, or remove the entry"
        )
    schedule = match.schedule
    if schedule and not schedule.holds(now) and schedule.next_change(now) is None:
        hint = "remove the entry, or give it another time"
        yield Defect((*path, "schedule"), "is over: it never holds again", hint)
    if match.region:
        for index, region in enumerate(match.region):
            wide = [
                one
                for one in match.region
                if one.endswith("*") and one != region and region.startswith(one[:-1])
            ]
            if wide:
                yield Defect((*path, "region", index), f"is part of {wide[0]}", "remove one")
    if match.uri and match.uri.regex:
        yield from _of_regex((*path, "uri", "regex"), match.uri, match.uri.regex)
    for kind, tests in (("headers", match.headers), ("cookies", match.cookies), ("query", match.query)):
        for name, test in tests.items():
            if test.regex:
                yield from _of_regex((*path, kind, name, "regex"), test, test.regex)


def _of_regex(path: Path, test: StringMatcher | UriMatcher, regex: str) -> Iterator[Defect]:
    size = program_size(regex)
    if size and size > _COSTLY:
        message = f"costs much: RE2 program size {size} of at most {MAX_PROGRAM}"
        yield Defect(path, message, "use in, prefix or a shorter expression")
    elif found := _LITERAL.fullmatch(regex):
        text = re.sub(r"\\(.)", r"\1", found[1])
        if isinstance(test, StringMatcher) or text.startswith("/"):
            operator = "prefix" if found[2] else "exact"
            yield Defect(path, "says what needs no expression", f"write {operator}: {quoted(text)}")


def _unused(rule: RuleDocument) -> Iterator[Defect]:
    used = {rule.baseline, rule.rollout.subset if rule.rollout else None}
    for http in rule.http:
        used |= {one.subset for one in http.route}
        used |= {http.fallback, http.mirror.subset if http.mirror else None}
    for name in rule.subsets:
        if name not in used:
            message = f"no rule sends requests to {printable(name)}"
            yield Defect(("subsets", name), message, "remove it, unless a lane uses it")
