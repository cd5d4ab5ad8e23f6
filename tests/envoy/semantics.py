"""What the rule language means, said once more and without Envoy: the judge of what Envoy does."""

import re
from dataclasses import dataclass

from xds.rules.model import Match, RuleDocument, StringMatcher, UriMatcher


@dataclass(frozen=True)
class Request:
    """A request as it is sent; ``target`` is the path with its query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None

    def cookie(self, name: str) -> str | None:
        for pair in (self.header("cookie") or "").split(";"):
            key, equals, value = pair.lstrip(" ").partition("=")
            if equals and key == name:
                quoted = len(value) > 1 and value[0] == value[-1] == '"'
                return value[1:-1] if quoted else value
        return None

    def parameter(self, name: str) -> str | None:
        _, question_mark, query = self.target.partition("?")
        for pair in query.split("&") if question_mark else ():
            key, _, value = pair.partition("=")
            if pair and key == name:
                return value
        return None


def decide(document: RuleDocument, request: Request) -> str:
    """Return the name of the rule that decides, or ``baseline``."""
    for rule in document.http:
        if not rule.match or any(_matches(match, request) for match in rule.match):
            return rule.name
    return "baseline"


def _matches(match: Match, request: Request) -> bool:
    return (
        (match.uri is None or _passes(match.uri, request.path))
        and (match.method is None or _passes(match.method, request.method))
        and all(_passes(test, request.header(name)) for name, test in match.headers.items())
        and all(_passes(test, request.cookie(name)) for name, test in match.cookies.items())
        and all(_passes(test, request.parameter(name)) for name, test in match.query.items())
    )


def _passes(test: StringMatcher | UriMatcher, value: str | None) -> bool:
    return _holds(test, value) != test.not_


def _holds(test: StringMatcher | UriMatcher, value: str | None) -> bool:
    if isinstance(test, StringMatcher) and test.present is not None:
        return (value is not None) == test.present
    if value is None:
        return False
    if isinstance(test, StringMatcher) and test.range is not None:
        is_integer = re.fullmatch("[+-]?[0-9]+", value)
        return bool(is_integer) and test.range.start <= int(value) < test.range.end
    if test.regex is not None:
        flags = re.IGNORECASE if test.ignore_case else 0
        return re.fullmatch(test.regex.encode(), value.encode(), flags) is not None
    return _compares(test, value)


def _compares(test: StringMatcher | UriMatcher, value: str) -> bool:
    def fold(text: str) -> str:
        return re.sub("[A-Z]", lambda letter: letter[0].lower(), text) if test.ignore_case else text

    value = fold(value)
    if test.exact is not None:
        return value == fold(test.exact)
    if test.prefix is not None:
        return value.startswith(fold(test.prefix))
    assert isinstance(test, StringMatcher)
    if test.suffix is not None:
        return value.endswith(fold(test.suffix))
    if test.contains is not None:
        return fold(test.contains) in value
    return value in {fold(one) for one in test.values}
