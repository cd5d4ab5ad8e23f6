"""Which version of which document is in force."""

import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xds.documents.problem import Severity
from xds.rules.book import BookChange, RuleBook
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedRule, parse

BROKEN = b"hosts: ["
_parsed = functools.cache(parse)


def _text(service: str, *hosts: str, gateways: str = "edge") -> bytes:
    return f"service: {service}\nhosts: [{', '.join(hosts)}]\ngateways: [{gateways}]\n".encode()


def _changed(change: BookChange) -> set[str]:
    return set(change.services)


def _said(change: BookChange) -> list[str]:
    return [f"{p.document}:{p.line}:{p.column} {p.path} {p.message}" for p in change.problems]


def test_new_changed_unchanged_deleted() -> None:
    book = RuleBook()
    assert book.rule("a") is None
    with pytest.raises(KeyError):
        book.document_of("a")
    assert book.apply("a.yaml", _text("a", "h")) == BookChange(frozenset({"a"}), (), frozenset({"a.yaml"}))
    assert book.document_of("a") == "a.yaml"
    assert book.services() == {"a"}
    assert not _changed(book.apply("a.yaml", b"# a comment more\n" + _text("a", "h")))
    assert _changed(book.apply("a.yaml", _text("a", "i"))) == {"a"}
    rule = book.rule("a")
    assert rule
    assert rule.hosts == ("i",)
    assert _changed(book.apply("a.yaml", None)) == {"a"}
    assert book.rule("a") is None
    assert book.services() == set()
    assert not _changed(book.apply("a.yaml", None))


def test_a_broken_text_changes_nothing() -> None:
    book = RuleBook()
    assert not _changed(book.apply("a.yaml", BROKEN))
    book.apply("a.yaml", _text("a", "h"))
    before = book.rule("a")
    change = book.apply("a.yaml", BROKEN)
    assert not change.services
    assert book.rule("a") is before
    assert [problem.severity for problem in change.problems] == [Severity.ERROR]
    assert book.problems() == change.problems
    book.apply("a.yaml", _text("a", "h"))
    assert book.problems() == ()
    book.apply("a.yaml", BROKEN)
    assert _changed(book.apply("a.yaml", None)) == {"a"}
    assert book.problems() == ()


def test_a_document_moves_to_another_service() -> None:
    book = RuleBook()
    book.apply("a.yaml", _text("a", "h"))
    assert _changed(book.apply("a.yaml", _text("b", "h"))) == {"a", "b"}
    assert book.rule("a") is None
    assert book.document_of("b") == "a.yaml"


def test_one_service_in_two_documents() -> None:
    book = RuleBook()
    book.apply("b.yaml", _text("s", "h"))
    change = book.apply("a.yaml", b"\n" + _text("S", "i"))
    assert not change.services
    assert _said(change) == ["a.yaml:2:10 service b.yaml is for this service"]
    assert change.problems[0].severity is Severity.ERROR
    assert "last good version stays in force" in change.problems[0].hint
    change = book.apply("b.yaml", None)
    assert _changed(change) == {"s", "S"}
    assert change.documents == {"a.yaml", "b.yaml"}
    assert book.document_of("S") == "a.yaml"
    assert book.problems() == ()


def test_one_host_on_one_gateway_in_two_documents() -> None:
    book = RuleBook()
    book.apply("a.yaml", _text("a", "h", "i", gateways="edge, other"))
    book.apply("b.yaml", _text("b", "h", gateways="inner"))
    change = book.apply("b.yaml", _text("b", "j", "H", "I", gateways="inner, edge, other"))
    assert not change.services
    assert _said(change) == [
        "b.yaml:2:12 hosts[1] h on gateway edge is served by a.yaml",
        "b.yaml:2:15 hosts[2] i on gateway edge is served by a.yaml",
    ]
    rule = book.rule("b")
    assert rule
    assert rule.gateways == ("inner",)
    assert _said(book.apply("a.yaml", _text("a", "i"))) == [
        "b.yaml:2:15 hosts[2] i on gateway edge is served by a.yaml"
    ]
    assert _changed(book.apply("a.yaml", _text("a", "k"))) == {"a", "b"}
    assert book.problems() == ()


def test_a_broken_text_in_place_of_one_that_waits() -> None:
    book = RuleBook()
    book.apply("a.yaml", _text("a", "h"))
    book.apply("b.yaml", _text("b", "h"))
    book.apply("b.yaml", BROKEN)
    assert _changed(book.apply("a.yaml", None)) == {"a"}
    assert book.rule("b") is None


def test_of_several_that_wait_the_first_by_name_gets_it() -> None:
    book = RuleBook()
    for name in "cdba":
        book.apply(f"{name}.yaml", _text(name, "h"))
    assert book.services() == {"c"}
    change = book.apply("c.yaml", None)
    assert _changed(change) == {"a", "c"}
    assert [problem.document for problem in change.problems] == ["b.yaml", "d.yaml"]
    assert all("a.yaml" in problem.message for problem in change.problems)


def test_two_documents_swap_their_hosts() -> None:
    book = RuleBook()
    book.load({"a.yaml": parse("a.yaml", _text("a", "h")), "b.yaml": parse("b.yaml", _text("b", "i"))})
    change = book.apply("a.yaml", _text("a", "i"))
    assert not change.services
    assert len(change.problems) == 1
    change = book.apply("b.yaml", _text("b", "h"))
    assert _changed(change) == {"a", "b"}
    assert book.problems() == ()


def test_a_renamed_document() -> None:
    for first, second in itertools.permutations([("new.yaml", _text("s", "h")), ("old.yaml", None)]):
        book = RuleBook()
        book.apply("old.yaml", _text("s", "h"))
        book.apply(*first)
        book.apply(*second)
        assert book.document_of("s") == "new.yaml"
        assert book.problems() == ()


def test_problems_stand_at_the_document_when_its_positions_are_unknown() -> None:
    book = RuleBook()
    book.apply("a.yaml", _text("s"))
    change = book.apply_parsed("b.yaml", ParsedRule(RuleDocument(service="s")))
    assert _said(change) == ["b.yaml:0:0 service a.yaml is for this service"]


_DOCUMENTS = ("a.yaml", "b.yaml", "c.yaml", "d.yaml")
_RULES = st.builds(
    _text,
    st.sampled_from(["s", "S", "t", "u", "v"]),
    *[st.sampled_from(["h", "i", "j", "k"])] * 2,
    gateways=st.sampled_from(["edge", "edge, other", "other"]),
).filter(lambda text: _parsed("x.yaml", text).rule is not None)
_EDITS = st.lists(
    st.tuples(st.sampled_from(_DOCUMENTS), st.one_of(_RULES, _RULES, st.just(BROKEN), st.none()))
)


def _in_force(book: RuleBook) -> dict[str, RuleDocument | None]:
    return {service: book.rule(service) for service in book.services()}


def _claims(rule: RuleDocument) -> set[tuple[str, str]]:
    hosts = {(gateway, host) for gateway in rule.gateways for host in rule.hosts}
    return {("", rule.service.lower()), *hosts}


def _fit(rules: list[RuleDocument]) -> bool:
    claims = [claim for rule in rules for claim in _claims(rule)]
    return len(claims) == len(set(claims))


@settings(max_examples=300)
@given(_EDITS)
def test_what_always_holds(edits: list[tuple[str, bytes | None]]) -> None:
    book = RuleBook()
    latest: dict[str, bytes | None] = {}
    good: dict[str, list[RuleDocument]] = {name: [] for name in _DOCUMENTS}
    for document, text in edits:
        before, problems = _in_force(book), book.problems()
        change = book.apply_parsed(document, None if text is None else _parsed(document, text))
        after = _in_force(book)
        latest[document] = text
        parsed = _parsed(document, text or BROKEN).rule
        if text is None:
            good[document].clear()
        elif parsed:
            good[document].append(parsed)
        assert change.services == {
            service for service in before.keys() | after.keys() if before.get(service) != after.get(service)
        }
        untouched = tuple(p for p in problems if p.document not in change.documents)
        assert tuple(sorted((*untouched, *change.problems))) == tuple(sorted(book.problems()))
        _check(book, latest, good)


def _check(book: RuleBook, latest: dict[str, bytes | None], good: dict[str, list[RuleDocument]]) -> None:
    force = {book.document_of(service): rule for service, rule in _in_force(book).items() if rule}
    assert len(force) == len(book.services())
    assert _fit(list(force.values()))
    assert all(rule in good[document] for document, rule in force.items())
    held: dict[str, RuleDocument] = {}
    for document, text in latest.items():
        problems = [problem for problem in book.problems() if problem.document == document]
        wanted = _parsed(document, text).rule if text is not None else None
        if text is None:
            assert not problems
            assert document not in force
        elif wanted is None or force.get(document) != wanted:
            assert problems
            if wanted:
                held[document] = wanted
                in_the_way = {
                    name for name in force if name != document and any(name in p.message for p in problems)
                }
                assert in_the_way == {
                    name
                    for name, rule in force.items()
                    if name != document and _claims(rule) & _claims(wanted)
                }
        else:
            assert not problems
    for count in range(1, len(held) + 1):  # none that wait could take their places, alone or together
        for group in itertools.combinations(held, count):
            assert not _fit(list((force | {name: held[name] for name in group}).values()))


@given(st.dictionaries(st.sampled_from(_DOCUMENTS), st.one_of(_RULES, st.just(BROKEN))))
def test_loading_does_not_depend_on_order(documents: dict[str, bytes]) -> None:
    parsed = {name: _parsed(name, text) for name, text in documents.items()}
    loaded = RuleBook()
    change = loaded.load(parsed)
    assert change.services == loaded.services()
    assert change.documents == documents.keys()
    assert change.problems == loaded.problems()
    for order in itertools.permutations(parsed):
        book = RuleBook()
        assert book.load({name: parsed[name] for name in order}) == change
        assert _in_force(book) == _in_force(loaded)
