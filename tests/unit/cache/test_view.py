"""A view: what it holds, what it says of that, and what its watchers are told."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Changes, Ref, Resource, View
from xds.type_urls import CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST


def cluster(name: str, content: str = "1") -> Resource:
    return Resource.of(CLUSTER, name, content.encode(), warms=Ref(ENDPOINT, name))


def endpoints(name: str, content: str = "1") -> Resource:
    return Resource.of(ENDPOINT, name, content.encode())


def route(name: str, *clusters: str, content: str = "1") -> Resource:
    requires = frozenset(Ref(CLUSTER, each) for each in clusters)
    return Resource.of(ROUTE, name, content.encode(), requires=requires)


def host(name: str, *aliases: str, content: str = "1", on_demand: bool = False) -> Resource:
    return Resource.of(VIRTUAL_HOST, name, content.encode(), aliases=aliases, on_demand=on_demand)


class Watcher:
    """Keeps what it is told: by type and name, the body that was there before."""

    def __init__(self, view: View) -> None:
        self.told: list[dict[tuple[str, str], bytes | None]] = []
        view.watch(self)

    def changed(self, changes: Changes) -> None:
        self.told.append(
            {
                (type_url, name): was.body if was else None
                for type_url, before in changes.items()
                for name, was in before.items()
            }
        )


A, B = (CLUSTER, "a"), (CLUSTER, "b")


@pytest.mark.parametrize(
    ("put", "drop", "told"),
    [
        pytest.param([cluster("b")], [], {B: None}, id="a new one"),
        pytest.param([cluster("a", "2")], [], {A: b"1"}, id="another version"),
        pytest.param([cluster("a")], [], None, id="the same version"),
        pytest.param([], [Ref(*A)], {A: b"1"}, id="a removal"),
        pytest.param([], [Ref(*B)], None, id="the removal of what is not there"),
        pytest.param([cluster("a")], [Ref(*A)], None, id="removed and set as it was"),
        pytest.param([cluster("a", "2")], [Ref(*A)], {A: b"1"}, id="removed and set to another version"),
        pytest.param([cluster("a", "2"), cluster("a")], [], None, id="there and back"),
        pytest.param([cluster("a", "2"), cluster("a", "3")], [], {A: b"1"}, id="twice in one call"),
        pytest.param(
            [cluster("b"), endpoints("b")], [Ref(*A)], {A: b"1", B: None, (ENDPOINT, "b"): None}, id="several"
        ),
    ],
)
def test_watchers_are_told_once_what_was_there_before(
    put: list[Resource], drop: list[Ref], told: dict[tuple[str, str], bytes | None] | None
) -> None:
    view = View()
    view.apply([cluster("a")])
    watcher = Watcher(view)
    view.apply(put, drop)
    assert watcher.told == ([] if told is None else [told])


def test_watchers_are_told_while_they_watch_and_see_the_new_state() -> None:
    view = View()
    seen: list[str] = []

    class Reader:
        def changed(self, changes: Changes) -> None:
            seen.extend(view.resources(CLUSTER))
            view.unwatch(self)  # from within: the others are told all the same

    first, second = Reader(), Watcher(view)
    view.watch(first)
    view.apply([cluster("a")])
    view.apply([cluster("b")])
    assert (seen, len(second.told), view.watched) == (["a"], 2, True)
    view.unwatch(second)
    view.unwatch(second)
    assert not view.watched


def test_coming_to_be_on_demand_is_a_change_though_the_content_is_not() -> None:
    view = View()
    view.apply([host("h")])
    watcher = Watcher(view)
    view.apply([host("h", on_demand=True)])
    assert watcher.told == [{(VIRTUAL_HOST, "h"): b"1"}]
    [resource] = view.resources(VIRTUAL_HOST).values()
    assert resource.on_demand


@pytest.mark.parametrize(
    ("later", "differs"),
    [
        (cluster("a", "2"), True),
        (cluster("a"), False),
        (Resource.of(CLUSTER, "a", b"1", aliases=("x",)), True),
        (Resource.of(CLUSTER, "a", b"1", ttl=3), True),
        (Resource.of(CLUSTER, "a", b"1", requires=frozenset({Ref(*B)}), origins=("d",)), False),
    ],
    ids=["content", "same", "alias", "time to live", "what clients are not sent"],
)
def test_a_version_is_a_hash_of_what_clients_are_sent(later: Resource, *, differs: bool) -> None:
    assert (later.version != cluster("a").version) is differs


def test_the_same_content_from_elsewhere_is_no_change_but_has_its_own_origins() -> None:
    view = View()
    first, second = (Resource.of(ROUTE, "r", b"1", origins=(document,)) for document in ("a.yaml", "b.yaml"))
    view.apply([first])
    watcher = Watcher(view)
    view.apply([second])
    assert watcher.told == []
    assert view.get(first.ref) is second


def test_names_and_aliases_lead_to_resources_the_very_name_first() -> None:
    view = View()
    view.apply([host("one", "both", "two"), host("two", "both")])

    def names(name: str) -> list[str]:
        return [each.name for each in view.named(Ref(VIRTUAL_HOST, name))]

    assert [names(name) for name in ("one", "two", "both", "none")] == [
        ["one"],
        ["two", "one"],
        ["one", "two"],
        [],
    ]
    assert view.has_aliases(VIRTUAL_HOST)
    assert not view.has_aliases(CLUSTER)
    view.apply([host("one")])
    assert [names(name) for name in ("two", "both")] == [["two"], ["two"]]
    view.apply(drop=[Ref(VIRTUAL_HOST, "two")])
    assert view.find(Ref(VIRTUAL_HOST, "both")) is None


def test_a_resource_is_required_while_anything_requires_it() -> None:
    view = View()
    view.apply([route("r", "a", "b"), route("s", "a")])
    steps: list[tuple[list[Resource], list[Ref], set[str]]] = [
        ([route("r", "b")], [], {"a", "b"}),
        ([route("s", content="2")], [], {"b"}),
        ([], [Ref(ROUTE, "r")], set()),
    ]
    for put, drop, required in steps:
        view.apply(put, drop)
        assert {name for name in "ab" if view.requires(Ref(CLUSTER, name))} == required


def test_what_is_warmed_is_known_by_another_version_when_its_cluster_changes() -> None:
    view = View()
    view.apply([endpoints("a")])
    known = view.version_of(endpoints("a"))
    versions = [known]
    for change in (cluster("a"), cluster("a", "2")):
        view.apply([change])
        versions.append(view.version_of(endpoints("a")))
    assert len({*versions}) == 3
    view.apply(drop=[Ref(*A)])
    assert view.version_of(endpoints("a")) == known


def test_nothing_is_kept_of_a_type_that_only_clients_know() -> None:
    view = View()
    assert view.version("made/up") == view.version("made/up/too")
    assert not view.resources("made/up")


names = st.sampled_from("abc")
contents = st.sampled_from("12")
resources = st.one_of(
    st.builds(cluster, names, contents),
    st.builds(endpoints, names, contents),
    st.builds(
        lambda name, clusters, content: route(name, *clusters, content=content),
        names,
        st.sets(names),
        contents,
    ),
    st.builds(
        lambda name, aliases, content: host(name, *aliases, content=content),
        names,
        st.sets(st.sampled_from("xy")).map(sorted),
        contents,
    ),
)
refs = st.builds(Ref, st.sampled_from((CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST)), names)
steps = st.lists(st.tuples(st.lists(resources, max_size=4), st.lists(refs, max_size=3)), max_size=12)


@given(steps)
def test_whatever_happened_a_view_is_what_a_new_one_with_its_content_is(
    changes: list[tuple[list[Resource], list[Ref]]],
) -> None:
    view = View()
    told = Watcher(view)
    expected: dict[Ref, Resource] = {}
    for put, drop in changes:
        before = {ref: each.version for ref, each in expected.items()}
        for ref in drop:
            expected.pop(ref, None)
        expected |= {each.ref: each for each in put}
        after = {ref: each.version for ref, each in expected.items()}
        told.told.clear()
        view.apply(put, drop)
        changed = {ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref)}
        assert {Ref(*key) for each in told.told for key in each} == changed
    _same(view, expected.values())


def _same(view: View, content: Iterable[Resource]) -> None:
    fresh = View()
    fresh.apply(content)
    for type_url in (CLUSTER, ENDPOINT, ROUTE, VIRTUAL_HOST):
        assert view.version(type_url) == fresh.version(type_url)
        current = fresh.resources(type_url)
        assert view.resources(type_url).keys() == current.keys()
        assert all(view.version_of(each) == fresh.version_of(each) for each in current.values())
        for name in "abcxy":
            ref = Ref(type_url, name)
            assert view.requires(ref) == fresh.requires(ref)
            found, known = ({each.ref for each in of.named(ref)} for of in (view, fresh))
            assert found == known


def test_the_generation_counts_the_changes_that_watchers_are_told_of() -> None:
    view = View()
    view.apply([cluster("a")])
    view.apply([cluster("a")])
    assert view.generation == 1
    view.apply([cluster("a", "2"), cluster("b")])
    view.apply(drop=[Ref(CLUSTER, "a")])
    assert view.generation == 3
