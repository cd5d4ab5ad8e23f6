"""Every example of the rule reference and of the cookbook, in both languages."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from tests.unit.rules.examples import COOKBOOKS, REFERENCES, blocks, page, recipes, whole, yaml_blocks
from tests.unit.rules.marked import DOCUMENT, told
from xds.documents import DocumentId
from xds.routing import DirectResponse, Forward, Request, Surroundings, evaluate, routing_of
from xds.rules import ServiceId
from xds.rules.parse import parse
from xds.rules.store import DocumentStore

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Example(NamedTuple):
    page: str
    block: str


@pytest.mark.parametrize(
    "example", [Example(name, block) for name in REFERENCES for block in yaml_blocks(name)]
)
def test_examples_of_the_reference(example: Example) -> None:
    document, text = whole(example.block)
    parsed = parse(document, text.encode())
    assert parsed.content, told(parsed.problems)
    assert not parsed.problems


def test_the_error_of_the_reference() -> None:
    for name in REFERENCES:
        text = yaml_blocks(name)[0].replace("{exact: canary}", "{exact: 1}")
        assert told(parse(DOCUMENT, text.encode()).problems) in page(name)


@pytest.mark.parametrize("pages", [REFERENCES, COOKBOOKS])
def test_both_languages_have_the_same_examples(pages: tuple[str, str]) -> None:
    english, chinese = ([_without_comments(block) for block in blocks(page(name))] for name in pages)
    assert english == chinese


def _without_comments(block: str) -> str:
    return re.sub(r" +#.*", "", block)


class Asked(NamedTuple):
    """A request to reviews, the time, and the share in percent that goes to gray."""

    headers: dict[str, str]
    gray: float
    method: str = "GET"
    now: datetime = NOW
    source: str = "192.0.2.1"


IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36"
NIGHT = datetime(2026, 11, 25, 15, tzinfo=UTC)  # eleven in the evening in Shanghai
USERS = [f"user-{number}" for number in range(2000)]
BEHAVIOUR = {
    "Internal testers": [
        Asked({"x-release": "canary"}, 100),
        Asked({"cookie": "a=b; release=canary"}, 100),
        Asked({}, 0),
    ],
    "1 → 5 → 25 → 100 %": [Asked({}, 1)],
    "One region": [Asked({"x-region": "CN-SH"}, 100), Asked({"x-region": "CN-BJ"}, 0), Asked({}, 0)],
    "iOS only": [Asked({"user-agent": PIXEL, "x-user-id": "user-1"}, 0), Asked({"user-agent": IPHONE}, 0)],
    "VIP list": [Asked({"x-user-id": "user-123"}, 100), Asked({"x-user-id": "user-1"}, 0)],
    "Night only": [Asked({}, 100, now=NIGHT), Asked({}, 0, now=datetime(2026, 11, 25, 22, tzinfo=UTC))],
    "Shadow traffic": [Asked({}, 0)],
    "Full-link lane": [Asked({"baggage": "gray-lane=gray"}, 100), Asked({}, 0)],
    "A/B by salt": [Asked({}, 0)],
    "Maintenance page": [Asked({}, 0, source="10.1.2.3")],
    "Emergency stop": [Asked({"x-release": "canary"}, 0)],
}


def ask(store: DocumentStore, asked: Asked) -> tuple[float, bool]:
    """The share of a request that goes to gray, in percent, and whether all of it reaches the service."""
    service = ServiceId("", "reviews")
    surroundings = Surroundings(store.lists_of(service), store.lanes("").lanes)
    routing = routing_of("reviews", store.rule(service), asked.now, surroundings)
    request = Request(asked.method, "/", tuple(asked.headers.items()), asked.source)
    evaluation = evaluate(routing, request)
    gray = sum(share for target, share in evaluation.targets().items() if target.subset == "gray")
    return round(gray * 100, 6), all(isinstance(one.decision.action, Forward) for one in evaluation.outcomes)


def kitchen(documents: dict[str, str]) -> DocumentStore:
    store = DocumentStore()
    store.load({DocumentId("", name): parse(name, text.encode()) for name, text in documents.items()})
    assert store.problems() == {}
    return store


def test_every_recipe_is_tried() -> None:
    assert [title for title, _ in recipes()] == list(BEHAVIOUR)


@pytest.mark.parametrize(("title", "documents"), list(recipes()))
def test_recipes(title: str, documents: dict[str, str]) -> None:
    store = kitchen(documents)
    for asked in BEHAVIOUR[title]:
        assert ask(store, asked) == (asked.gray, True), asked


@pytest.mark.parametrize(
    ("title", "headers", "expected"),
    [
        ("1 → 5 → 25 → 100 %", lambda user: {"x-user-id": user}, 1),
        ("iOS only", lambda user: {"x-user-id": user, "user-agent": IPHONE}, 10),
        ("A/B by salt", lambda user: {"cookie": f"uid={user}"}, 50),
    ],
)
def test_shares_of_recipes(title: str, headers: Callable[[str], dict[str, str]], expected: float) -> None:
    store = kitchen(dict(recipes())[title])
    gray = sum(ask(store, Asked(headers(user), 0))[0] for user in USERS) / len(USERS)
    assert gray == pytest.approx(expected, rel=0.5)


def test_the_maintenance_page() -> None:
    store = kitchen(dict(recipes())["Maintenance page"])
    routing = routing_of("reviews", store.rule(ServiceId("", "reviews")), NOW)
    [outcome] = evaluate(routing, Request(source="192.0.2.1")).outcomes
    assert isinstance(outcome.decision.action, DirectResponse)
    assert outcome.decision.action.status == 503
