"""Rule documents and requests by chance, so close to each other that many tests just hold or just fail."""

import random
from collections.abc import Callable
from typing import TypeVar

from tests.envoy.static import SUBSETS, document
from xds.routing import Request
from xds.rules.model import RuleDocument

Made = TypeVar("Made")

_NAMES = ("a", "ab", "aa", "A")
_VALUES = (
    "a",
    "ab",
    "b",
    "aB",
    "10",
    "-3",
    "+7",
    "007",
    "x.y",
    "a b",
    'a"b',
    '"a"',
    "a=b",
    "a;b",
    "a&b",
    "a?b",
    "é",
)
_PATHS = ("/", "/a", "/api", "/api/", "/api/v1", "/API", "/api/v1/x.png", "/a=b;c")
_REGEXES = (
    "a.*",
    ".*b",
    "[^a].*",
    "a|ab",
    ".*",
    r"\W.*|x\.y",
    "^a$",
    "a.b",
    r"[\W\d]+",
    "(a|b)*",
    "[!-z]*",
    "^$",
)
_PATH_REGEXES = ("/api/.*", "/.*", r".*\.png", "/[^a].*", r"^/api/v\d$", "/a|/api", r"/\w+/?.*", "/api(/.*)?")


class Generator:
    """Makes the same sequence of documents and requests for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def document(self) -> RuleDocument:
        rules = [
            {"name": f"rule.{subset}", "match": self._some(self._match, 1, 3), "route": [{"subset": subset}]}
            for subset in SUBSETS[1 : self._random.randint(2, 4)]
        ]
        return document(*rules)

    def request(self) -> Request:
        pick = self._random.choice
        headers = [(f"x-{name}", pick(_VALUES)) for name in _NAMES[:3] if self._chance(0.4)]
        if self._chance(0.7):
            headers.append(("cookie", self._cookie()))
        return Request(pick(("GET", "POST", "DELETE")), pick(_PATHS) + self._query(), tuple(headers))

    def _match(self) -> dict[str, object]:
        keys: dict[str, Callable[[], object]] = {
            "uri": self._uri,
            "method": lambda: self._turned({"exact": "GET"}, {"in": ["GET", "POST"]}, {"regex": "P.*"}),
            "headers": lambda: {f"x-{name}": self._test() for name in self._sample(_NAMES[:3])},
            "cookies": lambda: {name: self._test() for name in self._sample(_NAMES)},
            "query": lambda: {name: self._test() for name in self._sample(_NAMES)},
        }
        return {
            key: keys[key]() for key in self._random.sample(sorted(keys), self._random.choice((1, 1, 2, 3)))
        }

    def _test(self) -> dict[str, object]:
        value, start = self._random.choice(_VALUES), self._random.randint(-20, 12)
        values = self._random.sample(_VALUES, self._random.choice((1, 2, 3, 12)))
        tests: list[dict[str, object]] = [
            {"exact": value},
            {"prefix": value},
            {"suffix": value},
            {"contains": value},
            {"regex": self._random.choice(_REGEXES)},
            {"in": values},
            {"range": {"start": start, "end": start + self._random.randint(1, 30)}},
            {"present": self._chance(0.5)},
        ]
        return self._turned(*tests)

    def _uri(self) -> dict[str, object]:
        path = self._random.choice(_PATHS)
        return self._turned({"exact": path}, {"prefix": path}, {"regex": self._random.choice(_PATH_REGEXES)})

    def _turned(self, *tests: dict[str, object]) -> dict[str, object]:
        test = dict(self._random.choice(tests))
        test["not"] = self._chance(0.3)
        if not test.keys() & {"range", "present"}:
            test["ignoreCase"] = self._chance(0.3)
        return test

    def _cookie(self) -> str:
        pairs = [self._pair(";") for _ in range(self._random.randint(1, 4))]
        return self._random.choice(("; ", ";", ";  ", ";; ")).join(pairs)

    def _query(self) -> str:
        if self._chance(0.3):
            return self._random.choice(("", "?"))
        pairs = [
            self._pair("&").replace(" ", "%20").replace("é", "%C3%A9")
            for _ in range(self._random.randint(1, 4))
        ]
        return "?" + self._random.choice(("&", "&&")).join(pairs)

    def _pair(self, separator: str) -> str:
        name = self._random.choice(_NAMES)
        value = self._random.choice([value for value in _VALUES if separator not in value])
        return self._random.choice((f"{name}={value}", f'{name}="{value}"', f"{name}=", name))

    def _some(self, make: Callable[[], Made], least: int, most: int) -> list[Made]:
        return [make() for _ in range(self._random.randint(least, most))]

    def _sample(self, names: tuple[str, ...]) -> list[str]:
        return self._random.sample(names, self._random.choice((1, 1, 2)))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
