"""All that can happen to one resource name on one stream, in one table.

The code does not run this table, because ``ClientState`` stores only what differs from the view: a name in
step costs nothing. The table says what the code does. The state machine test (``test_state_machine``) plays
random clients, changes and networks, and checks that every step is in the table, and that nothing else is.

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


class Step(Enum):
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

TRANSITIONS: dict[tuple[NameState, Step], frozenset[NameState]] = {
    # A resource is created; its name may be one that the client asked for before.
    (_A, Step.VIEW_CHANGED): frozenset({_D}),
    # The news that there is no such resource.
    (_A, Step.RESPONSE_SENT): frozenset({_S}),
    # A new subscription; or initial versions, which may be current, old, or of what is gone.
    (_A, Step.NAMES_READ): frozenset({_D, _G, _I}),
    # It is removed before it was sent, or is again as the client has it or was sent it.
    (_D, Step.VIEW_CHANGED): frozenset({_A, _G, _S, _I}),
    (_D, Step.RESPONSE_SENT): frozenset({_S}),
    # The client rejected a change of which the view meanwhile took back to what the client holds.
    (_D, Step.NACK): frozenset({_I}),
    # Unsubscribed; or subscribed again while it was on its way.
    (_D, Step.NAMES_READ): frozenset({_A, _S}),
    # It is created again: as another version, as the client was sent it, or as the client has it.
    (_G, Step.VIEW_CHANGED): frozenset({_D, _S, _I}),
    # State of the world has no word for the removal of some types: then nothing awaits an answer.
    (_G, Step.RESPONSE_SENT): frozenset({_S, _A}),
    # The client rejected the only version that it was ever sent.
    (_G, Step.NACK): frozenset({_A}),
    # DUE if there is another version, without the alias by which the client subscribed, and it subscribes to
    # the name now.
    (_G, Step.NAMES_READ): frozenset({_A, _S, _D}),
    (_S, Step.VIEW_CHANGED): frozenset({_D, _G}),
    # Of a removal, ABSENT. REMOVAL_DUE if it is gone, and the client unsubscribed and subscribed again while
    # it was on its way.
    (_S, Step.ACK): frozenset({_I, _A, _G}),
    # ABSENT if the client never held it and it is gone. DUE, or REMOVAL_DUE, if it or something rejected
    # together with it changed meanwhile. IN_STEP if it was only repeated.
    (_S, Step.NACK): frozenset({_R, _A, _D, _G, _I}),
    (_S, Step.NAMES_READ): frozenset({_D}),
    (_I, Step.VIEW_CHANGED): frozenset({_D, _G}),
    # It is sent though it did not change: subscribed again, or after a resource that warms it.
    (_I, Step.RESPONSE_SENT): frozenset({_S}),
    (_I, Step.NAMES_READ): frozenset({_A}),
    # It changed, is gone, or is again as the client has it; or something rejected together with it changed.
    # SENT if a later response, on its way, leaves it out once more.
    (_R, Step.VIEW_CHANGED): frozenset({_D, _G, _A, _I, _S}),
    # The client subscribed again. Or, on a new stream in the state of the world, everything must be listed.
    (_R, Step.RESPONSE_SENT): frozenset({_S}),
    (_R, Step.NAMES_READ): frozenset({_A}),
}
