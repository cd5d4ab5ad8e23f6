"""Whom a rule is for: the tests that a request must pass."""

import re
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from xds.documents.defect import invalid, quoted
from xds.documents.words import choice
from xds.rules.model.base import Model, given, words_of
from xds.rules.model.schedule import Schedule
from xds.rules.regex import Regex, check_regex_ignoring_case
from xds.rules.scalars import (
    Bool,
    Cidr,
    CookieName,
    HeaderName,
    Int64,
    ListName,
    Name,
    Percent,
    QueryName,
    Region,
    Salt,
    UriPath,
    Value,
    check_method,
)

Device = Literal["ios", "android", "harmonyos", "mobile", "tablet", "desktop", "wechat", "bot"]
"""What a client says that it is, by User-Agent and client hints. A phone is ``mobile``, a tablet is not."""


class Range(Model):
    """Integers from ``start`` up to, but not including, ``end``; both of 64 bits."""

    start: Int64 = Field(description="The lowest integer that matches.", examples=[2300])
    end: Int64 = Field(description="The integer after the highest that matches.", examples=[2400])

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.start >= self.end:
            raise invalid(
                f"a range from {self.start} up to, not including, {self.end} is empty",
                f"end must be above start; {self.start} alone is end: {self.start + 1}",
            )
        return self


class ListReference(Model):
    """The values of the document ``<list>.list``."""

    list: ListName = Field(description="The name of a list document, without .list.", examples=["vip-users"])


class Matcher(Model):
    """One test: exactly one of the operators, optionally turned round by ``not``."""

    not_: Bool = Field(
        False, alias="not", description="Turns the whole test round: an absent value then matches."
    )
    ignore_case: Bool = Field(False, description="ASCII letters match whatever their case.")

    @model_validator(mode="after")
    def _has_one_operator(self) -> Self:
        known = operators(type(self))
        found = [word for name, word in known.items() if getattr(self, name) is not None]
        if not found:
            raise invalid("no operator", f"give one of {', '.join(known.values())}")
        if len(found) > 1:
            raise invalid(
                f"{len(found)} operators: {', '.join(found)}",
                "give one; other tests are other entries of `match`",
            )
        if self.ignore_case and found[0] in {"range", "present"}:
            raise invalid(f"ignoreCase means nothing with {found[0]}", "remove ignoreCase")
        regex: str | None = getattr(self, "regex", None)
        if self.ignore_case and regex is not None:
            check_regex_ignoring_case(regex)
        return self


@cache
def operators(matcher: type[Matcher]) -> dict[str, str]:
    """Return the operators of a kind of matcher: the words of the language by field name."""
    return {name: word for name, word in words_of(matcher).items() if name not in Matcher.model_fields}


_VALUES, _LIST = choice("values"), choice("list")


def _values_or_list(value: object) -> str:
    return _LIST if isinstance(value, dict | ListReference) else _VALUES


class StringMatcher(Matcher):
    """A test of a header, a cookie or a query parameter."""

    exact: Value | None = Field(None, description="The whole value.", examples=["canary"])
    prefix: Value | None = Field(None, description="How the value begins.", examples=["beta-"])
    suffix: Value | None = Field(None, description="How the value ends.", examples=["@example.com"])
    contains: Value | None = Field(None, description="A part of the value.", examples=["MicroMessenger"])
    regex: Regex | None = Field(
        None, description="An RE2 expression for the whole value.", examples=["v[0-9]+"]
    )
    in_: (
        Annotated[
            Annotated[tuple[Value, ...], Field(min_length=1), Tag(_VALUES)]
            | Annotated[ListReference, Tag(_LIST)],
            Discriminator(_values_or_list),
        ]
        | None
    ) = Field(
        None,
        alias="in",
        description="The values, one of which is the whole value; or {list: NAME}, the values of NAME.list.",
        examples=[["user-123", "user-456"], {"list": "vip-users"}],
    )
    range: Range | None = Field(None, description="The value is an integer of this range.")
    present: Bool | None = Field(
        None, description="Whether there is such a header, cookie or parameter at all."
    )

    @property
    def values(self) -> tuple[str, ...]:
        """The values of ``in`` that stand in the rule itself."""
        return self.in_ if isinstance(self.in_, tuple) else ()


class UriMatcher(Matcher):
    """A test of the request path, without its query string."""

    exact: UriPath | None = Field(None, description="The whole path.", examples=["/login"])
    prefix: UriPath | None = Field(
        None, description="How the path begins: /api also matches /apix.", examples=["/api/"]
    )
    regex: Regex | None = Field(
        None, description="An RE2 expression for the whole path.", examples=["/v2/(users|orders)/[0-9]+"]
    )


def _check_method_matcher(matcher: StringMatcher) -> StringMatcher:
    if matcher.range is not None or matcher.present is not None:
        operator = "present" if matcher.range is None else "range"
        raise invalid(f"{operator} means nothing for a method", "every request has one; use exact or in")
    if isinstance(matcher.in_, ListReference):
        raise invalid("a list means nothing for a method", "write the methods: [GET, HEAD]")
    for method in (matcher.exact, *matcher.values):
        if method is not None:
            check_method(method)
    return matcher


class Identity(Model):
    """What tells users apart: one of a header, a cookie, a query parameter and the client's address."""

    header: HeaderName | None = Field(
        None, description="The header that identifies a user.", examples=["x-user-id"]
    )
    cookie: CookieName | None = Field(
        None, description="The cookie that identifies a user.", examples=["uid"]
    )
    query: QueryName | None = Field(
        None, description="The query parameter that identifies a user.", examples=["uid"]
    )
    source_ip: Bool | None = Field(None, description="true: the client's address identifies a user.")

    def identities(self) -> list[str]:
        """Return the words for what identifies a user here."""
        return given(self, "header", "cookie", "query", "source_ip")

    @model_validator(mode="after")
    def _has_one_identity_at_most(self) -> Self:
        if self.source_ip is False:
            raise invalid("sourceIp: false means nothing", "remove it, or write sourceIp: true")
        if len(found := self.identities()) > 1:
            raise invalid(f"both {found[0]} and {found[1]}", "name the one that identifies a user")
        return self


class Percentage(Identity):
    """A share of the users, by a hash of what identifies them; of the requests, by chance, without identity.

    The same identity and salt choose the same users in every rule and every service; raising ``value`` only
    adds users.
    """

    value: Percent = Field(description="The share in percent, with up to four decimals.", examples=[5, 0.1])
    salt: Salt | None = Field(
        None,
        description="Rules with different salts choose users independently of each other.",
        examples=["checkout-test"],
    )

    @model_validator(mode="after")
    def _names_a_plain_parameter(self) -> Self:
        if self.query is not None and not re.fullmatch(r"[A-Za-z0-9_.~-]+", self.query):
            raise invalid(
                f"{quoted(self.query)} cannot identify users",
                "use letters, digits, '-', '_', '.' and '~'",
                "query",
            )
        return self

    @model_validator(mode="after")
    def _salts_an_identity(self) -> Self:
        if self.salt is not None and not self.identities():
            raise invalid("salt without an identity", "add header, cookie, query or sourceIp; or remove salt")
        return self


class Match(Model):
    """One alternative of a rule's ``match``: all keys given must hold."""

    uri: UriMatcher | None = Field(None, description="The path, without the query string.")
    method: Annotated[StringMatcher, AfterValidator(_check_method_matcher)] | None = Field(
        None, description="The HTTP method."
    )
    headers: Annotated[dict[HeaderName, StringMatcher], Field(max_length=100)] = Field(
        default_factory=dict,
        description="Tests by header name. All must hold.",
        examples=[{"x-release": {"exact": "canary"}}],
    )
    cookies: Annotated[dict[CookieName, StringMatcher], Field(max_length=100)] = Field(
        default_factory=dict,
        description="Tests by cookie name. All must hold.",
        examples=[{"release": {"exact": "canary"}}],
    )
    query: Annotated[dict[QueryName, StringMatcher], Field(max_length=100)] = Field(
        default_factory=dict,
        description="Tests by name of a query parameter. All must hold.",
        examples=[{"gray": {"exact": "1"}}],
    )
    source_ip: Annotated[tuple[Cidr, ...], Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="The client's address is in one of these networks.",
        examples=[["10.0.0.0/8", "2001:db8::/32"]],
    )
    device: Annotated[tuple[Device, ...], Field(min_length=1)] | None = Field(
        None,
        description="The client is one of these, by its User-Agent and client hints.",
        examples=[["ios", "android"]],
    )
    region: Annotated[tuple[Region, ...], Field(min_length=1, max_length=1000)] | None = Field(
        None,
        description="The region of the request is one of these (ISO 3166): CN, CN-SH, CN-* (any part of CN).",
        examples=[["CN", "CN-*"]],
    )
    percentage: Percentage | None = Field(None, description="A share of the users.")
    lane: Name | None = Field(
        None, description="The request is in this lane of lanes.yaml.", examples=["gray"]
    )
    schedule: Schedule | None = Field(None, description="The time is within this schedule.")
