"""The gray-rule document as typed values (see docs/rules.md for the language).

Every model is frozen and refuses unknown fields. Field names are Python's; aliases are the language's words.
The models check every value and every object by itself. `xds.rules.cross_checks` checks how objects fit
together. `xds.rules.parse` does both and knows where things stand in the text: only what it returns is whole.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from xds.documents.defect import invalid
from xds.rules.regex import Regex, check_regex_ignoring_case
from xds.rules.scalars import (
    Bool,
    CookieName,
    Duration,
    HeaderName,
    Host,
    Int64,
    Name,
    QueryName,
    UriPath,
    Value,
    Weight,
    check_method,
)


class Model(BaseModel):
    """Base of all rule models: frozen, closed, camelCase on the outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Range(Model):
    """Integers from ``start`` up to, but not including, ``end``; both of 64 bits."""

    start: Int64 = Field(description="The lowest integer that matches.")
    end: Int64 = Field(description="The integer after the highest that matches.")

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.start >= self.end:
            raise invalid(
                f"a range from {self.start} up to, not including, {self.end} is empty",
                f"end must be above start; {self.start} alone is end: {self.start + 1}",
            )
        return self


class Matcher(Model):
    """One test: exactly one of the operators, optionally turned round by ``not``."""

    not_: Bool = Field(
        False, alias="not", description="Turns the whole test round: an absent value then matches."
    )
    ignore_case: Bool = Field(False, description="ASCII letters match whatever their case.")

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        known = operators(type(self))
        given = [word for name, word in known.items() if getattr(self, name) is not None]
        if not given:
            raise invalid("no operator", f"give one of {', '.join(known.values())}")
        if len(given) > 1:
            raise invalid(
                f"{len(given)} operators: {', '.join(given)}",
                "give one; other tests are other entries of `match`",
            )
        if self.ignore_case and given[0] in {"range", "present"}:
            raise invalid(f"ignoreCase means nothing with {given[0]}", "remove ignoreCase")
        regex: str | None = getattr(self, "regex", None)
        if self.ignore_case and regex is not None:
            check_regex_ignoring_case(regex)
        return self


def operators(matcher: type[Matcher]) -> dict[str, str]:
    """The operators of a kind of matcher: the words of the language by field name."""
    fields = matcher.model_fields
    return {name: fields[name].alias or name for name in fields if name not in Matcher.model_fields}


class StringMatcher(Matcher):
    """A test of a header, a cookie or a query parameter."""

    exact: Value | None = Field(None, description="The whole value.")
    prefix: Value | None = Field(None, description="How the value begins.")
    suffix: Value | None = Field(None, description="How the value ends.")
    contains: Value | None = Field(None, description="A part of the value.")
    regex: Regex | None = Field(None, description="An RE2 expression for the whole value.")
    in_: Annotated[tuple[Value, ...], Field(min_length=1)] | None = Field(
        None, alias="in", description="The values, one of which is the whole value."
    )
    range: Range | None = Field(None, description="The value is an integer of this range.")
    present: Bool | None = Field(
        None, description="Whether there is such a header, cookie or parameter at all."
    )


class UriMatcher(Matcher):
    """A test of the request path, without its query string."""

    exact: UriPath | None = Field(None, description="The whole path.")
    prefix: UriPath | None = Field(None, description="How the path begins: /api also matches /apix.")
    regex: Regex | None = Field(None, description="An RE2 expression for the whole path.")


def _check_method_matcher(matcher: StringMatcher) -> StringMatcher:
    if matcher.range is not None or matcher.present is not None:
        operator = "present" if matcher.range is None else "range"
        raise invalid(f"{operator} means nothing for a method", "every request has one; use exact or in")
    for method in (matcher.exact, *(matcher.in_ or ())):
        if method is not None:
            check_method(method)
    return matcher


class Match(Model):
    """One alternative of a rule's ``match``: all keys given must hold."""

    uri: UriMatcher | None = Field(None, description="The path, without the query string.")
    method: Annotated[StringMatcher, AfterValidator(_check_method_matcher)] | None = Field(
        None, description="The HTTP method."
    )
    headers: Annotated[dict[HeaderName, StringMatcher], Field(max_length=100)] = Field(
        {}, description="Tests by header name. All must hold."
    )
    cookies: Annotated[dict[CookieName, StringMatcher], Field(max_length=100)] = Field(
        {}, description="Tests by cookie name. All must hold."
    )
    query: Annotated[dict[QueryName, StringMatcher], Field(max_length=100)] = Field(
        {}, description="Tests by name of a query parameter. All must hold."
    )


class Destination(Model):
    """A subset and its relative share of a rule's requests."""

    subset: Name = Field(description="The name of a subset of this document.")
    weight: Weight | None = Field(
        None, description="The share, relative to the sum of all weights of the rule."
    )


class Sticky(Model):
    """What identifies a user: one of ``header`` and ``cookie``; ``ttl`` generates a missing cookie."""

    header: HeaderName | None = Field(None, description="The header that identifies a user.")
    cookie: CookieName | None = Field(None, description="The cookie that identifies a user.")
    ttl: Duration | None = Field(
        None, description="Set the cookie where it is missing, for whole seconds such as 24h."
    )

    @model_validator(mode="after")
    def _names_one_identity(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise invalid(
                "neither header nor cookie" if self.header is None else "both header and cookie",
                "name the one that identifies a user",
            )
        if self.ttl is not None:
            if self.cookie is None:
                raise invalid("ttl without cookie", "a header cannot be generated; remove ttl")
            if self.ttl.microseconds:
                raise invalid("a cookie lives for whole seconds", "such as ttl: 24h")
        return self


class HttpRule(Model):
    """One entry of ``http``: the first whose match holds decides. An empty ``match`` matches everything."""

    name: Name = Field(description="The rule's name in logs and metrics.")
    match: Annotated[tuple[Match, ...], Field(max_length=1000)] = Field(
        (), description="Alternatives, one of which must hold. Without it every request matches."
    )
    route: Annotated[tuple[Destination, ...], Field(min_length=1, max_length=100)] = Field(
        description="Where the requests go."
    )
    sticky: Sticky | None = Field(None, description="Keeps a user on the same side of a split.")
    timeout: Duration | None = Field(None, description="For the whole response, such as 3s or 250ms.")


class Subset(Model):
    """A version of a service: the instances whose metadata has all these labels."""

    labels: Annotated[dict[Annotated[str, Field(min_length=1)], str], Field(min_length=1, max_length=100)] = (
        Field(description="Metadata that an instance must have.")
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
        description="The service's name in Nacos. Default: the document's name without extension."
    )
    enabled: Bool = Field(True, description="false: all traffic goes to the baseline.")
    hosts: Annotated[tuple[Host, ...], Field(max_length=1000)] = Field(
        (), description="Domains that the gateways serve: reviews.example.com, *.example.com or *."
    )
    gateways: Annotated[tuple[Name, ...], Field(max_length=100)] = Field(
        ("edge",), description="Groups of proxies (Envoy's node.cluster) that serve the hosts."
    )
    subsets: Annotated[dict[Name, Subset], Field(max_length=100)] = Field(
        {}, description="Versions, by name."
    )
    baseline: Name | None = Field(None, description="The subset for requests that no rule decides.")
    http: Annotated[tuple[HttpRule, ...], Field(max_length=1000)] = Field(
        (), description="Rules. The first that matches decides."
    )
