"""Nothing that we accept is refused by a real Envoy: documents with mistakes, sent to one by ADS.

``GRAYPLANE_MUTANTS`` says how many documents with other values are tried; the mutants of ``test_fuzz`` always
are. Documents that compile to the same are tried once.
"""

import asyncio
import copy
import os
import random
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from envoy_data_plane.envoy.config.route.v3 import Route, RouteMatch, VirtualHost
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher

from tests.envoy.modes import MODES, bootstrap
from tests.harness import PATIENCE
from tests.harness.certificates import Authority
from tests.harness.envoy import EnvoyProcess
from tests.harness.ports import free_port
from tests.harness.routing import NOW
from tests.unit.rules.examples import SUBSETS, yaml_blocks
from tests.unit.rules.test_fuzz import CORPUS, mutants
from xds.cache import Ref, Resource, View
from xds.compiler.listeners import EdgeListener, edge_listener
from xds.compiler.route_configuration import route_configuration
from xds.compiler.route_sources import RouteMode, route_source
from xds.compiler.scopes import scope
from xds.compiler.service import with_domains
from xds.protocol import Event, Rejected
from xds.routing import Surroundings, routing_of
from xds.routing.lanes import entrances_of
from xds.rules.instance import Instance, ServiceId
from xds.rules.model import LanesDocument, RuleDocument
from xds.rules.parse import parse
from xds.server import StreamInfo, XdsServer
from xds.type_urls import LISTENER, ROUTE, SCOPED_ROUTE
from xds.views import CompiledService, ServiceInputs
from xds.wire import encode

FUZZED = 10_000
CHANGED = int(os.environ.get("GRAYPLANE_MUTANTS", "3000"))
_BATCH = 200
_LISTS: defaultdict[str, tuple[str, ...]] = defaultdict(lambda: ("u-1", 'a"b', "é;&", "x" * 300))
_INSTANCES = [Instance("127.0.0.1", 9, metadata={"version": version}) for version in ("v1", "v2")]

_VALUES: tuple[Any, ...] = (
    *(
        "",
        " ",
        "a b",
        "a\nb",
        "é",
        "评论",
        "%",
        "%%",
        "%REQ(x)%",
        "\\",
        '"',
        ";",
        "=",
        "&",
        "?",
        "#",
        "/",
        "//",
    ),
    *("*", "*.", "*.a", "a.*", "a..b", "-a", "A.B", "a_b", "a:80", "[::1]", "[::1]:80", "1.2.3.4", "x" * 300),
    *(":path", ":authority", "host", "Host", "Connection", "te", "content-length", "x-envoy-retry-on"),
    *(
        "(",
        "(?i)a",
        "a{50}",
        r"\C",
        r"\x00",
        "[[:word:]]",
        "^$|",
        "a$b",
        "(a$)*",
        r"\1",
        r"\9",
        "x(y)z",
        "(?P<n>a)",
    ),
    *(0, 1, -1, 0.001, 99.999, 100, 101, 200, 301, 399, 600, 65536, 2**31, 2**32, 2**53, 1e308, True, False),
    *("0s", "1ms", "0.0005s", "1h", "24h", "87600h", "0", "1", "100ms"),
    *(
        "GET",
        "get",
        "CONNECT",
        "5xx",
        "503",
        "retriable-4xx",
        "UNAVAILABLE",
        "http",
        "https",
        "http2",
        "grpc",
    ),
    *("0.0.0.0/0", "::/0", "10.0.0.1", "CN-*", "bot", "UTC", "none", [], {}, ["a"], ["a", "A"], {"a": "b"}),
)


def _changed(chance: random.Random, value: Any, others: Sequence[Any]) -> Any:
    """Change one thing somewhere in a document."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []
    _places(value, places)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(places)
        if key not in range(len(holder)) if isinstance(holder, list) else key not in holder:
            continue
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(chance.choice(_VALUES))] = holder[key]
            case 1:
                holder.append(copy.deepcopy(holder[key]))
            case 2:
                holder[key] = copy.deepcopy(chance.choice(others))
            case _:
                holder[key] = copy.deepcopy(chance.choice(_VALUES))
    return value


def _places(value: Any, found: list[tuple[Any, Any]]) -> None:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            _places(value[key], found)


def changed(count: int) -> Iterator[tuple[str, bytes]]:
    """Documents of the corpus and of the documentation with one to three other values; always the same."""
    chance = random.Random(20261126)
    texts = [text for name, text in CORPUS.items() if name.endswith("yaml")]
    blocks = yaml_blocks("rules.md") + yaml_blocks("cookbook.md")
    texts += [(f"{SUBSETS}http:\n{one}" if one.startswith("- name:") else one).encode() for one in blocks]
    wholes = [whole for text in texts if isinstance(whole := _read(text), dict)]
    everywhere: list[tuple[Any, Any]] = []
    _places(wholes, everywhere)
    others = [holder[key] for holder, key in everywhere]
    for _ in range(count):
        whole = _changed(chance, chance.choice(wholes), others)
        name = "lanes.yaml" if "lanes" in whole else "s.yaml"
        yield name, yaml.safe_dump(whole, allow_unicode=True).encode()


def _read(text: bytes) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        return None


class Trial:
    """An Envoy that is sent some documents after others, and what it refuses."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._sent: set[Ref] = set()
        self._moved = asyncio.Event()
        self.generation, self.rejected = 0, frozenset[Ref]()
        self.words: dict[Ref, str] = {}

    async def refused(self, documents: Mapping[str, Sequence[Resource]]) -> dict[str, str]:
        """Send what documents compile to, by names of theirs; return the words about what is refused."""
        put = [resource for resources in documents.values() for resource in resources]
        refs = {resource.ref for resource in put}
        self.words.clear()
        self._view.apply(put, self._sent - refs)
        self._sent = refs
        async with asyncio.timeout(PATIENCE):
            while self.generation < self._view.generation:
                self._moved.clear()
                await self._moved.wait()
        suspects = [
            name
            for name, resources in documents.items()
            if any(resource.ref in self.rejected for resource in resources)
        ]
        if not suspects:
            return {}
        if len(documents) == 1:
            return {suspects[0]: " ".join(self.words.values())}
        middle = (len(suspects) + 1) // 2
        found: dict[str, str] = {}
        for half in (suspects[:middle], suspects[middle:]) if len(suspects) > 1 else (suspects,):
            found |= await self.refused({name: documents[name] for name in half}) if half else {}
        return found

    # What the server tells (``Observer``)

    def opened(self, stream: StreamInfo) -> None:
        pass

    def closed(self, stream: StreamInfo) -> None:
        pass

    def answered(self, stream: StreamInfo, event: Event) -> None:
        if isinstance(event, Rejected):
            self.words |= dict.fromkeys(
                (Ref(event.type_url, name) for name in event.changes), event.reason.message
            )

    def in_step(self, stream: StreamInfo, generation: int, rejected: Set[Ref]) -> None:
        self.generation, self.rejected = generation, frozenset(rejected)
        self._moved.set()


@asynccontextmanager
async def trial() -> AsyncIterator[Trial]:
    view = View()
    found = Trial(view)
    listener = edge_listener(
        "edge", EdgeListener("127.0.0.1", free_port()), route_source(RouteMode.SCOPED, "edge")
    )
    view.apply([Resource.of(LISTENER, "edge", listener)])
    server = XdsServer(lambda *_: view, found, drain=0)
    port = await server.start("127.0.0.1", 0)
    server.open()
    try:
        async with EnvoyProcess(bootstrap(MODES["ads-delta"], port, port), ready=False):
            yield found
    finally:
        await server.stop(0)


def compiled(name: str, text: bytes, number: int) -> tuple[object, list[Resource]]:
    """Compile a document if it is accepted: return what tells it from others, and what Envoy is sent."""
    said = parse(name, text).content
    if isinstance(said, LanesDocument):
        return said.model_dump_json(), _lanes(said, number)
    if isinstance(said, RuleDocument):
        alike = _compiled(said, "s")
        versions = tuple(cluster.version for cluster in alike.clusters)
        telling = (alike.mesh, alike.mesh_names, alike.edge, versions)
        return telling, list(_resources(_compiled(said, f"s{number}")))
    return None, []


def _compiled(document: RuleDocument, service: str) -> CompiledService:
    document = document.model_copy(update={"service": service})
    routing = routing_of(service, document, NOW, Surroundings(_LISTS))
    return CompiledService.of(ServiceInputs(ServiceId("", service), routing, (), _INSTANCES))


def _lanes(lanes: LanesDocument, number: int) -> list[Resource]:
    at = EdgeListener("127.0.0.1", 0)
    entrances = entrances_of(Surroundings(_LISTS, tuple(lanes.lanes)), NOW)
    name = f"lanes-{number}"
    return [
        Resource.of(
            LISTENER, name, edge_listener(name, at, route_source(RouteMode.SCOPED, "edge"), entrances)
        )
    ]


def _resources(service: CompiledService) -> Iterator[Resource]:
    yield from service.clusters
    yield from service.endpoints
    bodies = {"edge": service.edge, "mesh": with_domains(service.mesh, service.mesh_names)}
    for side, body in bodies.items():
        if body:
            name = f"{side}/{service.id.name}"
            yield Resource.of(ROUTE, name, route_configuration(name, [body]))
            yield Resource.of(SCOPED_ROUTE, name, scope(name, name, name))


def _with_files(text: bytes, certificate: Path, key: Path) -> bytes:
    """Name files of this machine: which ones a proxy has, nobody here can know."""
    text = re.sub(rb"(caCertificates|clientCertificate): /\w", rb"\1: " + bytes(certificate), text)
    return re.sub(rb"privateKey: /\w", b"privateKey: " + bytes(key), text)


async def test_what_we_accept_envoy_accepts(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("proxy")
    known: set[object] = set()
    accepted: dict[str, tuple[str, bytes, list[Resource]]] = {}
    for number, (name, text) in enumerate([*CORPUS.items(), *mutants(FUZZED), *changed(CHANGED)]):
        telling, resources = compiled(name, _with_files(text, pair.certificate, pair.key), number)
        if resources and telling not in known:
            known.add(telling)
            accepted[str(number)] = (name, text, resources)
    assert len(accepted) > 100
    refused: dict[str, str] = {}
    async with trial() as envoy:
        names = list(accepted)
        for at in range(0, len(names), _BATCH):
            batch = {name: accepted[name][2] for name in names[at : at + _BATCH]}
            refused |= await envoy.refused(batch)
    refused = {name: words for name, words in refused.items() if "Invalid path: " not in words}
    assert not refused, "\n\n".join(
        f"{accepted[name][1].decode(errors='replace')}\n{words}" for name, words in list(refused.items())[:20]
    )


async def test_a_refusal_is_found_among_others() -> None:
    documents = {}
    for number in range(7):
        text = f"hosts: [h{number}.test]".encode()
        documents[str(number)] = compiled("s.yaml", text, number)[1]
    wrong = encode(VirtualHost(routes=[Route(match=RouteMatch(safe_regex=RegexMatcher(regex="(")))]))
    documents["4"].append(Resource.of(ROUTE, "wrong", route_configuration("wrong", [wrong])))
    documents["4"].append(Resource.of(SCOPED_ROUTE, "wrong", scope("wrong", "wrong", "wrong")))
    async with trial() as envoy:
        assert (await envoy.refused(documents)).keys() == {"4"}
