"""A release that goes on by itself: its steps, and what must hold so that it does."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xds.documents.defect import invalid
from xds.rules.model.base import Model, given
from xds.rules.model.schedule import Schedule
from xds.rules.scalars import Bool, Duration, HttpUrl, Name, Percent, PositiveFloat, PositiveInt32, Text


class Step(Model):
    """One step of a rollout. It lasts for a time, until somebody approves it, or both."""

    weight: Percent = Field(description="The subset's share in percent.", examples=[5])
    for_: Duration | None = Field(
        None, alias="for", description="How long the step is watched before the next.", examples=["10m"]
    )
    approval: Bool = Field(False, description="true: somebody must approve the next step.")


class SuccessRate(Model):
    """Requests without an error, in percent: no 5xx, or gRPC status that means the server failed."""

    min: Percent | None = Field(None, description="At least so many percent.", examples=[99.5])
    max_drop_from_baseline: Percent | None = Field(
        None, description="At most so many percentage points below the baseline.", examples=[0.5]
    )

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if not given(self, "min", "max_drop_from_baseline"):
            raise invalid("no limit", "give min, maxDropFromBaseline or both")
        return self


class Latency(Model):
    """How long answers take."""

    p50: Duration | None = Field(None, description="Half of the answers take no longer.")
    p90: Duration | None = Field(None, description="90 percent of the answers take no longer.")
    p95: Duration | None = Field(None, description="95 percent of the answers take no longer.")
    p99: Duration | None = Field(
        None, description="99 percent of the answers take no longer.", examples=["500ms"]
    )
    max_ratio_to_baseline: PositiveFloat | None = Field(
        None,
        description="No such quantile is more than so many times the baseline's; p99 if none is given.",
        examples=[1.5],
    )

    @model_validator(mode="after")
    def _demands_something(self) -> Self:
        if not given(self, "p50", "p90", "p95", "p99", "max_ratio_to_baseline"):
            raise invalid("no limit", "give p50, p90, p95, p99 or maxRatioToBaseline")
        return self


class PrometheusCheck(Model):
    """A query whose one value must lie within bounds."""

    name: Name = Field(description="What the check is called.", examples=["checkout-errors"])
    query: Text = Field(
        description="PromQL; its result is one number.", examples=["sum(rate(checkout_errors_total[1m]))"]
    )
    min: float | None = Field(None, description="The value is at least this.")
    max: float | None = Field(None, description="The value is at most this.", examples=[0.01])

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if self.min is None and self.max is None:
            raise invalid("no limit", "give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise invalid("min is above max", "exchange the two")
        return self


class Webhook(Model):
    """A URL that is asked; any answer but 2xx is a failed check."""

    name: Name = Field(description="What the check is called.", examples=["smoke"])
    url: HttpUrl = Field(description="Gets a POST with JSON.", examples=["https://ci.example.com/smoke"])
    when: Literal["before-step", "after-step", "on-rollback"] = Field(
        "before-step", description="When it is asked."
    )
    timeout: Duration | None = Field(None, description="For the answer. Default: 10s.", examples=["30s"])


class Analysis(Model):
    """What is looked at while a step lasts, the subset beside the baseline."""

    interval: Duration | None = Field(None, description="Between two looks. Default: 30s.", examples=["30s"])
    failure_limit: PositiveInt32 = Field(3, description="Failed looks in a row before it fails.")
    min_requests: PositiveInt32 = Field(
        100, description="With fewer requests in an interval there is no verdict, and the step waits."
    )
    success_rate: SuccessRate | None = Field(None, description="Requests without an error.")
    latency: Latency | None = Field(None, description="How long answers take.")
    prometheus: Annotated[tuple[PrometheusCheck, ...], Field(max_length=20)] = Field(
        (), description="Queries whose value must lie within bounds."
    )
    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=20)] = Field(
        (), description="URLs that are asked."
    )


class Rollout(Model):
    """Moves the weight of a subset up in steps, and back if it does not do well."""

    rule: Name | None = Field(
        None, description="The rule whose split it moves. Default: the only one that splits."
    )
    subset: Name = Field(description="The subset that is released.", examples=["gray"])
    revision: Text | None = Field(
        None, description="A new one begins again. Default: the subset's labels.", examples=["2.4.1"]
    )
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=100)] = Field(
        description="The steps, in order.",
        examples=[[{"weight": 5, "for": "10m"}, {"weight": 50, "approval": True}, {"weight": 100}]],
    )
    analysis: Analysis | None = Field(None, description="What must hold while it goes on.")
    schedule: Schedule | None = Field(
        None, description="Outside it a rollout does not go on. It may always go back."
    )
    freeze: Annotated[tuple[Schedule, ...], Field(max_length=100)] = Field(
        (),
        description="While one of these holds a rollout does not go on, whatever `schedule` says.",
        examples=[[{"from": "2026-12-24", "until": "2027-01-02", "timezone": "Asia/Shanghai"}]],
    )
    on_failure: Literal["rollback", "pause"] = Field("rollback", description="What happens if it fails.")

    @model_validator(mode="after")
    def _goes_up(self) -> Self:
        weights = [step.weight for step in self.steps]
        for index in range(1, len(weights)):
            if weights[index] <= weights[index - 1]:
                raise invalid(
                    f"step {index + 1} has weight {weights[index]:g}, not more than the step before",
                    "steps go up; a rollout goes back by itself",
                )
        return self
