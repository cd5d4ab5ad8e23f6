"""The delta variant, line by line of the xDS checklist (``docs/conformance.md``)."""

import pytest

from tests.unit.protocol.clients import DeltaClient, cluster, endpoints
from xds.cache import Ref, View
from xds.protocol import Acked, Rejected
from xds.type_urls import CLUSTER, ENDPOINT, LISTENER


@pytest.fixture
def client(view: View) -> DeltaClient:
    return DeltaClient(view)


def test_03_a_nonce_left_over_from_another_stream_is_tolerated_at_first(client: DeltaClient) -> None:
    assert client.ask(CLUSTER, nonce="77") is None
    assert client.take()[0].names == {"a", "b"}


def test_05_a_nack_is_an_error_detail_and_keeps_what_the_client_held(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("a", "bad")])
    [response] = client.take()
    event = client.nack(response, "no such thing")
    assert isinstance(event, Rejected)
    assert event.reason.message == "no such thing"
    assert set(event.changes) == {"a"}


def test_06_an_ack_causes_no_answer(client: DeltaClient) -> None:
    client.ask(CLUSTER)
    [response] = client.take()
    assert isinstance(client.ack(response), Acked)
    assert client.take() == []


def test_06_a_nack_causes_no_answer_until_something_changes(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("a", "bad")])
    [response] = client.take()
    client.nack(response)
    assert client.take() == []
    view.apply([cluster("b", "2")])
    assert client.settle()[0].names == {"b"}


def test_06_what_was_rejected_together_is_tried_again_when_one_of_it_changes(
    client: DeltaClient, view: View
) -> None:
    """Nothing says which resource of a response was at fault."""
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("a", "bad"), cluster("fine")])
    [response] = client.take()
    client.nack(response)
    view.apply([cluster("a", "mended")])
    assert client.settle()[0].bodies == {"a": b"a mended", "fine": b"fine 1"}


def test_08_a_name_that_does_not_exist_yet_is_pushed_once_created(client: DeltaClient, view: View) -> None:
    client.ask(ENDPOINT, "later")
    client.settle()
    view.apply([endpoints("later")])
    [response] = client.settle()
    assert response.names == {"later"}


def test_09_an_ack_of_one_type_says_nothing_of_another(client: DeltaClient) -> None:
    client.ask(CLUSTER)
    [response] = client.take()
    client.ask(LISTENER, nonce=response.nonce)
    assert client.ack(response) is not None, "the cluster response still waits for its own ACK"


@pytest.mark.parametrize("names", [(), ("*",)])
def test_10_an_empty_first_request_or_an_explicit_star_is_everything(
    client: DeltaClient, view: View, names: tuple[str, ...]
) -> None:
    client.ask(CLUSTER, *names)
    assert client.settle()[0].names == {"a", "b"}
    view.apply([cluster("c")])
    assert client.settle()[0].names == {"c"}


def test_10_an_empty_first_request_for_endpoints_is_nothing(client: DeltaClient) -> None:
    client.ask(ENDPOINT)
    assert client.take() == []


def test_11_after_a_name_an_empty_list_is_no_wildcard(client: DeltaClient) -> None:
    client.ask(CLUSTER, "a")
    client.settle()
    client.ask(CLUSTER, drop=("a",))
    client.ask(CLUSTER)
    assert client.take() == []


def test_12_dropping_the_star_keeps_what_was_named(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER, "*", "a")
    client.settle()
    client.ask(CLUSTER, drop=("*",))
    view.apply([cluster("a", "2"), cluster("b", "2")])
    [response] = client.settle()
    assert response.names == {"a"}


def test_12_a_legacy_wildcard_lasts_while_names_are_added(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.settle()
    client.ask(CLUSTER, "a")
    client.settle()
    view.apply([cluster("b", "2")])
    assert client.settle()[0].names == {"b"}


def test_20_only_what_changed_goes_out_with_a_version_of_its_own(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    [first] = client.settle()
    changed = cluster("b", "2")
    view.apply([changed])
    [second] = client.settle()
    assert second.versions == (("b", changed.version),)
    assert second.version != first.version


def test_20_a_change_and_its_undoing_between_two_pushes_sends_nothing(
    client: DeltaClient, view: View
) -> None:
    client.ask(CLUSTER)
    client.settle()
    view.apply([cluster("b", "2")])
    view.apply([cluster("b")])
    assert client.take() == []


def test_21_subscriptions_count_even_on_a_stale_nonce(client: DeltaClient) -> None:
    client.ask(ENDPOINT, "a")
    client.settle()
    client.ask(ENDPOINT, "b", nonce="no such nonce")
    assert client.take()[0].names == {"b"}


def test_22_a_name_subscribed_again_is_sent_again(client: DeltaClient) -> None:
    client.ask(ENDPOINT, "a")
    client.settle()
    client.ask(ENDPOINT, "a")
    assert client.settle()[0].names == {"a"}
    client.ask(ENDPOINT, drop=("a",))
    assert client.take() == []
    client.ask(ENDPOINT, "a")
    assert client.take()[0].names == {"a"}


def test_23_a_subscribed_name_that_does_not_exist_is_removed_at_once(client: DeltaClient) -> None:
    client.ask(ENDPOINT, "nowhere")
    [response] = client.settle()
    assert response.removed == ("nowhere",)
    client.ask(ENDPOINT, "nowhere")
    assert client.take()[0].removed == ("nowhere",), "and again, when it is subscribed again"


def test_24_a_deleted_resource_is_removed(client: DeltaClient, view: View) -> None:
    client.ask(LISTENER)
    client.settle()
    view.apply(drop=[Ref(LISTENER, "l")])
    [response] = client.settle()
    assert response.removed == ("l",)
    assert client.take() == []


def test_25_unsubscribing_needs_no_reply_and_what_never_was_is_ignored(
    client: DeltaClient, view: View
) -> None:
    client.ask(ENDPOINT, "a")
    client.settle()
    client.ask(ENDPOINT, drop=("a", "never"))
    view.apply([endpoints("a", "2")])
    assert client.take() == []


def test_26_under_the_wildcard_an_unsubscribed_name_is_told_about(client: DeltaClient) -> None:
    client.ask(CLUSTER, "*", "a", "nowhere")
    client.settle()
    client.ask(CLUSTER, drop=("a", "nowhere"))
    [response] = client.settle()
    assert response.names == {"a"}
    assert response.removed == ("nowhere",)


def test_27_what_the_client_brings_along_is_not_sent_again(client: DeltaClient, view: View) -> None:
    have = {"a": cluster("a").version, "b": "old", "gone": "1"}
    client.ask(CLUSTER, have=have)
    first, second = client.settle()
    assert first.names == {"b"}
    assert second.removed == ("gone",)


def test_28_subscribing_may_ride_on_an_ack(client: DeltaClient) -> None:
    client.ask(ENDPOINT, "a")
    [response] = client.take()
    assert isinstance(client.ask(ENDPOINT, "b", drop=("a",), nonce=response.nonce), Acked)
    assert client.take()[0].names == {"b"}


def test_a_slow_client_is_sent_the_last_state_once(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER)
    client.settle()
    for content in map(str, range(2, 50)):
        view.apply([cluster("a", content)])
    [response] = client.take()
    assert response.bodies == {"a": b"a 49"}


def test_a_client_that_reads_but_never_answers_is_sent_no_more_than_a_window(
    client: DeltaClient, view: View
) -> None:
    client.ask(CLUSTER)
    responses = client.take()
    for content in map(str, range(2, 100)):
        view.apply([cluster("a", content)])
        responses += client.take()
    assert len(responses) == 32
    client.ack(responses[-1])
    [last] = client.take()
    assert last.bodies == {"a": b"a 99"}


def test_a_large_load_comes_in_parts_below_the_message_limit_of_clients() -> None:
    view = View()
    view.apply([cluster(f"c{number}", "x" * 100_000) for number in range(50)])
    client = DeltaClient(view)
    client.ask(CLUSTER)
    responses = client.settle()
    assert len(responses) > 1
    assert all(sum(map(len, response.bodies.values())) < 1 << 20 for response in responses)
    assert set().union(*(response.names for response in responses)) == set(view.resources(CLUSTER))


def test_a_load_of_many_small_resources_comes_in_parts_that_hold_up_nobody() -> None:
    view = View()
    view.apply([cluster(f"c{number}") for number in range(2_000)])
    client = DeltaClient(view)
    client.ask(CLUSTER)
    responses = client.settle()
    assert len(responses) > 1
    assert sum(len(response.names) for response in responses) == 2_000
    assert set().union(*(response.names for response in responses)) == set(view.resources(CLUSTER))


def test_07_no_response_has_a_name_twice(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER, "*", "a", "a", "b")
    view.apply([cluster("a", "2")])
    view.apply([cluster("a", "3")])
    [response] = client.settle()
    assert sorted(name for name, _ in response.versions) == ["a", "b"]
    assert response.bodies["a"] == b"a 3"


def test_24_what_comes_of_wanting_everything_anew_is_removed(client: DeltaClient, view: View) -> None:
    """It may still be taken from a response that was in flight then, though it is gone before it is sent."""
    client.ask(CLUSTER, "*")
    client.settle()
    view.apply([cluster("later")])
    [late] = client.take()
    client.ask(CLUSTER, drop=("*",))
    client.ask(CLUSTER, "*")
    client.ack(late)
    view.apply(drop=[Ref(CLUSTER, "later")])
    assert "later" in {name for response in client.settle() for name in response.removed}


def test_24_what_is_about_to_be_removed_is_not_removed_again(client: DeltaClient, view: View) -> None:
    client.ask(CLUSTER, "*")
    client.take()
    view.apply(drop=[Ref(CLUSTER, "b")])
    client.ask(ENDPOINT)
    assert [response.removed for response in client.take()] == [("b",)]
    client.ask(CLUSTER, drop=("*",))
    client.ask(CLUSTER, "*")
    assert not any(response.removed for response in client.settle())


def test_12_taking_the_wildcard_back_keeps_an_answer_that_is_due_to_a_name(
    client: DeltaClient, view: View
) -> None:
    client.ask(CLUSTER, "*")
    [late] = client.take()
    view.apply(drop=[Ref(CLUSTER, "b")])
    client.ask(CLUSTER, drop=("*",))
    client.ask(CLUSTER, "*")
    client.ask(CLUSTER, "b")
    client.ask(CLUSTER, drop=("*",))
    client.ack(late)
    assert [response.removed for response in client.settle()] == [("b",)]


def test_of_many_changes_a_client_hears_those_of_what_it_asked_for() -> None:
    view = View()
    view.apply([cluster(f"c{number}") for number in range(100)])
    client = DeltaClient(view)
    client.ask(CLUSTER, "c1", "c2", "c3", "new", "never")
    client.settle()
    view.apply(
        [cluster("new"), *(cluster(f"c{number}", "2") for number in range(100) if number != 2)],
        drop=[Ref(CLUSTER, "c2")],
    )
    responses = client.settle()
    assert {name for each in responses for name in each.names} == {"c1", "c3", "new"}
    assert {name for each in responses for name in each.removed} == {"c2"}


def test_types_that_clients_make_up_leave_nothing_behind(view: View) -> None:
    for number in range(10):
        client = DeltaClient(view)
        client.ask(f"made-up-{number}", "a", "*")
        client.settle()
        client.disconnect()
    assert "made-up" not in repr(vars(view))


def test_a_removal_that_was_rejected_with_something_else_is_told_again() -> None:
    view = View()
    view.apply([cluster("a", "bad"), cluster("b")])
    client = DeltaClient(view)
    client.ask(CLUSTER)
    [both] = client.take()
    client.nack(both)  # it may have taken b all the same
    view.apply(drop=[Ref(CLUSTER, "b")])
    [without] = client.take()
    assert without.removed == ("b",)
    client.nack(without)
    view.apply([cluster("a", "good")])
    assert ("b",) in [each.removed for each in client.settle()]
