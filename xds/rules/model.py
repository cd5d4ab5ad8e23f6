"""The gray-rule document as typed values (see docs/rules.md for the language).

Every model is frozen and refuses unknown fields. Field names are Python's; aliases are the language's words.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Base of all rule models: frozen, closed, camelCase on the outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Range(Model):
    """Integers from ``start`` up to, but not including, ``end``."""

    start: int
    end: int


class StringMatcher(Model):
    """One test of one string: exactly one of the operators, optionally turned round by ``not``."""

    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    contains: str | None = None
    regex: str | None = None
    in_: tuple[str, ...] | None = Field(None, alias="in")
    range: Range | None = None
    present: bool | None = None
    not_: bool = Field(False, alias="not")
    ignore_case: bool = False


class UriMatcher(Model):
    """A test of the request path, without its query string."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    not_: bool = Field(False, alias="not")
    ignore_case: bool = False


class Match(Model):
    """One alternative of a rule's ``match``: all keys given must hold."""

    uri: UriMatcher | None = None
    method: StringMatcher | None = None
    headers: dict[str, StringMatcher] = {}
    cookies: dict[str, StringMatcher] = {}
    query: dict[str, StringMatcher] = {}


class Destination(Model):
    """A subset and its relative share of a rule's requests."""

    subset: str
    weight: int | None = Field(None, ge=0)


class Sticky(Model):
    """What identifies a user: one of ``header`` and ``cookie``; ``ttl`` generates a missing cookie."""

    header: str | None = None
    cookie: str | None = None
    ttl: timedelta | None = None


class HttpRule(Model):
    """One entry of ``http``: the first whose match holds decides. An empty ``match`` matches everything."""

    name: str
    match: tuple[Match, ...] = ()
    route: Annotated[tuple[Destination, ...], Field(min_length=1)]
    sticky: Sticky | None = None
    timeout: timedelta | None = None


class Subset(Model):
    """A version of a service: the instances whose metadata has all these labels."""

    labels: Annotated[dict[str, str], Field(min_length=1)]


class RuleDocument(Model):
    """The gray rules of one service.

    A valid document names its ``baseline`` whenever it has subsets, and every subset its rules use.
    Without subsets all requests go to all instances.
    """

    service: str
    enabled: bool = True
    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ("edge",)
    subsets: dict[str, Subset] = {}
    baseline: str | None = None
    http: tuple[HttpRule, ...] = ()
