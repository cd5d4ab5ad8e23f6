"""What a rule matches: a real Envoy's decision against the language's meaning (``xds.routing.evaluate``)."""

import asyncio
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, product

from tests.envoy.generate import LISTS, Generator
from tests.envoy.static import ROUTE_HEADER, document, serving
from tests.harness.http import Client
from tests.harness.routing import routing
from xds.compiler import plain_routes
from xds.compiler.actions import variants
from xds.http.ofrep import Flags, FlagSource, read_context
from xds.routing import Request, Surroundings, evaluate
from xds.rules.instance import ServiceId
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
SURROUNDINGS = Surroundings(lists=LISTS)


async def test_envoy_decides_what_the_language_means() -> None:
    """Ask an Envoy and the evaluator about random requests to random documents.

    Each document is there twice, as it is and as a matcher; of those as they are, half are plain routes. More
    documents, or others, are tried with DIFFERENTIAL_DOCUMENTS and DIFFERENTIAL_SEED.
    """
    generator = Generator(seed=int(os.environ.get("DIFFERENTIAL_SEED", "2026")))
    documents: dict[str, RuleDocument] = {}
    for number in range(int(os.environ.get("DIFFERENTIAL_DOCUMENTS", "150"))):
        made = (generator.document() for _ in count())
        one = next(made) if number % 2 else next(filter(_is_plain, made))
        documents[f"case-{number}.test"] = one
        documents[f"long-{number}.test"] = one.model_copy(update={"http": (_LONG_LIST, *one.http)})
    requests = [generator.request() for _ in documents for _ in range(6)]
    questions = [
        (f"{kind}-{number // 12}.test", request)
        for number, request in enumerate(requests)
        for kind in ("case", "long")
    ]
    async with serving(documents, SURROUNDINGS) as port:
        answers = await ask(port, questions)
    wrong = [
        f"{host}: {request}\n{documents[host].model_dump_json(exclude_defaults=True)}\n"
        f"went to {answer}, not {expected}"
        for (host, request), answer in zip(questions, answers, strict=True)
        if answer not in (expected := allowed(documents[host], request))
    ]
    assert {route for route, _ in answers} == {"baseline", "rule.one", "rule.two", "rule.three"}
    assert not wrong, f"{len(wrong)} of {len(questions)} wrong\n" + "\n\n".join(wrong[:10])
    # OpenFeature's clients get the same answer, where chance decides nothing.
    flags = _flags(documents)
    sure = [
        (host, request, answer)
        for (host, request), answer in zip(questions, answers, strict=True)
        if len(allowed(documents[host], request)) == 1 and _is_a_context(request)
    ]
    assert len(sure) > len(questions) / 3
    for host, request, answer in sure:
        flag = flags.evaluate("", host, read_context(_context(request), SURROUNDINGS.region_header))
        assert (flag["metadata"]["rule"], flag["variant"]) == answer, (host, request)


def _flags(documents: Mapping[str, RuleDocument]) -> Flags:
    source = FlagSource(
        services=lambda: [ServiceId("", host) for host in documents],
        routing=lambda service: routing("svc", documents[service.name], SURROUNDINGS),
        revision=lambda _: "",
        enabled=lambda _: True,
        version=lambda: "",
        region_header=SURROUNDINGS.region_header,
    )
    return Flags(source)


def _is_a_context(request: Request) -> bool:
    """Whether an evaluation context can say it: there a header has one line."""
    names = [name for name, _ in request.headers]
    return len(names) == len(set(names))


def _context(request: Request) -> bytes:
    """Write a request as the evaluation context of OFREP."""
    known = {"method": request.method, "uri": request.target, "sourceIp": request.source}
    return json.dumps({"context": {**known, "headers": dict(request.headers)}}).encode()


def _is_plain(document: RuleDocument) -> bool:
    found = variants(routing("svc", document, SURROUNDINGS))
    return all(plain_routes.expressible(variant.when) for variant in found)


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
        answers = await ask(port, questions)
    assert all(
        answer in allowed(documents["lists.test"], request)
        for answer, request in zip(answers, requests, strict=True)
    )
    routes = [route for route, _ in answers]
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
        answers = await ask(port, [(host, request) for host in documents])
    assert [route for route, _ in answers] == ["rule-5.one", "baseline"]


def _rule(subset: str, *match: object) -> dict[str, object]:
    return {"name": f"rule.{subset}", "match": match, "route": [{"subset": subset}]}


async def ask(port: int, questions: Sequence[tuple[str, Request]]) -> list[tuple[str, str]]:
    """Send requests to hosts; return the names of the routes they took and of the subsets they came to."""
    answers: dict[int, tuple[str, str]] = {}

    async def ask_some(numbers: Iterable[int]) -> None:
        async with Client(port) as client:
            for number in numbers:
                host, request = questions[number]
                response = await client.request(request.method, host, request.target, request.headers)
                assert response.status == 200, (host, request, response)
                answers[number] = (response.headers[ROUTE_HEADER], response.json()["version"])

    total = len(questions)
    await asyncio.gather(*(ask_some(range(first, total, _CONNECTIONS)) for first in range(_CONNECTIONS)))
    return [answers[number] for number in range(total)]


def allowed(document: RuleDocument, request: Request) -> set[tuple[str, str]]:
    """Return where a request may go by the evaluator: the names of rules, each with subsets."""
    return {
        (outcome.decision.name, target.subset or "")
        for outcome in evaluate(routing("svc", document, SURROUNDINGS), request).outcomes
        for target, _ in (outcome.choice.targets if outcome.choice else ())
    }
