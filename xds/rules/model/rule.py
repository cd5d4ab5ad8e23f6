"""A rule document: the gray rules of one service."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xds.documents.defect import invalid
from xds.rules.model.actions import (
    Destination,
    DirectResponse,
    Fault,
    Headers,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    Sticky,
)
from xds.rules.model.base import Model, given
from xds.rules.model.matching import Match
from xds.rules.model.rollout import Rollout
from xds.rules.model.traffic import TrafficPolicy
from xds.rules.scalars import Bool, DnsName, Duration, Host, Name

NO_FALLBACK = "none"
"""Instead of a subset in ``fallback``: nobody takes the requests."""


class HttpRule(Model):
    """One entry of ``http``: the first whose match holds decides. An empty ``match`` matches everything.

    It has exactly one of ``route``, ``redirect`` and ``direct_response``.
    """

    name: Name = Field(
        description="The rule's name in logs and metrics. Unique in the document.", examples=["ramp"]
    )
    match: Annotated[tuple[Match, ...], Field(max_length=1000)] = Field(
        (), description="Alternatives, one of which must hold. Without it every request matches."
    )
    route: Annotated[tuple[Destination, ...], Field(min_length=1, max_length=100)] = Field(
        (),
        description="Where the requests go: one subset, or several with weights.",
        examples=[[{"subset": "gray"}]],
    )
    redirect: Redirect | None = Field(None, description="Sends the client elsewhere.")
    direct_response: DirectResponse | None = Field(None, description="Answers without asking the service.")
    sticky: Sticky | None = Field(None, description="Keeps a user on the same side of a split.")
    fallback: Name | None = Field(
        None,
        description="Serves when a subset of the route cannot: a subset, or none. Default: the baseline.",
    )
    timeout: Duration | None = Field(
        None, description="For the whole response, such as 3s or 250ms. Default: no limit.", examples=["3s"]
    )
    retries: Retries | None = Field(None, description="When a request is tried again.")
    mirror: Mirror | None = Field(None, description="A copy of the requests goes to a subset too.")
    fault: Fault | None = Field(None, description="Errors on purpose.")
    headers: Headers | None = Field(None, description="Changes of headers.")
    rewrite: Rewrite | None = Field(None, description="What the service is asked for instead.")

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        found = (["route"] if self.route else []) + given(self, "redirect", "direct_response")
        if not found:
            hint = "where the requests go, such as [{subset: gray}]; or give redirect or directResponse"
            raise invalid("is missing", hint, "route")
        if len(found) > 1:
            raise invalid(f"both {found[0]} and {found[1]}", "a rule does one of them", found[1])
        if found != ["route"]:
            names = ("sticky", "fallback", "timeout", "retries", "mirror", "rewrite")
            if idle := given(self, *names):
                raise invalid(
                    f"{idle[0]} means nothing with {found[0]}",
                    "it is for requests that go to the service",
                    idle[0],
                )
        return self


class Subset(Model):
    """A version of a service: the instances whose metadata has all these labels."""

    labels: Annotated[dict[Annotated[str, Field(min_length=1)], str], Field(min_length=1, max_length=100)] = (
        Field(description="Metadata that an instance must have.", examples=[{"version": "v2"}])
    )
    traffic_policy: TrafficPolicy | None = Field(
        None, description="How proxies talk to the instances. What it leaves out is as for the service."
    )

    def selects(self, metadata: Mapping[str, str]) -> bool:
        """Whether an instance with this metadata is part of the subset."""
        return all(metadata.get(key) == value for key, value in self.labels.items())


class RuleDocument(Model):
    """The gray rules of one service.

    A valid document names its ``baseline`` whenever it has subsets, and every subset its rules use.
    Without subsets all requests go to all instances.
    """

    service: Name = Field(
        description="The service's name in the registry. Default: the document's name without extension.",
        examples=["reviews"],
    )
    group: Name | None = Field(
        None,
        description="The naming group of Nacos that the instances come from. Default: the preferred one.",
        examples=["ORDERS_GROUP"],
    )
    enabled: Bool = Field(True, description="false: all traffic goes to the baseline.")
    hosts: Annotated[tuple[Host, ...], Field(max_length=1000)] = Field(
        (),
        description="Domains that the gateways serve: reviews.example.com, *.example.com or *.",
        examples=[["reviews.example.com"]],
    )
    gateways: Annotated[tuple[Name, ...], Field(max_length=100)] = Field(
        ("edge",), description="Groups of proxies (Envoy's node.cluster) that serve the hosts."
    )
    aliases: Annotated[tuple[DnsName, ...], Field(max_length=100)] = Field(
        (),
        description="Further names of the service in the mesh, such as one that is a domain.",
        examples=[["foo-bar"]],
    )
    clients: Annotated[tuple[Literal["envoy", "grpc"], ...], Field(min_length=1)] = Field(
        ("envoy",),
        description="Who follows the rules: Envoy proxies, gRPC clients without a proxy, or both.",
        examples=[["grpc"], ["envoy", "grpc"]],
    )
    traffic_policy: TrafficPolicy | None = Field(
        None, description="How proxies talk to the instances of the service."
    )
    subsets: Annotated[dict[Name, Subset], Field(max_length=100)] = Field(
        default_factory=dict, description="Versions, by name."
    )
    baseline: Name | None = Field(None, description="The subset for requests that no rule decides.")
    http: Annotated[tuple[HttpRule, ...], Field(max_length=1000)] = Field(
        (), description="Rules. The first that matches decides."
    )
    rollout: Rollout | None = Field(
        None, description="Moves the weight of a subset up in steps, and back if it does not do well."
    )

    def traffic_policy_of(self, subset: str | None) -> TrafficPolicy:
        """Return the policy of a subset, with the service's where it says nothing; None: the service's."""
        general = self.traffic_policy or TrafficPolicy()
        own = self.subsets[subset].traffic_policy if subset is not None else None
        return own.over(general) if own else general
