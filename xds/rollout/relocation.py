"""Where a rollout goes on when its steps are edited in the middle."""

from collections.abc import Sequence
from typing import NamedTuple

from xds.rollout.state import Phase
from xds.rules.model.rollout import Step


class Place(NamedTuple):
    """The step to go on with, and the weight in force there; ``same``: it is where the rollout was."""

    step: int
    weight: float
    same: bool
    says: str


def relocate(
    old: Sequence[Step], step: int, phase: Phase, weight: float, new: Sequence[Step]
) -> Place | None:
    """Find the step that fits the weight in force; None: every step has more, so it must begin again.

    An edit never raises the weight: that is for steps to do. What was observed of a step stays if the edited
    step has the same weight.
    """
    entered = old[step].weight == weight
    inside = max((index for index, one in enumerate(new) if one.weight <= weight), default=None)
    if not entered:
        # It wants to enter a step, from the one before or from nothing.
        if inside is None and weight == 0:
            return Place(0, 0, same=True, says="the steps were edited: it begins with the first")
        if inside is not None and new[inside].weight == weight and inside + 1 < len(new):
            says = f"the steps were edited: next is {new[inside + 1].weight:g} %"
            return Place(inside + 1, weight, same=True, says=says)
    if inside is None:
        return None
    found = new[inside].weight
    if found != weight:
        says = f"no step has {weight:g} % any more: it went back to {found:g} %"
        return Place(inside, found, same=False, says=says)
    if phase is Phase.PROMOTED and inside + 1 < len(new):
        says = f"there are steps after {weight:g} % now: it goes on with them"
        return Place(inside, weight, same=False, says=says)
    says = f"the steps were edited: it stays in step {inside + 1}, {weight:g} %"
    return Place(inside, weight, same=entered, says=says)
