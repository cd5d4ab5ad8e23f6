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
_ADDRESSES = (
    *("10.1.2.3", "10.1.9.9", "10.2.2.3", "192.0.2.1"),
    *("2001:db8::1", "2001:db8:1::5", "2001:DB8:0:0::5", "::ffff:10.1.2.3"),
)
_NETWORKS = (
    *("10.1.0.0/16", "10.1.2.0/24", "10.2.2.3/32", "0.0.0.0/0"),
    *("2001:db8::/32", "2001:db8::1/128", "::/0"),
)
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_AGENTS = (
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) {_WEBKIT} Mobile/15E148",
    f"Mozilla/5.0 (Linux; Android 15; Pixel 9) {_WEBKIT} Chrome/130.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 14; SM-X910) {_WEBKIT} Chrome/130.0 Safari/537.36",
    f"Mozilla/5.0 (Phone; OpenHarmony 5.0) {_WEBKIT} ArkWeb/4.1 Mobile",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/130.0",
    f"Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) {_WEBKIT} MicroMessenger/8.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.10",
)
_DEVICES = ("ios", "android", "harmonyos", "mobile", "tablet", "desktop", "wechat", "bot")
_REGIONS = ("CN", "CN-SH", "CN-*", "US", "US-*")
_SCHEDULES = (
    {"from": "2026-11-25T09:00Z", "until": "2026-11-25T11:00Z"},
    {"until": "2026-11-25T10:00Z"},
    {"days": ["wed"], "hours": ["18:00-19:00"], "timezone": "Asia/Shanghai"},
    {"hours": ["22:00-06:00"], "timezone": "Europe/Berlin"},
)
LISTS = {"few": ("a", "ab", "007"), "many": (*(f"user-{number}" for number in range(3000)), "aB", "é")}
"""The list documents beside the documents made here."""

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
    "(?:a$|b)*",
    "[!-z]*",
    "^$",
)
_PATH_REGEXES = ("/api/.*", "/.*", r".*\.png", "/[^a].*", r"^/api/v\d$", "/a|/api", r"/\w+/?.*", "/api(/.*)?")


class Generator:
    """Makes the same sequence of documents and requests for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def document(self) -> RuleDocument:
        return document(*(self._rule(subset) for subset in SUBSETS[1 : self._random.randint(2, 4)]))

    def _rule(self, subset: str) -> dict[str, object]:
        rule: dict[str, object] = {"name": f"rule.{subset}", "match": self._some(self._match, 1, 3)}
        if self._chance(0.6):
            return rule | {"route": [{"subset": subset}]}
        weights = [{"subset": name, "weight": self._random.randint(1, 5)} for name in ("base", subset)]
        return rule | {"route": weights, "sticky": self._identity()}

    def _identity(self) -> dict[str, object]:
        name = self._random.choice(_NAMES)
        identities: list[dict[str, object]] = [
            {"header": f"x-{name.lower()}"},
            {"cookie": name},
            {"query": name},
            {"sourceIp": True},
        ]
        return self._random.choice(identities)

    def request(self) -> Request:
        pick = self._random.choice
        headers = [(f"x-{name}", pick(_VALUES)) for name in _NAMES[:3] if self._chance(0.4)]
        headers += [(f"x-{name}", pick(_VALUES)) for name in _NAMES[:3] if self._chance(0.1)]
        if self._chance(0.7):
            headers.append(("cookie", self._cookie()))
        if self._chance(0.5):
            headers.append(("user-agent", pick(_AGENTS)))
        if self._chance(0.2):
            headers.append(("sec-ch-ua-mobile", pick(("?0", "?1"))))
        if self._chance(0.2):
            headers.append(("sec-ch-ua-platform", pick(('"Android"', '"iOS"', '"Windows"'))))
        if self._chance(0.5):
            headers.append(("x-region", pick(("CN", "CN-SH", "US-CA", "us", "CNX"))))
        source = pick(_ADDRESSES)
        headers.append(("x-forwarded-for", source))
        return Request(pick(("GET", "POST", "DELETE")), pick(_PATHS) + self._query(), tuple(headers), source)

    def _match(self) -> dict[str, object]:
        keys: dict[str, Callable[[], object]] = {
            "uri": self._uri,
            "method": lambda: self._turned({"exact": "GET"}, {"in": ["GET", "POST"]}, {"regex": "P.*"}),
            "headers": lambda: {f"x-{name}": self._test() for name in self._sample(_NAMES[:3])},
            "cookies": lambda: {name: self._test() for name in self._sample(_NAMES)},
            "query": lambda: {name: self._test() for name in self._sample(_NAMES)},
            "sourceIp": lambda: self._sample(_NETWORKS),
            "device": lambda: self._sample(_DEVICES),
            "region": lambda: self._sample(_REGIONS),
            "percentage": self._percentage,
            "schedule": lambda: self._random.choice(_SCHEDULES),
        }
        return {
            key: keys[key]() for key in self._random.sample(sorted(keys), self._random.choice((1, 1, 2, 3)))
        }

    def _percentage(self) -> dict[str, object]:
        salt: dict[str, object] = {"salt": self._random.choice("abc")} if self._chance(0.5) else {}
        return {"value": self._random.choice((0, 0.5, 20, 50, 80, 100)), **self._identity(), **salt}

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
            {"in": {"list": self._random.choice(sorted(LISTS))}},
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
