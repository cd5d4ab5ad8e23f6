"""Bugs put in on purpose, each of which the state machine finds: it can fail."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.protocol.machine import Machine
from xds.cache import Changes, Resource, View
from xds.protocol import stream, types, variants
from xds.protocol.client_state import ClientState, SentResponse
from xds.protocol.events import Change, Event
from xds.protocol.names import WILDCARD, SubscribedNames
from xds.protocol.stream import Stream
from xds.protocol.subscription import Subscription
from xds.protocol.variants import Due, Request
from xds.server import coalescer
from xds.server.coalescer import CoalescedStream
from xds.wire import Status

Seed = Callable[[pytest.MonkeyPatch], None]
SEEDS: dict[str, Seed] = {}

pytestmark = pytest.mark.timeout(600)  # the play that finds a bug may be long, and machines are noisy


def seed(plant: Seed) -> Seed:
    SEEDS[plant.__name__] = plant
    return plant


@seed
def routes_do_not_wait_for_their_clusters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "_must_wait", lambda *args: False)


@seed
def sent_counts_as_acknowledged(patch: pytest.MonkeyPatch) -> None:
    record_sent = ClientState.record_sent

    def bug(self: ClientState, nonce: str, sent: Mapping[str, Resource | None], repeated: Any) -> None:
        record_sent(self, nonce, sent, repeated)
        for name in sent:
            self.never_acked.pop(name, None)

    patch.setattr(ClientState, "record_sent", bug)


@seed
def an_acknowledgement_from_before_counts_after(patch: pytest.MonkeyPatch) -> None:
    """One of a cluster that was removed and created again, or unsubscribed and subscribed again, since."""
    acknowledge = ClientState.acknowledge

    def bug(self: ClientState, nonce: str) -> Mapping[str, Change] | None:
        acked = acknowledge(self, nonce)
        for name, change in (acked or {}).items():
            if change.sent:
                self.never_acked.pop(name, None)
        return acked

    patch.setattr(ClientState, "acknowledge", bug)


@seed
def clusters_leave_while_a_held_route_names_them(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClientState, "outdated", lambda self: iter(()))


@seed
def clusters_leave_while_a_current_route_names_them(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "requires", lambda self, ref: False)


@seed
def clusters_leave_without_draining(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Stream, "_removals", lambda self, subscription, now: self._free(subscription))


@seed
def removals_go_with_additions(patch: pytest.MonkeyPatch) -> None:
    additions = Stream._additions

    def bug(self: Stream, subscription: Subscription) -> Due:
        due = additions(self, subscription)
        return due._replace(drop=self._free(subscription)) if due.put else due

    patch.setattr(Stream, "_additions", bug)


@seed
def a_rejection_is_taken_for_an_acknowledgement(patch: pytest.MonkeyPatch) -> None:
    def bug(self: ClientState, nonce: str, reason: Status) -> SentResponse | None:
        rejected = self.unanswered.get(nonce)
        self.acknowledge(nonce)
        return rejected

    patch.setattr(ClientState, "reject", bug)


@seed
def what_was_rejected_is_sent_again_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Subscription, "_superseded", lambda self, sent, rejected: True)


@seed
def what_was_rejected_in_company_is_never_tried_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ClientState, "retry", lambda self, changed: ())


@seed
def a_name_subscribed_again_is_not_answered(patch: pytest.MonkeyPatch) -> None:
    subscribe = Subscription.subscribe

    def bug(self: Subscription, name: str) -> None:
        if name not in self.subscribed.names:
            subscribe(self, name)

    patch.setattr(Subscription, "subscribe", bug)


@seed
def a_missing_name_is_not_answered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Subscription, "missing", lambda self: [])


@seed
def an_empty_view_is_not_answered(patch: pytest.MonkeyPatch) -> None:
    subscribe = Subscription.subscribe

    def bug(self: Subscription, name: str) -> None:
        subscribe(self, name)
        if name == WILDCARD:
            self.to_answer.pop(WILDCARD, None)

    patch.setattr(Subscription, "subscribe", bug)


@seed
def endpoints_are_not_sent_again_after_their_cluster(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Subscription, "answer", lambda self, name: None)


@seed
def what_vanished_between_two_streams_is_not_removed(patch: pytest.MonkeyPatch) -> None:
    resume = Subscription.resume

    def bug(self: Subscription, brought: tuple[str, str]) -> None:
        if self.subscribed.target(brought[0]):
            resume(self, brought)

    patch.setattr(Subscription, "resume", bug)


@seed
def a_stale_request_is_obeyed(patch: pytest.MonkeyPatch) -> None:
    variant = type(variants.STATE_OF_THE_WORLD)
    read = variant.read

    def bug(*args: Any, first: bool, stale: bool) -> Iterator[None]:
        return read(*args, first=first, stale=False)

    patch.setattr(variant, "read", bug)


@seed
def absence_removes_what_is_held_back(patch: pytest.MonkeyPatch) -> None:
    """A response that lists everything lists what the view holds, not what the client is to keep."""

    def bug(self: Any, due: Due, subscription: Subscription, view: View) -> dict[str, Resource]:
        current = view.resources(subscription.type_url)
        return {name: each for name, each in current.items() if subscription.subscribed.wants(each)}

    patch.setattr(type(variants.STATE_OF_THE_WORLD), "_after", bug)


@seed
def what_was_rejected_on_a_new_stream_is_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Subscription, "rejected", lambda self: {})


@seed
def a_change_is_noted_under_its_name_alone(patch: pytest.MonkeyPatch) -> None:
    def bug(self: SubscribedNames, resource: Resource) -> bool:
        return (self.wildcard and not resource.on_demand) or resource.name in self.names

    patch.setattr(SubscribedNames, "wants", bug)


@seed
def virtual_hosts_go_first(patch: pytest.MonkeyPatch) -> None:
    place = types.rank
    patch.setattr(stream, "rank", lambda type_url: -place(type_url))


@seed
def a_response_is_shared_with_a_stream_in_another_state(patch: pytest.MonkeyPatch) -> None:
    def bug(self: Stream, subscription: Subscription) -> Hashable:
        return (subscription.type_url, self._variant, *subscription.client.behind)

    patch.setattr(Stream, "_sharing_key", bug)


@seed
def names_are_read_before_the_stream_is_told_of_changes(patch: pytest.MonkeyPatch) -> None:
    def bug(self: CoalescedStream, request: Request) -> Event | None:
        self._mere_ack = self.only_acknowledges(request)
        return self.stream.handle_ack(request)

    patch.setattr(CoalescedStream, "handle_ack", bug)


@seed
def a_stream_sends_before_it_is_told_of_changes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoalescedStream, "ready", lambda self: True)


@seed
def a_merged_change_forgets_what_there_was_first(patch: pytest.MonkeyPatch) -> None:
    def bug(untold: dict[str, dict[str, Resource | None]], changes: Changes) -> None:
        for type_url, before in changes.items():
            untold.setdefault(type_url, {}).update(before)

    patch.setattr(coalescer, "merge", bug)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_a_seeded_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    SEEDS[name](monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=6_000,  # three times what the slowest hunt takes
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                print_blob=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
