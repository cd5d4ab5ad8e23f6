"""The state-of-the-world variant, line by line of the xDS checklist (``docs/conformance.md``)."""

import pytest

from tests.unit.protocol.clients import SotwClient, cluster, endpoints, route
from xds.cache import Ref, View
from xds.protocol import Acked, Rejected
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE


@pytest.fixture
def client(view: View) -> SotwClient:
    return SotwClient(view)


def test_04_the_version_is_the_contents_and_survives_streams(client: SotwClient, view: View) -> None:
    client.ask(CLUSTER)
    [first] = client.settle()
    view.apply([cluster("a", "2")])
    [second] = client.settle()
    view.apply([cluster("a")])
    [third] = client.settle()
    assert first.version != second.version
    assert first.version == third.version
    other = SotwClient(view)
    other.ask(CLUSTER)
    assert other.take()[0].version == first.version


def test_05_a_nack_is_an_error_detail_whatever_the_version(client: SotwClient) -> None:
    client.ask(CLUSTER)
    [response] = client.take()
    event = client.ask(CLUSTER, version=response.version, nonce=response.nonce, error="no")
    assert isinstance(event, Rejected)


def test_06_an_ack_or_a_nack_causes_no_answer(client: SotwClient) -> None:
    client.ask(CLUSTER)
    client.ask(LISTENER)
    clusters, listeners = client.take()
    assert isinstance(client.ack(clusters), Acked)
    assert isinstance(client.nack(listeners), Rejected)
    assert client.take() == []


def test_08_a_name_that_does_not_exist_yet_is_pushed_once_created(client: SotwClient, view: View) -> None:
    client.ask(ROUTE, "later")
    assert client.take() == []
    view.apply([route("later")])
    assert client.take()[0].names == {"later"}


@pytest.mark.parametrize("names", [(), ("*",)])
def test_10_an_empty_first_request_or_an_explicit_star_is_everything(
    client: SotwClient, names: tuple[str, ...]
) -> None:
    client.ask(CLUSTER, *names)
    assert client.take()[0].names == {"a", "b"}


def test_11_after_a_name_an_empty_list_is_no_wildcard(client: SotwClient, view: View) -> None:
    client.ask(CLUSTER, "a")
    client.settle()
    client.ask(CLUSTER)
    view.apply([cluster("a", "2"), cluster("c")])
    assert client.take() == []


def test_12_star_and_a_name_and_then_the_name_alone(client: SotwClient, view: View) -> None:
    client.ask(CLUSTER, "*", "a")
    assert client.settle()[0].names == {"a", "b"}
    client.ask(CLUSTER, "a")
    view.apply([cluster("a", "2"), cluster("b", "2")])
    assert client.settle()[0].names == {"a"}


def test_13_a_stale_nonce_is_not_answered(client: SotwClient, view: View) -> None:
    client.ask(ENDPOINT, "a")
    [old] = client.take()
    view.apply([endpoints("a", "2")])
    client.take()
    client.ask(ENDPOINT, "a", "b", nonce=old.nonce)
    assert client.take() == []


def test_14_omission_unsubscribes(client: SotwClient, view: View) -> None:
    client.ask(ENDPOINT, "a", "b")
    client.settle()
    client.ask(ENDPOINT, "b")
    view.apply([endpoints("a", "2"), endpoints("b", "2")])
    assert client.take()[0].names == {"b"}


def test_15_a_newly_added_name_is_sent_even_if_unchanged(client: SotwClient) -> None:
    client.ask(ENDPOINT, "a")
    client.settle()
    client.ask(ENDPOINT, "a", "b")
    assert client.settle()[0].names == {"b"}
    client.ask(ENDPOINT, "a")
    assert client.settle() == []
    client.ask(ENDPOINT, "a", "b")
    assert client.settle()[0].names == {"b"}, "also after an unsubscription"


def test_15_also_when_the_request_that_left_it_out_was_stale(client: SotwClient, view: View) -> None:
    client.ask(ENDPOINT, "a", "b")
    [old] = client.settle()
    view.apply([endpoints("b", "2")])
    [new] = client.take()
    client.ask(ENDPOINT, "b", nonce=old.nonce)
    assert client.take() == []
    client.ask(ENDPOINT, "a", "b", nonce=new.nonce)
    assert client.settle()[0].names == {"a"}, "the client dropped it when it left it out"


def test_16_clusters_and_listeners_carry_everything_and_absence_deletes(
    client: SotwClient, view: View
) -> None:
    client.ask(CLUSTER)
    client.ask(LISTENER)
    client.settle()
    view.apply([cluster("c")])
    assert client.settle()[0].names == {"a", "b", "c"}
    view.apply(drop=[Ref(CLUSTER, "b"), Ref(LISTENER, "l")])
    clusters, listeners = client.settle()
    assert clusters.names == {"a", "c"}
    assert listeners.names == set()


def test_16_a_named_cluster_that_does_not_exist_is_absent_from_an_answer(client: SotwClient) -> None:
    client.ask(CLUSTER, "a", "nowhere")
    assert client.settle()[0].names == {"a"}
    client.ask(CLUSTER, "a", "elsewhere")
    assert client.settle()[0].names == {"a"}


def test_17_routes_and_endpoints_are_partial(client: SotwClient, view: View) -> None:
    client.ask(ENDPOINT, "a", "b")
    client.settle()
    view.apply([endpoints("b", "2")])
    assert client.settle()[0].names == {"b"}
    view.apply(drop=[Ref(ENDPOINT, "b")])
    assert client.settle() == []


def test_18_a_reconnect_with_the_current_version_is_not_sent_again(view: View) -> None:
    first = SotwClient(view)
    first.ask(CLUSTER)
    [response] = first.settle()
    again = SotwClient(view)
    again.ask(CLUSTER, version=response.version)
    assert again.take() == []
    view.apply([cluster("a", "2")])
    assert again.settle()[0].names == {"a", "b"}


def test_18_but_by_name_it_is_since_the_names_may_be_others(view: View) -> None:
    first = SotwClient(view)
    first.ask(ENDPOINT, "a")
    [response] = first.settle()
    again = SotwClient(view)
    again.ask(ENDPOINT, "b", version=response.version)
    assert again.take()[0].names == {"b"}


def test_18_nor_is_a_version_current_that_still_held_a_leaving_cluster(view: View) -> None:
    first = SotwClient(view, drain=5)
    first.ask(CLUSTER)
    first.settle()
    view.apply([cluster("b", "2")], [Ref(CLUSTER, "a")])
    [response] = first.settle()
    assert response.names == {"a", "b"}, "a drains"
    again = SotwClient(view)
    again.ask(CLUSTER, version=response.version)
    assert again.take()[0].names == {"b"}


def test_31_a_repointed_route_waits_for_its_cluster_and_the_old_one_leaves_last(view: View) -> None:
    client = SotwClient(view)
    client.ask(CLUSTER)
    client.ask(ROUTE, "r")
    client.settle()
    view.apply([cluster("new"), route("r", "new")], [Ref(CLUSTER, "a")])
    [clusters] = client.take()
    assert clusters.names == {"a", "b", "new"}
    client.ack(clusters)
    [routes] = client.take()
    assert routes.type_url == ROUTE
    client.ack(routes)
    [removal] = client.take()
    assert removal.names == {"b", "new"}


def test_32_a_changed_cluster_has_its_endpoints_sent_again_and_no_others(
    client: SotwClient, view: View
) -> None:
    client.ask(CLUSTER)
    client.ask(ENDPOINT, "a", "b")
    client.settle()
    view.apply([cluster("a", "2")])
    clusters, assignments = client.take()
    assert clusters.names == {"a", "b"}
    assert assignments.names == {"a"}


def test_a_rejected_cluster_is_not_sent_again_beside_others(client: SotwClient, view: View) -> None:
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("a", "bad"), cluster("fresh and bad")])
    [response] = client.take()
    client.nack(response)
    view.apply([cluster("c")])
    [response] = client.settle()
    assert response.bodies == {"a": b"a 1", "b": b"b 1", "c": b"c 1"}


def test_07_no_response_has_a_name_twice(client: SotwClient) -> None:
    client.ask(CLUSTER, "*", "a", "a", "b")
    assert client.settle()[0].names == {"a", "b"}, "the client refuses a name that comes twice"


def test_19_of_several_requests_only_the_latest_is_answered(client: SotwClient) -> None:
    client.ask(ENDPOINT, "a")
    client.ask(ENDPOINT, "a", "b")
    client.ask(ENDPOINT, "b")
    [response] = client.settle()
    assert response.names == {"b"}


def test_a_load_comes_in_parts_where_absence_removes_nothing() -> None:
    view = View()
    names = [f"c{number}" for number in range(2_000)]
    view.apply([*map(cluster, names), *map(endpoints, names)])
    client = SotwClient(view)
    client.ask(CLUSTER)
    assert len(client.settle()) == 1
    client.ask(ENDPOINT, *names)
    responses = client.settle()
    assert len(responses) > 1
    assert sum(len(response.names) for response in responses) == 2_000
    assert set().union(*(response.names for response in responses)) == set(names)


def test_31_a_cluster_leaves_after_a_route_that_was_rejected_in_company_is_gone(
    client: SotwClient, view: View
) -> None:
    """There is no word for the removal of that route, so the client counts as holding it no more."""
    client.ask(CLUSTER)
    client.settle()
    client.ask(ROUTE, "x", "y")
    view.apply([route("x", "a"), route("y")], drop=[Ref(ROUTE, "r")])
    [rejected] = client.take()
    client.nack(rejected)
    view.apply([route("y", content="2")], drop=[Ref(ROUTE, "x"), Ref(CLUSTER, "a")])
    assert [response.names for response in client.settle() if response.type_url == CLUSTER] == [{"b"}]


def test_what_was_rejected_on_a_new_stream_is_listed_until_something_was_taken() -> None:
    """The client may have an earlier version of it, in use, which its absence would remove."""
    view = View()
    view.apply([cluster("a"), cluster("bad")])
    client = SotwClient(view)
    client.ask(CLUSTER, version="of an earlier stream")
    [response] = client.take()
    client.nack(response)
    assert client.take() == []
    view.apply([cluster("c")])
    [response] = client.take()
    assert response.names == {"a", "bad", "c"}
    client.nack(response)
    view.apply(drop=[Ref(CLUSTER, "bad")])
    [response] = client.take()
    assert response.names == {"a", "c"}
    client.ack(response)
    view.apply([cluster("worse")])
    [response] = client.take()
    client.nack(response)
    view.apply([cluster("d")])
    [response] = client.take()
    assert response.names == {"a", "c", "d"}


def test_what_a_rejected_response_left_out_is_sent_again_when_it_is_back() -> None:
    """Envoy removes what a response leaves out, also when it rejects something else in it."""
    view = View()
    view.apply([cluster("a")])
    client = SotwClient(view)
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("bad")], drop=[Ref(CLUSTER, "a")])
    added, removed = client.take()
    assert (added.names, removed.names) == ({"a", "bad"}, {"bad"})
    client.nack(added)
    client.nack(removed)
    view.apply([cluster("a")], drop=[Ref(CLUSTER, "bad")])
    assert client.settle()[-1].names == {"a"}
