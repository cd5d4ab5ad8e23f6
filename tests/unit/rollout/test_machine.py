"""The state machine: what each event does, by example, and what never happens, by hypothesis."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.rollout.plans import BAD, DEAD, GOOD, NOW, QUIET, SILENT, plan
from xds.rollout.analysis import Result
from xds.rollout.machine import (
    COMMANDS,
    Call,
    Command,
    CommandRefusedError,
    HookAnswered,
    InstancesGone,
    IntervalSeen,
    PartSeen,
    PlanRead,
    RolloutEvent,
    advance,
    due,
)
from xds.rollout.observation import Observation
from xds.rollout.state import TRANSITIONS, Phase, State, Trigger

HOOKS = {
    "webhooks": [
        {"name": "smoke", "url": "https://ci.example.com/smoke", "when": "before-step"},
        {"name": "report", "url": "https://ci.example.com/report", "when": "after-step"},
        {"name": "page", "url": "https://ci.example.com/page", "when": "on-rollback"},
    ]
}


class Played:
    """A rollout that events are told to, one interval after the other."""

    def __init__(self, **rollout: Any) -> None:
        self.now = NOW
        self.calls: tuple[Call, ...] = ()
        self.state, self.calls = advance(None, PlanRead(plan(**rollout)), self.now)

    def tell(self, event: RolloutEvent) -> "Played":
        self.state, self.calls = advance(self.state, event, self.now)
        return self

    def see(self, *seen: Observation) -> "Played":
        for one in seen:
            self.now += timedelta(seconds=30)
            self.tell(IntervalSeen(one))
        return self

    def command(self, word: str) -> "Played":
        return self.tell(Command(word, by="ann", source="10.0.0.7", why="because"))

    def read(self, **rollout: Any) -> "Played":
        return self.tell(PlanRead(plan(**rollout)))

    def answer(self, name: str, agrees: bool = True) -> "Played":
        return self.tell(HookAnswered(name, self.state.serial, agrees, "200" if agrees else "503"))

    @property
    def at(self) -> tuple[Phase, int, float]:
        return self.state.phase, self.state.step, self.state.weight


def test_a_good_release_goes_through_all_steps() -> None:
    played = Played()
    seen = [played.at]
    while played.state.phase is not Phase.PROMOTED:
        seen.append(played.see(GOOD).at)
    assert seen == [
        (Phase.OBSERVING, 0, 5),
        (Phase.OBSERVING, 0, 5),
        (Phase.OBSERVING, 1, 25),
        (Phase.OBSERVING, 1, 25),
        (Phase.PROMOTED, 2, 100),
    ]


def test_failures_in_a_row_roll_back_and_say_why() -> None:
    played = Played().see(GOOD, BAD, BAD)
    assert played.at == (Phase.OBSERVING, 0, 5)
    played.see(BAD)
    assert played.at == (Phase.ROLLED_BACK, 0, 0)
    assert "successRate.min failed 3 times in a row: 200 of 2000 bad" in played.state.why


def test_failures_that_are_not_in_a_row_do_not() -> None:
    played = Played(steps=[{"weight": 5.0, "for": "1h"}]).see(*[BAD, BAD, GOOD] * 5)
    assert played.at == (Phase.OBSERVING, 0, 5)
    assert played.state.observed == 5 * 30


@pytest.mark.parametrize("event", [IntervalSeen(DEAD), PartSeen(DEAD), InstancesGone()])
def test_a_clear_failure_is_taken_back_at_once(event: RolloutEvent) -> None:
    assert Played().tell(event).at == (Phase.ROLLED_BACK, 0, 0)


def test_it_pauses_where_the_plan_says_so_and_goes_on_when_told() -> None:
    played = Played(onFailure="pause").see(BAD, BAD, BAD)
    assert played.at == (Phase.PAUSED, 0, 5)
    played.see(BAD, DEAD)
    assert played.at == (Phase.PAUSED, 0, 5)
    assert played.command("resume").see(GOOD, GOOD).at == (Phase.OBSERVING, 1, 25)


@pytest.mark.parametrize(("seen", "result"), [(QUIET, Result.TOO_FEW), (SILENT, Result.MISSING)])
def test_it_waits_where_there_is_little_or_nothing_to_see(seen: Observation, result: Result) -> None:
    played = Played().see(*[seen] * 100)
    assert played.at == (Phase.OBSERVING, 0, 5)
    assert played.state.observed == 0
    assert played.state.verdict is not None
    assert played.state.verdict.result is result
    assert played.state.why == played.state.verdict.why


def test_a_step_with_approval_waits_for_it() -> None:
    steps = [{"weight": 5.0, "approval": True}, {"weight": 100.0}]
    played = Played(steps=steps).see(*[GOOD] * 10)
    assert played.at == (Phase.OBSERVING, 0, 5)
    assert played.state.why == "step 1 waits for approval"
    assert played.command("approve").at == (Phase.PROMOTED, 1, 100)
    entry = next(entry for entry in played.state.log if entry.what == "approve")
    assert (entry.by, entry.source, entry.why) == ("ann", "10.0.0.7", "because")


def test_outside_the_schedule_it_does_not_advance_but_goes_back() -> None:
    schedule = {"days": ["wed"], "hours": ["10:00-10:01"], "timezone": "UTC"}
    played = Played(schedule=schedule)
    assert played.at == (Phase.OBSERVING, 0, 5)
    played.see(*[GOOD] * 10)
    assert played.at == (Phase.ENTERING, 1, 5)
    assert played.state.why == "outside the schedule until 2026-12-02T10:00+00:00"
    with pytest.raises(CommandRefusedError, match="never goes on outside the schedule"):
        played.command("promote")
    assert played.see(DEAD).at == (Phase.ROLLED_BACK, 1, 0)


def test_a_freeze_holds_whatever_the_schedule_says() -> None:
    freeze = [{"from": "2026-11-25", "until": "2026-11-26", "timezone": "Asia/Shanghai"}]
    played = Played(freeze=freeze)
    assert played.at == (Phase.ENTERING, 0, 0)
    assert played.state.why == "frozen until 2026-11-25T16:00+00:00"
    played.now = datetime(2026, 11, 25, 16, tzinfo=UTC)
    assert played.see(SILENT).at == (Phase.OBSERVING, 0, 5)


def test_webhooks_stand_before_and_after_a_step() -> None:
    played = Played(analysis=HOOKS)
    assert played.at == (Phase.ENTERING, 0, 0)
    assert [call.hook.name for call in played.calls] == ["smoke"]
    assert due(played.state) == played.calls, "called again after a restart"
    played.answer("smoke")
    assert played.at == (Phase.OBSERVING, 0, 5)
    played.see(GOOD, GOOD)
    assert [call.hook.name for call in played.calls] == ["report"]
    played.answer("report")
    assert played.at == (Phase.ENTERING, 1, 5)
    played.answer("smoke", agrees=False)
    assert played.at == (Phase.ROLLED_BACK, 1, 0)
    assert played.state.why == "webhook smoke: 503"
    assert [call.hook.name for call in played.calls] == ["page"]


def test_the_answer_to_an_earlier_call_counts_for_nothing() -> None:
    played = Played(analysis=HOOKS)
    late = HookAnswered("smoke", played.state.serial - 1, False, "503")
    assert played.tell(late).at == (Phase.ENTERING, 0, 0)


def test_promote_goes_to_the_last_step_and_waits_for_nothing() -> None:
    assert Played().command("promote").at == (Phase.PROMOTED, 2, 100)


def test_retry_begins_again_and_keeps_what_was() -> None:
    played = Played().see(DEAD).command("retry")
    assert played.at == (Phase.OBSERVING, 0, 5)
    assert played.state.attempt == 2
    assert [past.phase for past in played.state.history] == [Phase.ROLLED_BACK]
    assert played.state.history[0].errors == 40


def test_a_new_revision_begins_again() -> None:
    played = Played().see(GOOD, GOOD).read(revision="2.4.2")
    assert played.at == (Phase.OBSERVING, 0, 5)
    assert played.state.attempt == 1


def test_disabled_takes_it_back_and_enabled_begins_again() -> None:
    played = Played().see(GOOD, GOOD).read(enabled=False)
    assert played.at == (Phase.DISABLED, 1, 0)
    assert played.read().at == (Phase.OBSERVING, 0, 5)
    assert played.tell(PlanRead(None)).at == (Phase.DISABLED, 0, 0)
    assert played.state.why == "it was taken out of the document"


STEPS = [{"weight": 5.0, "for": "1m"}, {"weight": 25.0, "for": "1m"}, {"weight": 100.0}]


@pytest.mark.parametrize(
    ("steps", "at", "says"),
    [
        ([STEPS[0], {"weight": 25.0, "for": "1h"}], (Phase.OBSERVING, 1, 25), "it stays in step 2, 25 %"),
        ([{"weight": 1.0}, *STEPS], (Phase.OBSERVING, 2, 25), "it stays in step 3, 25 %"),
        ([STEPS[0], STEPS[2]], (Phase.OBSERVING, 0, 5), "no step has 25 % any more: it went back to 5 %"),
        ([{"weight": 50.0, "for": "1m"}], (Phase.OBSERVING, 0, 50), "revision 2.4.1"),
    ],
)
def test_an_edit_in_the_middle_keeps_what_makes_sense(
    steps: list[dict[str, Any]], at: tuple[Phase, int, float], says: str
) -> None:
    played = Played().see(GOOD, GOOD, GOOD)
    assert played.at == (Phase.OBSERVING, 1, 25)
    played.read(steps=steps)
    assert played.at == at
    assert says in [entry.why.removeprefix("the steps were edited: ") for entry in played.state.log][-3:]
    if at[2] == 25:
        assert played.state.observed == 30


def test_steps_added_after_the_last_are_gone_on_with() -> None:
    played = Played(steps=[{"weight": 5.0}])
    assert played.at == (Phase.PROMOTED, 0, 5)
    assert played.read(steps=STEPS).at == (Phase.OBSERVING, 0, 5)


def test_an_edit_of_the_analysis_begins_the_evidence_anew() -> None:
    played = Played().see(BAD, BAD).read(analysis={"interval": "30s", "successRate": {"min": 80.0}})
    assert played.state.evidence == {}
    assert played.see(BAD).at == (Phase.OBSERVING, 0, 5)


@pytest.mark.parametrize(
    ("events", "word", "says"),
    [
        ([IntervalSeen(DEAD)], "approve", "is RolledBack: it cannot approve; it can abort, retry"),
        ([], "retry", "is Observing: it cannot retry"),
        ([], "resume", "is Observing: it cannot resume"),
        ([], "approve", "step 1 needs no approval"),
    ],
)
def test_a_command_that_does_not_fit_is_refused(events: list[RolloutEvent], word: str, says: str) -> None:
    played = Played()
    for event in events:
        played.tell(event)
    with pytest.raises(CommandRefusedError, match=says):
        played.command(word)


def test_a_service_without_rollout_refuses_every_command() -> None:
    with pytest.raises(CommandRefusedError, match="no rollout"):
        advance(None, Command("abort", "ann"), NOW)


def test_every_phase_and_trigger_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert {trigger for row in TRANSITIONS.values() for trigger in row} == set(Trigger)


PLANS: list[dict[str, Any]] = [
    {},
    {"steps": STEPS[:2]},
    {"steps": [{"weight": 10.0}, {"weight": 50.0, "approval": True}, {"weight": 100.0, "for": "2m"}]},
    {"analysis": HOOKS},
    {"revision": "3"},
    {"onFailure": "pause"},
    {"enabled": False},
    {"schedule": {"hours": ["09:00-17:00"], "timezone": "America/New_York"}},
    {"freeze": [{"days": ["wed"], "timezone": "Asia/Shanghai"}]},
]
COUNTED = (Result.PASSED, Result.UNDECIDED)


class NeverHappens(RuleBasedStateMachine):
    """Any events in any order: a step is never exceeded, and never advanced against a check."""

    @initialize(plan_=st.sampled_from(PLANS))
    def begin(self, plan_: dict[str, Any]) -> None:
        self.now = NOW
        self.state, _ = advance(None, PlanRead(plan(**plan_)), self.now)
        self.attempt_weight = self.state.weight

    def tell(self, event: RolloutEvent) -> None:
        before = self.state
        self.state, _ = advance(before, event, self.now)
        assert State.model_validate_json(self.state.model_dump_json()) == self.state
        begun = self.state.began != before.began or self.state.attempt != before.attempt
        raised = self.state.weight > (0 if begun else before.weight)
        if raised:
            assert self.state.plan.closed_because(self.now) is None, "never advances outside the schedule"
            assert self.state.plan.enabled
        promoted = isinstance(event, Command) and event.word == "promote"
        if raised and not begun and before.weight > 0 and not promoted and not self.state.forced:
            said = before.verdict
            if isinstance(event, IntervalSeen):
                assert event.seen is GOOD, "advances on what is good only"
            elif not isinstance(event, PlanRead):
                assert said is not None
                assert said.result in COUNTED

    @rule(minutes=st.sampled_from([1, 30, 600, 3000]))
    def time_passes(self, minutes: int) -> None:
        observed = self.state.observed
        self.now += timedelta(minutes=minutes)
        assert self.state.observed == observed

    @rule(seen=st.sampled_from([GOOD, GOOD, GOOD, BAD, QUIET, SILENT, DEAD]))
    def interval(self, seen: Observation) -> None:
        self.now += timedelta(seconds=30)
        self.tell(IntervalSeen(seen))

    @rule(plan_=st.sampled_from(PLANS))
    def edit(self, plan_: dict[str, Any]) -> None:
        before, again = self.state, plan(**plan_)
        self.tell(PlanRead(again))
        if before.phase not in {Phase.ENTERING, Phase.LEAVING}:  # these may wait for what the edit took out
            assert self.state.weight <= max(before.weight, again.steps[0].weight)

    @rule()
    def taken_out(self) -> None:
        self.tell(PlanRead(None))
        assert self.state.weight == 0

    @rule()
    def instances_gone(self) -> None:
        self.tell(InstancesGone())

    @rule(word=st.sampled_from(COMMANDS))
    def command(self, word: str) -> None:
        try:
            self.tell(Command(word, "ann"))
        except CommandRefusedError:
            assert word != "abort", "a rollout can always be taken back"
            return
        if word == "abort":
            assert self.state.weight == 0
            assert self.state.phase in {Phase.ROLLED_BACK, Phase.DISABLED}

    @precondition(lambda self: bool(due(self.state)))
    @rule(agrees=st.sampled_from([True, True, False]))
    def hook(self, agrees: bool) -> None:
        call = due(self.state)[0]
        self.tell(HookAnswered(call.hook.name, call.serial, agrees, "said so"))

    @invariant()
    def no_more_than_the_step(self) -> None:
        state = self.state
        assert state.weight <= state.plan.steps[state.step].weight
        if state.phase in {Phase.OBSERVING, Phase.LEAVING, Phase.PROMOTED}:
            assert state.weight == state.plan.steps[state.step].weight
        if state.phase in {Phase.ROLLED_BACK, Phase.DISABLED}:
            assert state.weight == 0
        assert sum(state.plan.split(state.weight).values()) > 0


TestNeverHappens = NeverHappens.TestCase
