"""The delta variant: order and warming, line by line of the xDS checklist (``docs/conformance.md``)."""

import pytest

from tests.unit.protocol.clients import DeltaClient, cluster, endpoints, route
from xds.cache import Ref, View
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE


@pytest.fixture
def client(view: View) -> DeltaClient:
    return DeltaClient(view)


def test_30_clusters_then_endpoints_then_listeners_then_routes(client: DeltaClient) -> None:
    client.ask(ROUTE, "r")
    client.ask(LISTENER)
    client.ask(ENDPOINT, "a", "b")
    client.ask(CLUSTER)
    assert [response.type_url for response in client.settle()] == [CLUSTER, ENDPOINT, LISTENER, ROUTE]


def test_31_a_repointed_route_waits_for_its_cluster_and_the_old_one_leaves_last(
    view: View,
) -> None:
    client = DeltaClient(view, drain=5)
    client.ask(CLUSTER)
    client.ask(ENDPOINT, "a", "b")
    client.ask(ROUTE, "r")
    client.settle()
    view.apply([cluster("new"), endpoints("new"), route("r", "new")], [Ref(CLUSTER, "a"), Ref(ENDPOINT, "a")])

    [clusters] = client.take()
    assert clusters.names == {"new"}
    assert clusters.removed == ()
    client.ask(ENDPOINT, "new")
    assert [response.type_url for response in client.take()] == [ENDPOINT]
    client.ack(clusters)
    [routes] = client.take()
    assert routes.names == {"r"}
    assert client.stream.deadline is None, "the drain delay begins when the client has the new route"

    client.ack(routes)
    assert client.take() == []
    assert client.stream.deadline == 5.0
    client.now = 4.9
    assert client.take() == []
    client.now = 5.0
    [removal] = client.take()
    assert (removal.type_url, removal.removed) == (CLUSTER, ("a",))
    client.ask(ENDPOINT, drop=("a",))
    client.ack(removal)
    assert client.take() == []


def test_31_a_cluster_named_by_a_rejected_route_stays_out_and_the_old_one_in(view: View) -> None:
    client = DeltaClient(view)
    client.ask(CLUSTER)
    client.ask(ROUTE, "r")
    client.settle()
    view.apply([route("r", "b")], [Ref(CLUSTER, "a")])
    [response] = client.take()
    client.nack(response)
    assert client.take() == [], "the client still routes to a"
    view.apply([route("r", "b", content="mended")])
    routes, removal = client.settle()
    assert routes.names == {"r"}
    assert removal.removed == ("a",)


def test_31_a_route_waits_for_a_rejected_cluster_and_others_do_not(view: View) -> None:
    client = DeltaClient(view)
    client.ask(CLUSTER)
    client.ask(ROUTE, "r", "s")
    client.settle()
    view.apply([cluster("bad"), route("r", "bad")])
    [response] = client.take()
    client.nack(response)
    view.apply([route("s", "b")])
    assert [response.names for response in client.settle()] == [{"s"}]
    view.apply([cluster("bad", "mended")])
    assert [response.names for response in client.settle()] == [{"bad"}, {"r"}]


def test_31_a_cluster_that_comes_back_within_the_drain_delay_never_leaves(view: View) -> None:
    client = DeltaClient(view, drain=5)
    client.ask(CLUSTER)
    client.settle()
    view.apply(drop=[Ref(CLUSTER, "b")])
    assert client.take() == []
    client.now = 3.0
    view.apply([cluster("b")])
    assert client.take() == []
    assert client.stream.deadline is None
    view.apply(drop=[Ref(CLUSTER, "b")])
    assert client.take() == []
    assert client.stream.deadline == 8.0, "a later removal drains anew"


def test_32_a_changed_cluster_has_its_endpoints_sent_again(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.ask(ENDPOINT, "a", "b")
    client.settle()
    view.apply([cluster("a", "2")])
    clusters, assignments = client.take()
    assert (clusters.type_url, clusters.names) == (CLUSTER, {"a"})
    assert (assignments.type_url, assignments.names) == (ENDPOINT, {"a"})


def test_32_so_it_is_on_a_reconnect_when_the_client_already_has_those_endpoints(view: View) -> None:
    first = DeltaClient(view)
    first.ask(CLUSTER)
    first.ask(ENDPOINT, "a", "b")
    have = dict(next(each for each in first.settle() if each.type_url == ENDPOINT).versions)
    view.apply([cluster("a", "2")])
    client = DeltaClient(view)
    client.ask(CLUSTER, have={"a": "old", "b": cluster("b").version})
    client.settle()
    client.ask(ENDPOINT, "a", "b", have=have)
    [response] = client.settle()
    assert response.names == {"a"}


def test_32_and_when_the_stream_broke_between_the_cluster_and_its_endpoints(view: View) -> None:
    first = DeltaClient(view)
    first.ask(CLUSTER)
    first.ask(ENDPOINT, "a", "b")
    have = dict(next(each for each in first.settle() if each.type_url == ENDPOINT).versions)
    view.apply([cluster("a", "2")])
    assert first.take()[0].names == {"a"}, "this arrives, and the endpoints after it do not"
    client = DeltaClient(view)
    client.ask(
        CLUSTER, have={name: cluster(name, content).version for name, content in [("a", "2"), ("b", "1")]}
    )
    assert client.settle() == []
    client.ask(ENDPOINT, "a", "b", have=have)
    assert [response.names for response in client.settle()] == [{"a"}]


def test_33_an_unchanged_route_is_not_sent_again(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.ask(ENDPOINT, "a", "b")
    client.ask(ROUTE, "r")
    client.settle()
    view.apply([cluster("a", "2"), endpoints("a", "2"), route("r", "a")])
    assert {response.type_url for response in client.settle()} == {CLUSTER, ENDPOINT}


def test_endpoints_stay_while_their_cluster_does(view: View) -> None:
    client = DeltaClient(view, drain=5)
    client.ask(CLUSTER)
    client.ask(ENDPOINT, "a", "b")
    client.settle()
    view.apply(drop=[Ref(CLUSTER, "b"), Ref(ENDPOINT, "b")])
    assert client.settle() == []
    client.now = 5.0
    clusters, assignments = client.settle()
    assert (clusters.type_url, clusters.removed) == (CLUSTER, ("b",))
    assert (assignments.type_url, assignments.removed) == (ENDPOINT, ("b",))
