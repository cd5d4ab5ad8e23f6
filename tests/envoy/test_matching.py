"""What a rule matches: a real Envoy's decision against the language's meaning (``tests.envoy.semantics``)."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.envoy.generate import SUBSETS, Generator
from tests.envoy.semantics import Request, decide
from tests.envoy.static import LISTENER, ROUTE_HEADER, bootstrap, renamed
from tests.harness.envoy import EnvoyProcess
from tests.harness.http import Client, Upstream
from xds.compiler.names import cluster_name
from xds.compiler.service import compile_routes
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
        documents[f"case-{number}.test"] = document = generator.document()
        documents[f"long-{number}.test"] = document.model_copy(update={"http": (_LONG_LIST, *document.http)})
    questions = [(host, generator.request()) for host in documents for _ in range(12)]
    async with serving(documents) as port:
        routes = await ask(port, questions)
    wrong = [
        f"{host}: {request}\n{documents[host].model_dump_json(exclude_defaults=True)}\nwent to {route}"
        for (host, request), route in zip(questions, routes, strict=True)
        if route != decide(documents[host], request)
    ]
    assert not wrong, f"{len(wrong)} of {len(questions)} wrong\n" + "\n\n".join(wrong[:10])


@asynccontextmanager
async def serving(documents: Mapping[str, RuleDocument]) -> AsyncIterator[int]:
    """Run an Envoy with each document under its host, all of service ``svc``; yields the port."""
    async with AsyncExitStack() as stack:
        ports = {}
        for subset in SUBSETS:
            upstream = await stack.enter_async_context(Upstream("svc", subset))
            ports[cluster_name("svc", subset)] = upstream.port
        hosts = [compiled(document, host) for host, document in documents.items()]
        envoy = await stack.enter_async_context(EnvoyProcess(bootstrap(hosts, ports)))
        yield await envoy.port(LISTENER)


def compiled(document: RuleDocument, host: str) -> bytes:
    """Return the edge's virtual host of a document, made to serve ``host`` alone."""
    edge = compile_routes("svc", document.model_copy(update={"hosts": (host,)})).edge
    assert edge is not None
    return renamed(edge, host)


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
