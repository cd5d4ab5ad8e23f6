"""Which version of which document is in force."""

import functools
import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xds.documents import DocumentId, Origin, revision_of
from xds.documents.problem import Problem, Severity
from xds.rules import ServiceId
from xds.rules.claims import claims_of
from xds.rules.model import RuleDocument
from xds.rules.parse import ParsedDocument, parse
from xds.rules.store import DocumentStore, Standing, StoreChange

BROKEN = b"hosts: ["
_parsed = functools.cache(parse)


def _text(service: str, *hosts: str, gateways: str = "edge") -> bytes:
    return f"service: {service}\nhosts: [{', '.join(hosts)}]\ngateways: [{gateways}]\n".encode()


class Store(DocumentStore):
    """A store for documents of the default namespace, by name."""

    def put(self, document: str, text: bytes | None) -> StoreChange:
        return self.apply(DocumentId("", document), None if text is None else _parsed(document, text))

    def rules(self) -> dict[str, RuleDocument]:
        return {service.name: rule for service in self.services() if (rule := self.rule(service))}

    def all_problems(self) -> list[Problem]:
        return [problem for problems in self.problems().values() for problem in problems]


def _changed(change: StoreChange) -> set[str]:
    return {service.name for service in change.services}


def _names(change: StoreChange) -> set[str]:
    return {document.name for document in change.documents}


def _problems(change: StoreChange) -> list[Problem]:
    return [problem for problems in change.problems.values() for problem in problems]


def _said(change: StoreChange) -> list[str]:
    return [f"{p.document}:{p.line}:{p.column} {p.path} {p.message}" for p in _problems(change)]


def test_new_changed_unchanged_deleted() -> None:
    store = Store()
    assert store.rules().get("a") is None
    with pytest.raises(KeyError):
        store.document_of(ServiceId("", "a"))
    document = DocumentId("", "a.yaml")
    assert store.put("a.yaml", _text("a", "h")) == StoreChange(
        frozenset({ServiceId("", "a")}), frozenset(), frozenset({document}), {document: ()}
    )
    assert store.document_of(ServiceId("", "a")) == DocumentId("", "a.yaml")
    assert store.rules().keys() == {"a"}
    assert _changed(store.put("a.yaml", b"# a new revision\n" + _text("a", "h"))) == {"a"}
    assert not _changed(store.put("a.yaml", b"# a new revision\n" + _text("a", "h")))
    assert _changed(store.put("a.yaml", _text("a", "i"))) == {"a"}
    rule = store.rules().get("a")
    assert rule
    assert rule.hosts == ("i",)
    assert _changed(store.put("a.yaml", None)) == {"a"}
    assert store.rules().get("a") is None
    assert store.services() == set()
    assert not _changed(store.put("a.yaml", None))


def test_a_broken_text_changes_nothing() -> None:
    store = Store()
    assert not _changed(store.put("a.yaml", BROKEN))
    store.put("a.yaml", _text("a", "h"))
    before = store.rules().get("a")
    change = store.put("a.yaml", BROKEN)
    assert not change.services
    assert store.rules().get("a") is before
    assert [problem.severity for problem in _problems(change)] == [Severity.ERROR]
    assert store.problems() == change.problems
    store.put("a.yaml", _text("a", "h"))
    assert store.problems() == {}
    store.put("a.yaml", BROKEN)
    assert _changed(store.put("a.yaml", None)) == {"a"}
    assert store.problems() == {}


def test_a_document_moves_to_another_service() -> None:
    store = Store()
    store.put("a.yaml", _text("a", "h"))
    assert _changed(store.put("a.yaml", _text("b", "h"))) == {"a", "b"}
    assert store.rules().get("a") is None
    assert store.document_of(ServiceId("", "b")) == DocumentId("", "a.yaml")


def test_one_service_in_two_documents() -> None:
    store = Store()
    store.put("b.yaml", _text("s", "h"))
    change = store.put("a.yaml", b"\n" + _text("S", "i"))
    assert not change.services
    assert _said(change) == ["a.yaml:2:10 service b.yaml is for this service"]
    assert _problems(change)[0].severity is Severity.ERROR
    assert "last good version stays in force" in _problems(change)[0].hint
    change = store.put("b.yaml", None)
    assert _changed(change) == {"s", "S"}
    assert _names(change) == {"a.yaml", "b.yaml"}
    assert store.document_of(ServiceId("", "S")) == DocumentId("", "a.yaml")
    assert store.problems() == {}


def test_one_host_on_one_gateway_in_two_documents() -> None:
    store = Store()
    store.put("a.yaml", _text("a", "h", "i", gateways="edge, other"))
    store.put("b.yaml", _text("b", "h", gateways="inner"))
    change = store.put("b.yaml", _text("b", "j", "H", "I", gateways="inner, edge, other"))
    assert not change.services
    assert _said(change) == [
        "b.yaml:2:12 hosts[1] h on gateway edge is served by a.yaml",
        "b.yaml:2:15 hosts[2] i on gateway edge is served by a.yaml",
    ]
    rule = store.rules().get("b")
    assert rule
    assert rule.gateways == ("inner",)
    assert _said(store.put("a.yaml", _text("a", "i"))) == [
        "b.yaml:2:15 hosts[2] i on gateway edge is served by a.yaml"
    ]
    assert _changed(store.put("a.yaml", _text("a", "k"))) == {"a", "b"}
    assert store.problems() == {}


def test_a_broken_text_in_place_of_one_that_waits() -> None:
    store = Store()
    store.put("a.yaml", _text("a", "h"))
    store.put("b.yaml", _text("b", "h"))
    store.put("b.yaml", BROKEN)
    assert _changed(store.put("a.yaml", None)) == {"a"}
    assert store.rules().get("b") is None


def test_of_several_that_wait_the_first_by_name_gets_it() -> None:
    store = Store()
    for name in "cdba":
        store.put(f"{name}.yaml", _text(name, "h"))
    assert store.rules().keys() == {"c"}
    change = store.put("c.yaml", None)
    assert _changed(change) == {"a", "c"}
    assert [problem.document for problem in _problems(change)] == ["b.yaml", "d.yaml"]
    assert all("a.yaml" in problem.message for problem in _problems(change))


def test_two_documents_swap_their_hosts() -> None:
    store = Store()
    store.put("a.yaml", _text("a", "h"))
    store.put("b.yaml", _text("b", "i"))
    change = store.put("a.yaml", _text("a", "i"))
    assert not change.services
    assert len(_problems(change)) == 1
    change = store.put("b.yaml", _text("b", "h"))
    assert _changed(change) == {"a", "b"}
    assert store.problems() == {}


def test_a_renamed_document() -> None:
    for first, second in itertools.permutations([("new.yaml", _text("s", "h")), ("old.yaml", None)]):
        store = Store()
        store.put("old.yaml", _text("s", "h"))
        store.put(*first)
        store.put(*second)
        assert store.document_of(ServiceId("", "s")) == DocumentId("", "new.yaml")
        assert store.problems() == {}


def test_problems_stand_at_the_document_when_its_positions_are_unknown() -> None:
    store = Store()
    store.put("a.yaml", _text("s"))
    rule = RuleDocument(service="s")
    change = store.apply(DocumentId("", "b.yaml"), ParsedDocument(rule, claims=claims_of(rule, "b")))
    assert _said(change) == ["b.yaml:0:0 service a.yaml is for this service"]


def test_namespaces_do_not_see_each_other() -> None:
    store = Store()
    for namespace in ("", "test"):
        store.apply(DocumentId(namespace, "a.yaml"), _parsed("a.yaml", _text("a", "h")))
    assert store.problems() == {}
    assert store.services() == {ServiceId("", "a"), ServiceId("test", "a")}


def test_a_list_is_needed_and_its_edits_change_its_users() -> None:
    store = Store()
    store.put("b.yaml", _text("b", "i"))
    rule = _using(in_list="vip")
    change = store.put("a.yaml", rule)
    assert not change.services
    assert _said(change) == [f"a.yaml:{VIP} there is no list vip"]
    assert _problems(change)[0].hint == "make the document vip.list"
    change = store.put("vip.list", b"u1\nu2\n")
    assert _changed(change) == {"a"}
    assert store.problems() == {}
    assert store.lists_of(ServiceId("", "a")) == {"vip": ("u1", "u2")}
    assert store.origins(ServiceId("", "a")) == (
        Origin(DocumentId("", "a.yaml"), revision_of(rule)),
        Origin(DocumentId("", "vip.list"), revision_of(b"u1\nu2\n")),
    )
    assert _changed(store.put("vip.list", b"u1\n")) == {"a"}
    assert not _changed(store.put("other.list", b"u1\n"))
    assert store.list_values("", "vip") == ("u1",)


def test_a_list_that_is_deleted_stays_as_long_as_it_is_needed() -> None:
    store = Store()
    store.put("vip.list", b"u1\n")
    store.put("a.yaml", _using(in_list="vip"))
    change = store.put("vip.list", None)
    assert not change.services
    assert _said(change) == ["vip.list:0:0  list vip is used by a.yaml"]
    vip = DocumentId("", "vip.list")
    assert store.standing(vip) == Standing(latest=None, in_force=revision_of(b"u1\n"), waits=True)
    assert store.list_values("", "vip") == ("u1",)
    change = store.put("a.yaml", _text("a"))
    assert _names(change) == {"a.yaml", "vip.list"}
    assert store.standing(vip) is None
    assert store.problems() == {}


def test_a_list_that_comes_back_in_time() -> None:
    store = Store()
    store.put("vip.list", b"u1\n")
    store.put("a.yaml", _using(in_list="vip"))
    store.put("vip.list", None)
    assert _changed(store.put("vip.list", b"u2\n")) == {"a"}
    assert store.problems() == {}


def test_lanes_and_the_rules_that_are_for_them() -> None:
    store = Store()
    assert store.lanes("").lanes == ()
    store.put("a.yaml", _using(lane="gray"))
    change = store.put("lanes.yaml", _lanes("gray"))
    assert _changed(change) == {"a"}
    assert change.lanes == {""}
    assert [lane.name for lane in store.lanes("").lanes] == ["gray"]
    change = store.put("lanes.yaml", _lanes("blue"))
    assert _said(change) == ["lanes.yaml:0:0  lane gray is used by a.yaml"]
    assert [lane.name for lane in store.lanes("").lanes] == ["gray"]
    change = store.put("a.yaml", _using(lane="blue"))
    assert _changed(change) == {"a"}
    assert change.lanes == {""}
    assert [lane.name for lane in store.lanes("").lanes] == ["blue"]
    change = store.apply(DocumentId("", "b/lanes.yaml"), _parsed("b/lanes.yaml", _lanes("red")))
    assert _said(change) == ["b/lanes.yaml:1:8 lanes lanes.yaml has the lanes"]


def test_lanes_change_with_a_list_that_they_use() -> None:
    store = Store()
    entrance = b"enter: [{headers: {h: {in: {list: vip}}}}]"
    store.put("lanes.yaml", _lanes("gray").replace(b"subset: s", b"subset: s, " + entrance))
    assert store.lanes("").lanes == ()
    assert store.put("vip.list", b"u1").lanes == {""}
    assert store.put("vip.list", b"u2").lanes == {""}


VIP = "7:37 http[0].match[0].headers.h.in.list"


def _using(service: str = "a", in_list: str | None = None, lane: str | None = None) -> bytes:
    tests = [f"headers: {{h: {{in: {{list: {in_list}}}}}}}"] if in_list else []
    tests += [f"lane: {lane}"] if lane else []
    return (
        f"service: {service}\nsubsets: {{s: {{labels: {{v: s}}}}}}\nbaseline: s\nhttp:\n- name: r\n"
        f"  route: [{{subset: s}}]\n  match: [{{{', '.join(tests)}}}]\n"
    ).encode()


def _lanes(*names: str) -> bytes:
    lanes = [f"{{name: {name}, header: x-{name}, subset: s}}" for name in names]
    return f"lanes: [{', '.join(lanes)}]\n".encode()


_RULE_DOCUMENTS = ("a.yaml", "b.yaml", "c.yaml")
_DOCUMENTS = (*_RULE_DOCUMENTS, "lanes.yaml", "v.list", "w.list")
_HOSTS = st.builds(
    _text,
    st.sampled_from(["s", "S", "t", "u"]),
    *[st.sampled_from(["h", "i", "j"])] * 2,
    gateways=st.sampled_from(["edge", "edge, other", "other"]),
).filter(lambda text: b"[h, h]" not in text and b"[i, i]" not in text and b"[j, j]" not in text)
_USERS = st.builds(
    _using, st.sampled_from(["s", "t"]), st.sampled_from(["v", "w"]), st.sampled_from([None, "x", "y"])
)
_EDITS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(_RULE_DOCUMENTS), st.one_of(_HOSTS, _USERS, st.just(BROKEN), st.none())),
        st.tuples(
            st.just("lanes.yaml"),
            st.sampled_from([_lanes("x"), _lanes("y"), _lanes("x", "y"), BROKEN, None]),
        ),
        st.tuples(st.sampled_from(["v.list", "w.list"]), st.sampled_from([b"1\n", b"2\n", None])),
    ),
    max_size=25,
)
_NOTHING = ParsedDocument(None)
Versions = dict[str, ParsedDocument]


def _fit(versions: Versions) -> bool:
    """Whether documents can be in force together."""
    claims = [claim for version in versions.values() for claim in version.claims]
    needs = {need for version in versions.values() for need in version.needs}
    return len(claims) == len(set(claims)) and needs <= set(claims)


def _in_force(store: Store, seen: dict[tuple[str, str], ParsedDocument]) -> Versions:
    standings = {name: store.standing(DocumentId("", name)) for name in _DOCUMENTS}
    return {name: seen[name, one.in_force] for name, one in standings.items() if one and one.in_force}


@settings(max_examples=300)
@given(_EDITS)
def test_what_always_holds(edits: list[tuple[str, bytes | None]]) -> None:
    store = Store()
    seen: dict[tuple[str, str], ParsedDocument] = {}
    latest: dict[str, ParsedDocument] = {}
    for document, text in edits:
        before, problems = _in_force(store, seen), store.problems()
        change = store.put(document, text)
        latest[document] = _NOTHING if text is None else _parsed(document, text)
        seen[document, latest[document].revision] = latest[document]
        after = _in_force(store, seen)
        assert _fit(after)
        changed = {name for name in _DOCUMENTS if before.get(name) is not after.get(name)}
        assert {DocumentId("", name) for name in changed} <= change.documents
        assert _changed(change) == _touched(changed, before, after)
        untouched = {name: found for name, found in problems.items() if name not in change.documents}
        now = {name: found for name, found in change.problems.items() if found}
        assert _without_hints(untouched | now) == _without_hints(store.problems())
        _check_waiting(store, latest, after)


def _without_hints(problems: dict[DocumentId, tuple[Problem, ...]]) -> dict[DocumentId, list[Problem]]:
    return {name: [replace(one, hint="") for one in found] for name, found in problems.items()}


def _touched(changed: set[str], before: Versions, after: Versions) -> set[str]:
    """The services whose rule changed, or a list or lane that it needs."""
    moved = [versions.get(name, _NOTHING) for name in changed for versions in (before, after)]
    made = {claim for version in moved for claim in version.claims}
    users = [version for version in after.values() if made & version.needs.keys()]
    return {version.rule.service for version in (*moved, *users) if version.rule}


def _check_waiting(store: Store, latest: Versions, force: Versions) -> None:
    waiting: Versions = {}
    for name, version in latest.items():
        standing = store.standing(DocumentId("", name))
        if version is _NOTHING and standing is None:
            assert name not in force
        elif version.content is None and version is not _NOTHING:
            assert store.problems()[DocumentId("", name)]
        elif standing and standing.waits:
            assert force.get(name) is not version
            assert store.problems()[DocumentId("", name)]
            waiting[name] = version
        else:
            assert force[name] is version
            assert DocumentId("", name) not in store.problems()
    for count in range(1, len(waiting) + 1):  # none that wait could be in force, alone or together
        for group in itertools.combinations(waiting, count):
            assert not _fit(force | {name: waiting[name] for name in group})


@given(st.dictionaries(st.sampled_from(_RULE_DOCUMENTS), st.one_of(_HOSTS, _USERS, st.just(BROKEN))))
def test_loading_does_not_depend_on_order(documents: dict[str, bytes]) -> None:
    parsed = {DocumentId("", name): _parsed(name, text) for name, text in documents.items()}
    loaded = Store()
    change = loaded.load(parsed)
    assert change.services == loaded.services()
    assert change.documents == parsed.keys()
    assert {document: found for document, found in change.problems.items() if found} == loaded.problems()
    for order in itertools.permutations(parsed):
        store = Store()
        assert store.load({name: parsed[name] for name in order}) == change
        assert store.rules() == loaded.rules()
