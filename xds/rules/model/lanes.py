"""Lanes: versions of several services that belong together, for requests that carry the lane's mark."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from xds.documents.defect import invalid
from xds.rules.model.base import Model
from xds.rules.model.matching import Match
from xds.rules.scalars import BaggageKey, HeaderName, Name


def _check_entrance(match: Match) -> Match:
    if match.lane is not None:
        raise invalid("a lane cannot be entered by the mark of a lane", "remove lane")
    return match


class Lane(Model):
    """One lane. Services that have its subset are used in it, others in their baseline."""

    name: Name = Field(description="The lane's name, and the value of its mark.", examples=["gray"])
    header: HeaderName | None = Field(
        None, description="The header that carries the mark on.", examples=["x-gray-lane"]
    )
    baggage: BaggageKey | None = Field(
        None, description="The member of W3C `baggage` that carries the mark on.", examples=["gray-lane"]
    )
    subset: Name = Field(description="The subset that serves the lane in every service that has it.")
    enter: Annotated[tuple[Annotated[Match, AfterValidator(_check_entrance)], ...], Field(max_length=100)] = (
        Field(
            (),
            description="Whom the edge takes into the lane: alternatives, one of which must hold.",
            examples=[[{"headers": {"x-user-group": {"exact": "beta"}}}]],
        )
    )

    @model_validator(mode="after")
    def _has_one_mark(self) -> Self:
        if (self.header is None) == (self.baggage is None):
            raise invalid(
                "neither header nor baggage" if self.header is None else "both header and baggage",
                "name the one that carries the mark on",
            )
        return self


class LanesDocument(Model):
    """The lanes of an environment, the document ``lanes.yaml``. A request is in one lane at most."""

    lanes: Annotated[tuple[Lane, ...], Field(max_length=100)] = Field(
        description="The lanes. The first that a request may enter takes it."
    )
