"""The states of a rollout, every transition between them in one table, and what is kept of a rollout.

``TRANSITIONS`` is all there is: what the table does not have does not happen. ``xds.rollout.machine`` decides
which trigger an event pulls.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from xds.rollout.analysis import Evidence, Verdict
from xds.rollout.plan import Plan, Record


class Phase(StrEnum):
    """Where a rollout is. Each line of comment says which weight is in force."""

    ENTERING = "Entering"
    """Wants to enter a step: waits for the schedule and for webhooks. The weight of the step before, or 0."""
    OBSERVING = "Observing"
    """In a step, and looking. The step's weight."""
    LEAVING = "Leaving"
    """The step is done: waits for webhooks. The step's weight."""
    PAUSED = "Paused"
    """A person or a failure stopped it. The weight that was in force."""
    PROMOTED = "Promoted"
    """All steps are done. The last step's weight."""
    ROLLED_BACK = "RolledBack"
    """Taken back. 0."""
    DISABLED = "Disabled"
    """The document says ``enabled: false``. 0."""


class Trigger(StrEnum):
    """Why a rollout goes from one phase to another."""

    BEGIN = "begin"
    """A plan for a release that was not there before, or an enabled one again."""
    ENTER = "enter"
    """The schedule is open, the webhooks before the step agree, and no check is against it."""
    DONE = "done"
    """The step lasted long enough, every check passed, and who must approve did."""
    NEXT = "next"
    """The webhooks after the step agree, and there is another step."""
    FINISH = "finish"
    """The webhooks after the step agree, and it was the last one."""
    FAIL = "fail"
    """A check or a webhook failed, or the instances are gone; the plan says to roll back. Or it is clear."""
    HALT = "halt"
    """The same; the plan says to pause."""
    MOVE = "move"
    """The steps were edited, and another one fits what is in force."""
    PROMOTE = "promote"
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    RESUME_ENTERING = "resume entering"
    """A resume where the step was not entered yet."""
    ABORT = "abort"
    RETRY = "retry"
    DISABLE = "disable"


_E, _O, _L = Phase.ENTERING, Phase.OBSERVING, Phase.LEAVING
_PAUSED, _PROMOTED, _ROLLED_BACK, _DISABLED = (
    Phase.PAUSED,
    Phase.PROMOTED,
    Phase.ROLLED_BACK,
    Phase.DISABLED,
)

_ALWAYS = {Trigger.BEGIN: _E, Trigger.DISABLE: _DISABLED}
_UNDER_WAY = {
    **_ALWAYS,
    Trigger.FAIL: _ROLLED_BACK,
    Trigger.HALT: _PAUSED,
    Trigger.ABORT: _ROLLED_BACK,
    Trigger.PAUSE: _PAUSED,
    Trigger.PROMOTE: _E,
    Trigger.MOVE: _O,
}

TRANSITIONS: Mapping[Phase, Mapping[Trigger, Phase]] = {
    _E: {**_UNDER_WAY, Trigger.ENTER: _O},
    _O: {**_UNDER_WAY, Trigger.DONE: _L, Trigger.APPROVE: _O},
    _L: {**_UNDER_WAY, Trigger.NEXT: _E, Trigger.FINISH: _PROMOTED},
    _PAUSED: {**_UNDER_WAY, Trigger.RESUME: _O, Trigger.RESUME_ENTERING: _E, Trigger.APPROVE: _PAUSED},
    _PROMOTED: {**_ALWAYS, Trigger.ABORT: _ROLLED_BACK, Trigger.MOVE: _O},
    _ROLLED_BACK: {**_ALWAYS, Trigger.RETRY: _E, Trigger.ABORT: _ROLLED_BACK},
    _DISABLED: {**_ALWAYS, Trigger.ABORT: _DISABLED},
}

UNDER_WAY = frozenset({_E, _O, _L, _PAUSED})
"""The phases in which the subset is analysed."""


class LogEntry(Record):
    """A line of a rollout's record: what happened, and why. ``by`` is a person, or empty."""

    at: datetime
    what: str
    why: str
    weight: float
    by: str = ""
    source: str = ""


class Past(Record):
    """What is kept of a rollout that another one took the place of."""

    revision: str
    attempt: int
    phase: Phase
    began: datetime
    ended: datetime
    weight: float
    why: str
    requests: int
    errors: int


class State(Record):
    """One rollout. ``weight`` is in force, in percent.

    ``step`` is that which it is in, or wants to enter, from 0. ``observed`` is for how many seconds the step
    was looked at with enough requests and without a failure. ``asked`` is whether the webhooks of the phase
    were called, ``answered`` those that agreed. ``serial`` grows with each change of phase or step: webhooks
    get it, to tell a repeated call. ``leader`` is the replica that decides: a new one writes its name, so
    that a write of the one before is refused.
    """

    plan: Plan
    phase: Phase
    why: str
    since: datetime
    began: datetime
    attempt: int = 1
    serial: int = 0
    step: int = 0
    weight: float = 0
    observed: float = 0
    approved: bool = False
    forced: bool = False
    asked: bool = False
    answered: frozenset[str] = frozenset()
    evidence: Mapping[str, Evidence] = {}
    verdict: Verdict | None = None
    requests: int = 0
    errors: int = 0
    log: tuple[LogEntry, ...] = ()
    history: tuple[Past, ...] = ()
    leader: str = ""
