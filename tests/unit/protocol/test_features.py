"""What is done only for clients that declare a feature: time to live (34) and resource errors (38)."""

import pytest

from tests.unit.protocol.clients import DeltaClient, SotwClient, cluster, endpoints
from xds.cache import Ref, Resource, View
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER, RUNTIME

TTL = "xds.config.supports-resource-ttl"
WRAPPED = "xds.config.resource-in-sotw"
ERRORS = "xds.config.supports-resource-errors"


def fault(name: str, content: str = "1", *, ttl: float | None = 10.0) -> Resource:
    return Resource.of(RUNTIME, name, f"{name} {content}".encode(), ttl=ttl)


@pytest.fixture
def view() -> View:
    view = View()
    view.apply([fault("a"), fault("b", ttl=30.5), fault("endless", ttl=None)])
    return view


@pytest.fixture
def client(view: View) -> DeltaClient:
    client = DeltaClient(view, features=(TTL, "unheard.of"))
    client.ask(RUNTIME, "a", "b", "endless")
    return client


def test_34_resources_come_with_their_time_to_live(client: DeltaClient) -> None:
    [response] = client.settle()
    assert dict(response.ttls) == {"a": 10.0, "b": 30.5}


def test_34_a_heartbeat_without_the_body_comes_well_before_the_end(client: DeltaClient) -> None:
    client.settle()
    assert client.stream.deadline == 5.0
    client.now = 4.9
    assert client.take() == []
    client.now = 5.0
    [beat] = client.settle()
    assert (beat.bodies, beat.ttls) == ({}, (("a", 10.0),))
    assert [name for name, _ in beat.absent] == ["a"]
    assert client.stream.deadline == 10.0
    client.now = 100.0
    assert dict(client.settle()[0].ttls) == {"a": 10.0, "b": 30.5}, "merged, and once"
    assert client.take() == []


def test_34_what_was_sent_meanwhile_is_renewed_by_that(client: DeltaClient, view: View) -> None:
    client.settle()
    client.now = 4.0
    view.apply([fault("a", "2")])
    client.settle()
    client.now = 8.9
    assert client.take() == []
    client.now = 9.0
    assert client.settle()[0].ttls == (("a", 10.0),)


def test_34_a_heartbeat_is_for_what_the_client_holds(client: DeltaClient, view: View) -> None:
    client.settle()
    view.apply([fault("a", "bad")])
    client.nack(client.take()[0])
    client.now = 5.0
    data = client.stream.poll(client.now)
    assert data is not None
    assert fault("a").version.encode() in data
    assert fault("a", "bad").version.encode() not in data


def test_34_what_is_removed_unwanted_or_endless_is_not_renewed(client: DeltaClient, view: View) -> None:
    client.settle()
    view.apply([fault("b", ttl=None)], [Ref(RUNTIME, "a")])
    client.settle()
    client.now = 100.0
    assert client.take() == []
    view.apply([fault("b", "2", ttl=10.0)])
    client.settle()
    client.ask(RUNTIME, drop=("b",))
    client.now = 200.0
    assert client.take() == []
    assert client.stream.deadline is None


def test_34_what_a_client_brings_along_is_renewed_at_once(view: View) -> None:
    client = DeltaClient(view, features=(TTL,))
    client.ask(RUNTIME, "a", have={"a": fault("a").version})
    [beat] = client.settle()
    assert (beat.bodies, beat.ttls) == ({}, (("a", 10.0),))


def test_34_other_clients_hear_nothing_of_it(view: View) -> None:
    client = DeltaClient(view)
    client.ask(RUNTIME, "a")
    assert client.settle()[0].ttls == ()
    assert client.stream.deadline is None


def test_34_a_client_that_does_not_answer_is_sent_no_more_than_a_window(client: DeltaClient) -> None:
    responses = client.take()
    for _ in range(100):
        client.now += 5.0
        responses += client.take()
    assert len(responses) == 32
    assert client.stream.deadline is None or client.stream.deadline > client.now, "or its driver would spin"
    client.ack(responses[-1])
    assert len(client.take()) == 1


def test_34_in_the_state_of_the_world_resources_are_wrapped_and_sent_whole(view: View) -> None:
    client = SotwClient(view, features=(TTL, WRAPPED))
    client.ask(RUNTIME, "a", "endless")
    [response] = client.settle()
    assert response.names == {"a", "endless"}
    assert response.ttls == (("a", 10.0),)
    client.now = 5.0
    [beat] = client.settle()
    assert (beat.bodies, beat.ttls) == ({"a": b"a 1"}, (("a", 10.0),))
    assert beat.version == response.version


def test_34_in_the_state_of_the_world_everything_comes_where_absence_removes() -> None:
    view = View()
    view.apply([Resource.of(CLUSTER, "a", b"a 1", ttl=10.0), cluster("b")])
    client = SotwClient(view, features=(TTL, WRAPPED))
    client.ask(CLUSTER)
    client.settle()
    client.now = 5.0
    [beat] = client.settle()
    assert beat.names == {"a", "b"}
    assert beat.ttls == (("a", 10.0),)


@pytest.mark.parametrize("features", [(), (WRAPPED,), (TTL,)])
def test_34_the_state_of_the_world_has_no_place_for_it_without_the_wrapper(
    view: View, features: tuple[str, ...]
) -> None:
    client = SotwClient(view, features=features)
    client.ask(RUNTIME, "a")
    assert client.settle()[0].ttls == ()
    client.now = 100.0
    assert client.take() == []


def test_38_a_missing_name_is_an_error_to_those_who_read_it(view: View) -> None:
    client = DeltaClient(view, features=(ERRORS,))
    client.ask(ENDPOINT, "nowhere")
    [response] = client.settle()
    assert (response.not_found, response.removed) == (("nowhere",), ())
    view.apply([endpoints("nowhere")])
    assert client.settle()[0].names == {"nowhere"}
    view.apply(drop=[Ref(ENDPOINT, "nowhere")])
    assert client.settle()[0].removed == ("nowhere",)


def test_38_and_a_removal_to_all_others(view: View) -> None:
    client = DeltaClient(view)
    client.ask(ENDPOINT, "nowhere")
    [response] = client.settle()
    assert (response.not_found, response.removed) == ((), ("nowhere",))


def test_38_the_state_of_the_world_says_what_is_missing_without_a_timeout(view: View) -> None:
    client = SotwClient(view, features=(ERRORS,))
    client.ask(ENDPOINT, "nowhere")
    [response] = client.settle()
    assert (response.not_found, response.names) == (("nowhere",), set())
    assert client.take() == []
    view.apply([endpoints("nowhere")])
    assert client.settle()[0].names == {"nowhere"}
    client.ask(LISTENER, "l")
    [response] = client.settle()
    assert (response.not_found, response.names) == (("l",), set())
