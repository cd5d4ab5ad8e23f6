"""A long request is read with pauses, in which the view may change: what counts is the view after it."""

import pytest

from tests.unit.protocol.clients import DeltaClient, SotwClient, cluster
from xds.cache import Ref, Resource, View
from xds.protocol import DELTA, LimitExceededError, Stream, responses
from xds.protocol.variants import Request
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER
from xds.wire import DeltaRequest, SotwRequest

NAMES = tuple(f"c{number}" for number in range(1_000))


@pytest.fixture
def view() -> View:
    view = View()
    view.apply(map(cluster, NAMES))
    return view


def change_in_every_pause(view: View, stream: Stream, request: Request) -> None:
    """Read a request; meanwhile change, remove and create what was read already and what was not yet."""
    pauses = 0
    for _ in stream.read(request):
        pauses += 1
        view.apply([cluster("c0", f"{pauses}"), cluster("c999", f"{pauses}"), cluster("new", f"{pauses}")])
        view.apply(drop=[Ref(CLUSTER, "c1"), Ref(CLUSTER, "c998")])
    assert pauses > 1


def test_a_delta_client_ends_with_the_view(view: View) -> None:
    client = DeltaClient(view)
    change_in_every_pause(view, client.stream, DeltaRequest(type_url=CLUSTER, subscribe=(*NAMES, "new")))
    responses = client.settle()
    assert {name: body for each in responses for name, body in each.bodies.items()} == {
        resource.name: resource.body for resource in view.resources(CLUSTER).values()
    }
    assert sum(len(response.bodies) for response in responses) == len(view.resources(CLUSTER))
    assert {name for each in responses for name in each.removed} == {"c1", "c998"}


def test_a_delta_client_is_sent_only_what_it_does_not_bring_along(view: View) -> None:
    client = DeltaClient(view)
    known = {name: view.version_of(resource) for name, resource in view.resources(CLUSTER).items()}
    request = DeltaRequest(
        type_url=CLUSTER, subscribe=(*NAMES, "new"), initial_resource_versions={**known, "c997": "older"}
    )
    change_in_every_pause(view, client.stream, request)
    responses = client.settle()
    assert {name for each in responses for name in each.bodies} == {"c0", "c999", "new", "c997"}
    assert {name for each in responses for name in each.removed} == {"c1", "c998"}


def test_a_state_of_the_world_client_ends_with_the_view(view: View) -> None:
    client = SotwClient(view)
    client.names[CLUSTER] = names = (*NAMES, "new")
    change_in_every_pause(view, client.stream, SotwRequest(resource_names=names, type_url=CLUSTER))
    [response] = client.settle()
    assert response.bodies == {each.name: each.body for each in view.resources(CLUSTER).values()}


def test_an_acknowledgement_that_asks_for_nothing_needs_no_pause(view: View) -> None:
    client = DeltaClient(view)
    client.ask(CLUSTER)
    for response in client.take():
        assert [*client.stream.read(DeltaRequest(type_url=CLUSTER, response_nonce=response.nonce))] == []


def test_more_names_than_a_stream_may_have_are_refused_at_the_end(view: View) -> None:
    stream = Stream(DELTA, view, max_names=999)
    with pytest.raises(LimitExceededError, match="1000 names"):
        list(stream.read(DeltaRequest(type_url=CLUSTER, subscribe=NAMES)))


def _prepared(client: SotwClient) -> int:
    """Have a client's response encoded in advance; return the number of pauses."""
    return sum(1 for _ in client.stream.prepare())


def test_a_complete_response_is_encoded_in_advance(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    client = SotwClient(view)
    client.ask(CLUSTER)
    assert _prepared(client) > 1

    def fail(resource: Resource, *, ttl: bool) -> bytes:
        raise AssertionError(resource.name, ttl)

    monkeypatch.setattr(responses, "sotw_field", fail)
    [response] = client.settle()
    assert response.bodies == {each.name: each.body for each in view.resources(CLUSTER).values()}


def test_what_changes_while_it_is_encoded_in_advance_is_sent_as_it_is_then(view: View) -> None:
    client = SotwClient(view)
    client.ask(CLUSTER)
    for number, _ in enumerate(client.stream.prepare()):
        view.apply([cluster("c0", f"{number}"), cluster("c999", f"{number}"), cluster("new", f"{number}")])
        view.apply(drop=[Ref(CLUSTER, "c1"), Ref(CLUSTER, "c998")])
    [response] = client.settle()
    assert response.bodies == {each.name: each.body for each in view.resources(CLUSTER).values()}


def test_it_is_encoded_once_for_all_streams(view: View) -> None:
    first, second = SotwClient(view), SotwClient(view)
    for client in (first, second):
        client.ask(CLUSTER)
    assert _prepared(first) > 1
    [response] = first.settle()
    assert _prepared(second) == 0
    [same] = second.settle()
    assert same.bodies == response.bodies
    view.apply([cluster("c0", "2")])
    assert _prepared(second) > 1


def test_small_and_partial_responses_need_no_advance(view: View) -> None:
    client = SotwClient(view)
    client.ask(ENDPOINT, *NAMES)
    client.ask(LISTENER)
    assert _prepared(client) == 0
