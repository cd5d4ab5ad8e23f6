"""Names that clients ask for on demand, aliases and globs (checklist 29 and 39), both variants."""

import pytest

from tests.unit.protocol.clients import DeltaClient, SotwClient, cluster, endpoints, listener, virtual_host
from xds.cache import Ref, Resource, View
from xds.protocol import DELTA, STATE_OF_THE_WORLD
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, VIRTUAL_HOST
from xds.wire import delimited

FOLDER = "xdstp://grayplane/envoy.config.listener.v3.Listener/edge"


@pytest.fixture
def view() -> View:
    """What a sidecar that loads lazily sees: one virtual host at once, the others on demand."""
    view = View()
    view.apply(
        [
            virtual_host("rc/none", on_demand=False),
            virtual_host("rc/reviews", "rc/reviews.example.com", "rc/reviews:80"),
            virtual_host("rc/ratings"),
        ]
    )
    return view


@pytest.fixture
def client(view: View) -> DeltaClient:
    client = DeltaClient(view)
    client.ask(VIRTUAL_HOST)
    assert [response.names for response in client.settle()] == [{"rc/none"}]
    return client


def test_29_the_first_request_without_names_is_answered_with_what_is_not_on_demand(
    client: DeltaClient, view: View
) -> None:
    view.apply([virtual_host("rc/ratings", content="2"), virtual_host("rc/new")])
    assert client.take() == [], "nothing of what was not asked for"


@pytest.mark.parametrize("name", ["rc/reviews", "rc/reviews.example.com"])
def test_29_a_resource_is_found_by_name_or_alias(client: DeltaClient, view: View, name: str) -> None:
    client.ask(VIRTUAL_HOST, name)
    assert client.settle()[0].names == {"rc/reviews"}
    view.apply(
        [virtual_host("rc/reviews", "rc/reviews.example.com", "rc/reviews:80", content="2")],
    )
    assert client.settle()[0].bodies == {"rc/reviews": b"rc/reviews 2"}
    view.apply(drop=[Ref(VIRTUAL_HOST, "rc/reviews")])
    assert client.settle()[0].removed == ("rc/reviews",)


def test_29_the_answer_says_its_aliases(client: DeltaClient) -> None:
    client.ask(VIRTUAL_HOST, "rc/reviews:80")
    data = client.stream.poll(0)
    assert data is not None
    assert delimited(4, b"rc/reviews:80") in data


def test_29_two_aliases_of_one_resource_are_answered_once(client: DeltaClient) -> None:
    client.ask(VIRTUAL_HOST, "rc/reviews:80", "rc/reviews.example.com")
    assert [response.names for response in client.settle()] == [{"rc/reviews"}]
    client.ask(VIRTUAL_HOST, "rc/reviews")
    assert [response.names for response in client.settle()] == [{"rc/reviews"}], "asked is answered"


def test_29_one_alias_taken_back_leaves_the_others(client: DeltaClient, view: View) -> None:
    client.ask(VIRTUAL_HOST, "rc/reviews:80", "rc/reviews.example.com")
    client.settle()
    client.ask(VIRTUAL_HOST, drop=("rc/reviews:80",))
    client.settle()
    view.apply([virtual_host("rc/reviews", "rc/reviews.example.com", content="2")])
    assert client.settle()[0].names == {"rc/reviews"}
    client.ask(VIRTUAL_HOST, drop=("rc/reviews.example.com",))
    assert client.settle()[0].removed == ("rc/reviews",), "the wildcard does not include it"
    view.apply([virtual_host("rc/reviews", "rc/reviews.example.com", content="3")])
    assert client.take() == []


def test_29_a_host_that_does_not_exist_is_a_resource_without_a_body(client: DeltaClient, view: View) -> None:
    client.ask(VIRTUAL_HOST, "rc/later.example.com")
    [response] = client.settle()
    assert response.absent == (("rc/later.example.com", ("rc/later.example.com",)),)
    assert response.removed == ()
    client.ask(VIRTUAL_HOST, "rc/later.example.com")
    assert client.settle()[0].absent, "and again, whenever traffic asks for it"
    view.apply([virtual_host("rc/later", "rc/later.example.com")])
    [response] = client.settle()
    assert response.names == {"rc/later"}, "once created, it comes with its body"


def test_29_what_was_on_its_way_when_it_was_asked_for_again_is_removed_if_it_is_gone(
    client: DeltaClient, view: View
) -> None:
    client.ask(VIRTUAL_HOST, "rc/ratings")
    [sent] = client.take()
    view.apply(drop=[Ref(VIRTUAL_HOST, "rc/ratings")])
    client.ask(VIRTUAL_HOST, drop=("rc/ratings",))
    client.ask(VIRTUAL_HOST, "rc/ratings")
    client.ack(sent)  # so it has it, since it acknowledged that after it had asked again
    assert [response.removed for response in client.settle()] == [("rc/ratings",)]


def test_29_an_alias_is_answered_though_what_the_client_brought_along_has_it_no_more(view: View) -> None:
    client = DeltaClient(view)
    client.ask(VIRTUAL_HOST, "rc/reviews.example.com", have={"rc/reviews": "of an earlier stream"})
    view.apply([virtual_host("rc/reviews")])
    responses = client.settle()
    assert [name for each in responses for name in each.removed] == ["rc/reviews"]
    assert [name for each in responses for name, _ in each.absent] == ["rc/reviews.example.com"]


def test_29_what_was_absent_is_answered_again_on_the_next_stream(client: DeltaClient, view: View) -> None:
    client.ask(VIRTUAL_HOST, "rc/nowhere", "rc/ratings")
    client.settle()
    again = DeltaClient(view)
    have = {"rc/nowhere": "absent"} | {
        name: virtual_host(name).version for name in ("rc/none", "rc/ratings", "rc/gone")
    }
    again.ask(VIRTUAL_HOST, "*", "rc/nowhere", "rc/ratings", have=have)
    additions, removals = again.settle()
    assert [name for name, _ in additions.absent] == ["rc/nowhere"], "traffic may be waiting for the answer"
    assert additions.names == set()
    assert removals.removed == ("rc/gone",)


def test_29_what_goes_by_an_alias_is_not_sent_again_on_the_next_stream(view: View) -> None:
    client = DeltaClient(view)
    reviews = view.get(Ref(VIRTUAL_HOST, "rc/reviews"))
    assert reviews is not None
    have = {"rc/reviews": reviews.version, "rc/none": virtual_host("rc/none").version}
    client.ask(VIRTUAL_HOST, "*", "rc/reviews:80", have=have)
    assert client.take() == []


def test_29_a_resource_that_loses_the_alias_it_was_asked_by_is_removed(
    client: DeltaClient, view: View
) -> None:
    client.ask(VIRTUAL_HOST, "rc/reviews:80")
    client.settle()
    view.apply([virtual_host("rc/reviews"), virtual_host("rc/other", "rc/reviews:80")])
    additions, removals = client.settle()
    assert additions.names == {"rc/other"}
    assert removals.removed == ("rc/reviews",)


def test_29_a_virtual_host_waits_for_the_clusters_that_the_client_wants(
    client: DeltaClient, view: View
) -> None:
    """And for no others: those are asked for when traffic needs them."""
    view.apply([cluster("c"), virtual_host("rc/ratings", content="2", clusters=("c",))])
    client.ask(VIRTUAL_HOST, "rc/ratings")
    assert client.settle()[0].names == {"rc/ratings"}
    client.ask(CLUSTER, "c")
    [clusters] = client.take()
    view.apply([virtual_host("rc/ratings", content="3", clusters=("c",))])
    assert client.take() == []
    client.ack(clusters)
    assert client.take()[0].names == {"rc/ratings"}


def test_29_clusters_on_demand_are_named_and_missing_ones_removed(view: View) -> None:
    client = DeltaClient(view)
    view.apply([cluster("c"), cluster("d")])
    client.ask(CLUSTER, "c")
    assert client.settle()[0].names == {"c"}
    client.ask(CLUSTER, "nowhere")
    assert client.settle()[0].removed == ("nowhere",)


@pytest.fixture
def collection() -> View:
    view = View()
    view.apply([listener(f"{FOLDER}/a"), listener(f"{FOLDER}/b"), listener("plain")])
    return view


def test_39_a_glob_is_the_resources_of_its_folder(collection: View) -> None:
    client = DeltaClient(collection)
    client.ask(LISTENER, f"{FOLDER}/*")
    assert client.settle()[0].names == {f"{FOLDER}/a", f"{FOLDER}/b"}
    collection.apply(
        [listener(f"{FOLDER}/c"), listener(f"{FOLDER}/deep/d"), listener(f"{FOLDER}/e?x=y"), listener("p")],
        [Ref(LISTENER, f"{FOLDER}/a")],
    )
    additions, removals = client.settle()
    assert additions.names == {f"{FOLDER}/c"}
    assert removals.removed == (f"{FOLDER}/a",)
    client.ask(LISTENER, drop=(f"{FOLDER}/*",))
    collection.apply([listener(f"{FOLDER}/c", "2")])
    assert client.take() == []


def test_39_context_parameters_of_a_glob_must_match(collection: View) -> None:
    client = DeltaClient(collection)
    client.ask(LISTENER, f"{FOLDER}/*?x=y")
    assert client.settle()[0].removed == (f"{FOLDER}/*?x=y",)
    collection.apply([listener(f"{FOLDER}/e?x=y")])
    assert client.settle()[0].names == {f"{FOLDER}/e?x=y"}


def test_39_an_empty_glob_is_removed_itself(collection: View) -> None:
    client = DeltaClient(collection)
    empty = "xdstp://grayplane/envoy.config.listener.v3.Listener/none/*"
    client.ask(LISTENER, empty)
    assert client.settle()[0].removed == (empty,)
    client.ask(LISTENER, empty)
    collection.apply([listener(empty.replace("*", "first"))])
    [response] = client.settle()
    assert response.names == {empty.replace("*", "first")}
    assert response.removed == (), "no longer empty when it came to the answer"


def test_39_globs_in_the_state_of_the_world(collection: View) -> None:
    client = SotwClient(collection)
    client.ask(LISTENER, f"{FOLDER}/*")
    assert client.settle()[0].names == {f"{FOLDER}/a", f"{FOLDER}/b"}
    collection.apply(drop=[Ref(LISTENER, f"{FOLDER}/b")])
    assert client.settle()[0].names == {f"{FOLDER}/a"}


@pytest.mark.parametrize(
    "name",
    [
        "xdstp:",
        "xdstp:*",
        "xdstp:/*",
        "xdstp://",
        "xdstp:///*",
        "xdstp:?",
        "xdstp:/*?",
        "xdstp:#",
        "",
        "*?*",
        "/",
    ],
)
def test_39_odd_names_are_names(collection: View, name: str) -> None:
    client = DeltaClient(collection)
    client.ask(LISTENER, name)
    assert client.settle()[0].removed == (name,)
    collection.apply([Resource.of(LISTENER, name, b"odd")])
    assert client.settle()[0].names == {name}
    client.ask(LISTENER, drop=(name,))
    assert client.take() == []


def locator(name: str, **parameters: str) -> bytes:
    entries = [
        delimited(2, delimited(1, key.encode()) + delimited(2, value.encode()))
        for key, value in parameters.items()
    ]
    return delimited(1, name.encode()) + b"".join(entries)


def test_39_locators_are_names_whatever_their_parameters() -> None:
    view = View()
    view.apply([endpoints("a"), endpoints("b")])
    client = DeltaClient(view)
    type_url = delimited(2, ENDPOINT.encode())
    client.stream.receive(
        DELTA.decode(type_url + delimited(3, b"a") + delimited(8, locator("b", env="prod")))
    )
    assert client.settle()[0].names == {"a", "b"}
    client.stream.receive(DELTA.decode(type_url + delimited(9, locator("b"))))
    view.apply([endpoints("a", "2"), endpoints("b", "2")])
    assert client.settle()[0].names == {"a"}
    other = SotwClient(view)
    other.stream.receive(
        STATE_OF_THE_WORLD.decode(delimited(4, ENDPOINT.encode()) + delimited(7, locator("b", env="prod")))
    )
    assert other.take()[0].names == {"b"}
