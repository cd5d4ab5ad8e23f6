"""All that can happen to one resource name on one stream, in one table.

The code does not run this table, because ``ClientState`` stores only what differs from the view: a name in
step costs nothing. The table says what the code does. The state machine test (``test_state_machine``) plays
random clients, changes and networks. It checks that every transition is in the table, and that the table has
no other.

Invariants, which the same test checks after every step:

- No name is both due and rejected: after the NACK of an outdated version, the name stays due.
- A rejected name has a target, or the client holds, or may hold, a version of it that it still subscribes to.
- ``never_acked`` waits for a response that was or will be sent, never for one further on.

What each response may say, given all those before, is judged by the ledger of the same test.
"""

from enum import Enum, auto

from xds.protocol.subscription import Subscription


class NameState(Enum):
    """What is known of one name. The target is what the client is to hold of it."""

    ABSENT = auto()
    """There is no target, and the client holds nothing."""
    DUE = auto()
    """The target is to be sent."""
    REMOVAL_DUE = auto()
    """There is no target; the client holds something, which is to be removed."""
    SENT = auto()
    """The target, or the removal, is on its way; the client has not answered."""
    IN_STEP = auto()
    """The client acknowledged the target."""
    REJECTED = auto()
    """The client rejected the target. It is not sent again until it changes."""


class Trigger(Enum):
    """What a driver does with a stream."""

    VIEW_CHANGED = auto()
    """``Stream.on_change``."""
    RESPONSE_SENT = auto()
    """``Stream.poll``."""
    ACK = auto()
    """``Stream.handle_ack`` of a request without ``error_detail``."""
    NACK = auto()
    """``Stream.handle_ack`` of a request with ``error_detail``."""
    NAMES_READ = auto()
    """``Stream.read``: subscriptions, and initial versions."""


def state_of(subscription: Subscription, name: str) -> NameState:
    """Return the state of a name."""
    client = subscription.client
    target = subscription.subscribed.target(name)
    if name in client.behind:
        return NameState.DUE if target else NameState.REMOVAL_DUE
    if name in client.rejected:
        return NameState.REJECTED
    if any(name in response.changes for response in client.unanswered.values()):
        return NameState.SENT
    return NameState.IN_STEP if target else NameState.ABSENT


_A, _D, _G = NameState.ABSENT, NameState.DUE, NameState.REMOVAL_DUE
_S, _I, _R = NameState.SENT, NameState.IN_STEP, NameState.REJECTED

TRANSITIONS: dict[tuple[NameState, Trigger], frozenset[NameState]] = {
    # A resource is created; its name may be one that the client asked for before.
    (_A, Trigger.VIEW_CHANGED): frozenset({_D}),
    # The news that there is no such resource.
    (_A, Trigger.RESPONSE_SENT): frozenset({_S}),
    # A new subscription; or initial versions, which may be current, old, or of what is gone.
    (_A, Trigger.NAMES_READ): frozenset({_D, _G, _I}),
    # It is removed before it was sent, or is again as the client has it or was sent it.
    (_D, Trigger.VIEW_CHANGED): frozenset({_A, _G, _S, _I}),
    (_D, Trigger.RESPONSE_SENT): frozenset({_S}),
    # The client rejected a change of which the view meanwhile took back to what the client holds.
    (_D, Trigger.NACK): frozenset({_I}),
    # Unsubscribed; or subscribed again while it was on its way.
    (_D, Trigger.NAMES_READ): frozenset({_A, _S}),
    # It is created again: as another version, as the client was sent it, or as the client has it.
    (_G, Trigger.VIEW_CHANGED): frozenset({_D, _S, _I}),
    # State of the world has no word for the removal of some types: then nothing awaits an answer.
    (_G, Trigger.RESPONSE_SENT): frozenset({_S, _A}),
    # The client rejected the only version that it was ever sent.
    (_G, Trigger.NACK): frozenset({_A}),
    # DUE if there is another version, without the alias by which the client subscribed, and it subscribes to
    # the name now.
    (_G, Trigger.NAMES_READ): frozenset({_A, _S, _D}),
    (_S, Trigger.VIEW_CHANGED): frozenset({_D, _G}),
    # Of a removal, ABSENT. REMOVAL_DUE if it is gone, and the client unsubscribed and subscribed again while
    # it was on its way.
    (_S, Trigger.ACK): frozenset({_I, _A, _G}),
    # ABSENT if the client never held it and it is gone. DUE, or REMOVAL_DUE, if it or something rejected
    # together with it changed meanwhile. IN_STEP if it was only repeated.
    (_S, Trigger.NACK): frozenset({_R, _A, _D, _G, _I}),
    (_S, Trigger.NAMES_READ): frozenset({_D}),
    (_I, Trigger.VIEW_CHANGED): frozenset({_D, _G}),
    # It is sent though it did not change: subscribed again, or after a resource that warms it.
    (_I, Trigger.RESPONSE_SENT): frozenset({_S}),
    (_I, Trigger.NAMES_READ): frozenset({_A}),
    # It changed, is gone, or is again as the client has it; or something rejected together with it changed.
    # SENT if a later response, on its way, leaves it out once more.
    (_R, Trigger.VIEW_CHANGED): frozenset({_D, _G, _A, _I, _S}),
    # The client subscribed again. Or, on a new stream in the state of the world, everything must be listed.
    (_R, Trigger.RESPONSE_SENT): frozenset({_S}),
    (_R, Trigger.NAMES_READ): frozenset({_A}),
}
