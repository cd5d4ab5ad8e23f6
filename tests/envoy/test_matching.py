"""What a rule matches: a real Envoy's decision against the language's meaning (``xds.routing.evaluate``)."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import product

from tests.envoy.generate import Generator
from tests.envoy.static import ROUTE_HEADER, document, serving
from tests.harness.http import Client
from tests.harness.routing import routing
from xds.routing import Request, evaluate
from xds.rules.model import HttpRule, RuleDocument

# Plain routes cannot say it, and no request meets it: with it in front, a document becomes a matcher.
_LONG_LIST = HttpRule.model_validate(
    {
        "name": "long-list",
        "match": [{"headers": {"x-nobody": {"in": [f"user-{n}" for n in range(20)]}}}],
        "route": [{"subset": "base"}],
    }
)
_CONNECTIONS = 8


async def test_envoy_decides_what_the_language_means() -> None:
    generator = Generator(seed=2026)
    documents: dict[str, RuleDocument] = {}
    for number in range(150):
        documents[f"case-{number}.test"] = one = generator.document()
        documents[f"long-{number}.test"] = one.model_copy(update={"http": (_LONG_LIST, *one.http)})
    questions = [(host, generator.request()) for host in documents for _ in range(12)]
    async with serving(documents) as port:
        routes = await ask(port, questions)
    wrong = [
        f"{host}: {request}\n{documents[host].model_dump_json(exclude_defaults=True)}\nwent to {route}"
        for (host, request), route in zip(questions, routes, strict=True)
        if route != decide(documents[host], request)
    ]
    assert set(routes) == {"baseline", "rule.one", "rule.two", "rule.three"}
    assert not wrong, f"{len(wrong)} of {len(questions)} wrong\n" + "\n\n".join(wrong[:10])


async def test_lists_of_ten_thousand_users() -> None:
    users = [f"user-{number}" for number in range(10_000)]
    odd, even = users[1::2], users[::2]
    documents = {
        "lists.test": document(
            _rule("one", {"headers": {"x-user": {"in": odd}, "x-friend": {"in": even}}}),
            _rule(
                "two",
                {"cookies": {"user": {"in": odd}}},
                {"query": {"user": {"in": odd, "ignoreCase": True}}},
            ),
            _rule("three", {"headers": {"x-user": {"in": users, "not": True}}, "method": {"exact": "POST"}}),
        )
    }
    some = [*users[::997], "user-10000", "User-1", "user"]
    requests = [
        Request(
            method,
            f"/?user={parameter.upper()}",
            (("x-user", user), ("x-friend", friend), ("cookie", cookie)),
        )
        for user, friend, parameter in product(some, some[:4], ("user-7", "user-8", "nobody"))
        for method, cookie in (("GET", f"user={friend}"), ("POST", "a=b"))
    ]
    questions = [("lists.test", request) for request in requests]
    async with serving(documents) as port:
        routes = await ask(port, questions)
    assert routes == [decide(documents["lists.test"], request) for request in requests]
    assert set(routes) == {"baseline", "rule.one", "rule.two", "rule.three"}


async def test_envoy_accepts_the_largest_that_the_language_does() -> None:
    name, value = "n" * 200, "v" * 500_000
    wide: dict[str, object] = {"range": {"start": -(2**63), "end": 2**63 - 1}}
    tests: list[dict[str, object]] = [
        {"exact": value},
        {"contains": value, "ignoreCase": True},
        {"in": [value, *(f"value-{n}" for n in range(1000))]},
        {"regex": "a" * 90, "ignoreCase": True},
        {"regex": "(a?){20}"},
        wide,
        wide | {"not": True},
    ]
    rules = [
        _rule("one", {key: {name: test}}, *([{"method": {"exact": "NONE"}}] * 900))
        for key in ("headers", "cookies", "query")
        for test in tests
    ]
    named = [rule | {"name": f"rule-{number}.one"} for number, rule in enumerate(rules)]
    patterns = _rule("one", *({key: {name: tests[3]}} for key in ("headers", "cookies", "query")))
    documents = {"matcher.test": document(*named), "plain.test": document(patterns)}
    request = Request("GET", f"/?{name}=7", ((name, "7"), ("cookie", f"{name}=7")))
    async with serving(documents) as port:
        routes = await ask(port, [(host, request) for host in documents])
    assert routes == ["rule-5.one", "baseline"]


def _rule(subset: str, *match: object) -> dict[str, object]:
    return {"name": f"rule.{subset}", "match": match, "route": [{"subset": subset}]}


async def ask(port: int, questions: Sequence[tuple[str, Request]]) -> list[str]:
    """Send requests to hosts; return the names of the routes they took, having checked where those led."""
    routes: dict[int, str] = {}

    async def ask_some(numbers: Iterable[int]) -> None:
        async with Client(port) as client:
            for number in numbers:
                host, request = questions[number]
                response = await client.request(request.method, host, request.target, request.headers)
                assert response.status == 200, (host, request, response)
                route = response.headers[ROUTE_HEADER]
                rule, _, subset = route.partition(".")
                assert response.json()["version"] == (subset or "base"), (rule, response)
                routes[number] = route

    count = len(questions)
    await asyncio.gather(*(ask_some(range(first, count, _CONNECTIONS)) for first in range(_CONNECTIONS)))
    return [routes[number] for number in range(count)]


def decide(document: RuleDocument, request: Request) -> str:
    """Return the name of the rule that decides, as the evaluator says."""
    (outcome,) = evaluate(routing("svc", document), request).outcomes
    return outcome.decision.name
