"""Valid documents by chance, in the words of the language."""

import re
from typing import Any

from hypothesis import strategies as st

from xds.rules.regex import MAX_LENGTH, check_regex, check_regex_ignoring_case

_NAMES = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)
_TOKENS = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True).filter(lambda name: name != "host")
_HOSTS = st.one_of(
    st.just("*"),
    st.from_regex(r"(\*\.)?[a-z_]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{1,8}){0,3}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
)
_VALUES = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=20)
_PATHS = st.from_regex(r"/[!-\"$->@-~]{0,20}", fullmatch=True)
_INTS = st.integers(-(2**63), 2**63 - 1)
_RANGES = st.lists(_INTS, min_size=2, max_size=2, unique=True).map(
    lambda bounds: {"start": min(bounds), "end": max(bounds)}
)


def _is_regex(text: str) -> bool:
    try:
        check_regex(text)
        check_regex_ignoring_case(text)
    except Exception:  # noqa: BLE001 - what check_regex does about it is another test's
        return False
    return len(text) <= MAX_LENGTH


_REGEXES = st.one_of(
    _VALUES.map(re.escape), st.sampled_from([".*", "a|b", r"\d{1,3}", "^$", "[^;]+", "(?:x+y?)*"])
).filter(_is_regex)


def _turned(operators: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def finish(matcher: dict[str, Any], turned: bool | None, ignore: bool | None) -> dict[str, Any]:
        if turned is not None:
            matcher = {**matcher, "not": turned}
        if ignore is not None and not matcher.keys() & {"range", "present"}:
            matcher = {**matcher, "ignoreCase": ignore}
        return matcher

    maybe = st.sampled_from([None, False, True])
    return st.builds(finish, operators, maybe, maybe)


def _one(**operators: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(*(st.fixed_dictionaries({word: value}) for word, value in operators.items()))


_MATCHERS = _turned(
    _one(
        **dict.fromkeys(("exact", "prefix", "suffix", "contains"), _VALUES),
        **{"in": st.lists(_VALUES, min_size=1, max_size=5, unique_by=str.lower)},
        regex=_REGEXES,
        range=_RANGES,
        present=st.booleans(),
    )
)
_METHODS = st.sampled_from(["GET", "POST", "M-SEARCH"])
_MATCHES = st.fixed_dictionaries(
    {"headers": st.dictionaries(_TOKENS, _MATCHERS, min_size=1, max_size=3)},
    optional={
        "uri": _turned(_one(exact=_PATHS, prefix=_PATHS, regex=_REGEXES)),
        "method": _turned(_one(**{"exact": _METHODS, "in": st.lists(_METHODS, min_size=1, unique=True)})),
        "cookies": st.dictionaries(_TOKENS, _MATCHERS, min_size=1, max_size=3),
        "query": st.dictionaries(_NAMES, _MATCHERS, min_size=1, max_size=3),
    },
)
_DURATIONS = st.one_of(
    st.integers(1, 100_000).map(lambda n: f"{n}s"),
    st.integers(1, 100_000).filter(lambda n: n % 1000).map(lambda n: f"{n}ms"),
)
_STICKY = st.one_of(
    _TOKENS.map(lambda name: {"header": name}),
    _TOKENS.map(lambda name: {"cookie": name}),
    st.builds(lambda name, ttl: {"cookie": name, "ttl": f"{ttl}s"}, _TOKENS, st.integers(1, 10**6)),
)


@st.composite
def _http(draw: st.DrawFn, subsets: list[str]) -> list[dict[str, Any]]:
    rules = []
    for name in draw(st.lists(_NAMES, max_size=4, unique=True)):
        targets = draw(st.lists(st.sampled_from(subsets), min_size=1, max_size=3, unique=True))
        weights = draw(st.lists(st.integers(0, 2**30), min_size=3, max_size=3).filter(lambda w: w[0] > 0))
        route = [
            {"subset": target, "weight": weight} for target, weight in zip(targets, weights, strict=False)
        ]
        if len(route) == 1 and draw(st.booleans()):
            del route[0]["weight"]
        rule = {"name": name, "route": route}
        optional = {
            "match": st.lists(_MATCHES, min_size=1, max_size=3),
            "sticky": _STICKY,
            "timeout": _DURATIONS,
        }
        rules.append(rule | draw(st.fixed_dictionaries({}, optional=optional)))
    return rules


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A valid rule document as plain data, durations in the form that the model writes."""
    document = draw(
        st.fixed_dictionaries(
            {"service": _NAMES},
            optional={
                "enabled": st.booleans(),
                "hosts": st.lists(_HOSTS, max_size=4, unique=True),
                "gateways": st.lists(_NAMES, min_size=1, max_size=3, unique=True),
            },
        )
    )
    labels = st.dictionaries(_VALUES, _VALUES, min_size=1, max_size=3)
    subsets = draw(st.dictionaries(_NAMES, st.fixed_dictionaries({"labels": labels}), max_size=3))
    if subsets:
        document |= {"subsets": subsets, "baseline": draw(st.sampled_from(sorted(subsets)))}
        document["http"] = draw(_http(sorted(subsets)))
    return document
