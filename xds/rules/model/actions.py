"""What happens to the requests of a rule."""

from typing import Annotated, Self

import re2
from pydantic import Field, model_validator

from xds.documents.defect import invalid
from xds.rules.model.base import Model, given
from xds.rules.model.matching import Identity
from xds.rules.regex import Regex
from xds.rules.scalars import (
    Authority,
    BodyText,
    Duration,
    ErrorStatus,
    GrpcStatus,
    HeaderName,
    HeaderValue,
    Name,
    PositivePercent,
    RedirectStatus,
    ResponseStatus,
    RetryCondition,
    Scheme,
    Substitution,
    UriPath,
    Weight,
)


class Destination(Model):
    """A subset and its relative share of a rule's requests."""

    subset: Name = Field(description="The name of a subset of this document.", examples=["gray"])
    weight: Weight | None = Field(
        None, description="The share, relative to the sum of all weights of the rule.", examples=[5]
    )


class Sticky(Identity):
    """What identifies a user; ``ttl`` generates a missing cookie."""

    ttl: Duration | None = Field(
        None,
        description="Set the cookie where it is missing, for whole seconds such as 24h.",
        examples=["24h"],
    )

    @model_validator(mode="after")
    def _names_one_identity(self) -> Self:
        if not self.identities():
            raise invalid(
                "nothing identifies a user", "name a header, a cookie or a query parameter; or sourceIp: true"
            )
        if self.ttl is not None:
            if self.cookie is None:
                raise invalid("ttl without cookie", "only a cookie can be generated; remove ttl")
            if self.ttl.microseconds:
                raise invalid("a cookie lives for whole seconds", "such as ttl: 24h")
        return self


class Retries(Model):
    """When a request is tried again, and how often."""

    attempts: Annotated[int, Field(strict=True, ge=0, le=100)] = Field(
        description="How often a request is tried again at most; 0: never.", examples=[2]
    )
    per_try_timeout: Duration | None = Field(
        None,
        description="For each try, the first included. Default: the rule's timeout alone.",
        examples=["1s"],
    )
    retry_on: Annotated[tuple[RetryCondition, ...], Field(min_length=1)] = Field(
        ("connect-failure", "refused-stream", "unavailable", "cancelled"),
        description='Envoy\'s retry conditions, or status codes as text ("503").',
        examples=[["5xx", "reset", "connect-failure"]],
    )


class Mirror(Model):
    """A copy of the requests goes to a subset too; its answers are thrown away."""

    subset: Name = Field(description="The subset that gets the copies.", examples=["gray"])
    percentage: PositivePercent = Field(100, description="How many percent of the requests are copied.")


class Delay(Model):
    """Requests wait before they go on."""

    fixed_delay: Duration = Field(description="How long.", examples=["2s"])
    percentage: PositivePercent = Field(100, description="How many percent of the requests wait.")


class Abort(Model):
    """Requests are answered with an error, and go no further."""

    http_status: ErrorStatus | None = Field(None, description="The HTTP status code.", examples=[503])
    grpc_status: GrpcStatus | None = Field(
        None, description="The name of a gRPC status code.", examples=["UNAVAILABLE"]
    )
    percentage: PositivePercent = Field(100, description="How many percent of the requests get the error.")

    @model_validator(mode="after")
    def _has_one_status(self) -> Self:
        found = given(self, "http_status", "grpc_status")
        if len(found) != 1:
            raise invalid(
                "both httpStatus and grpcStatus" if found else "no status",
                "give one of httpStatus and grpcStatus",
            )
        return self


class Fault(Model):
    """Errors on purpose, to see how callers bear them."""

    delay: Delay | None = Field(None, description="Requests wait before they go on.")
    abort: Abort | None = Field(None, description="Requests are answered with an error.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise invalid("no fault", "give delay, abort or both")
        return self


_Changes = Annotated[dict[HeaderName, HeaderValue], Field(min_length=1, max_length=100)]


class HeaderChanges(Model):
    """Changes of headers: ``remove`` first, then ``set``, then ``add``."""

    set: _Changes | None = Field(
        None,
        description="Headers that get this value whether they are there or not.",
        examples=[{"x-release": "gray"}],
    )
    add: _Changes | None = Field(
        None,
        description="Headers that get one more line with this value.",
        examples=[{"x-via": "grayplane"}],
    )
    remove: Annotated[tuple[HeaderName, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="Headers that are taken away.", examples=[["x-internal"]]
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not given(self, "set", "add", "remove"):
            raise invalid("no change", "give set, add or remove")
        return self


class Headers(Model):
    """Changes of the headers of request and response."""

    request: HeaderChanges | None = Field(None, description="Before the request goes to the service.")
    response: HeaderChanges | None = Field(None, description="Before the response goes to the client.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.request is None and self.response is None:
            raise invalid("no change", "give request, response or both")
        return self


class UriRegex(Model):
    """A replacement in the path by a regular expression."""

    match: Regex = Field(
        description="An RE2 expression; every part of the path that it matches is replaced.",
        examples=["^/v1/(.*)$"],
    )
    rewrite: Substitution = Field(
        description=r"What stands there instead; \1 is the first group, \0 the whole match.",
        examples=[r"/v2/\1"],
    )

    @model_validator(mode="after")
    def _has_the_groups(self) -> Self:
        groups = int(re2.compile(self.match.encode()).groups)
        used = [
            int(digit) for digit in self.rewrite.replace("\\\\", "").split("\\")[1:] for digit in digit[:1]
        ]
        if used and max(used) > groups:
            raise invalid(
                f"\\{max(used)} means a group that the expression does not have",
                f"it has {groups}; put ( ) around what is to be kept",
            )
        return self


class Rewrite(Model):
    """What the service is asked for instead of what the client asked for."""

    uri: UriPath | None = Field(
        None,
        description="Replaces what uri.prefix of the alternative matched, else the whole path.",
        examples=["/v2/"],
    )
    uri_regex: UriRegex | None = Field(None, description="A replacement in the path.")
    authority: Authority | None = Field(
        None, description="The host that the service is asked for.", examples=["reviews.internal"]
    )

    @model_validator(mode="after")
    def _rewrites_something(self) -> Self:
        if not given(self, "uri", "uri_regex", "authority"):
            raise invalid("no rewrite", "give uri, uriRegex or authority")
        if self.uri is not None and self.uri_regex is not None:
            raise invalid("both uri and uriRegex", "give one of them")
        return self


class Redirect(Model):
    """Sends the client elsewhere. What is not given stays as the client asked."""

    uri: UriPath | None = Field(None, description="The path; the query string stays.", examples=["/new"])
    authority: Authority | None = Field(
        None, description="The host, with a port if it needs one.", examples=["gray.example.com"]
    )
    scheme: Scheme | None = Field(None, description="http or https.")
    redirect_code: RedirectStatus = Field(301, description="301, 302, 303, 307 or 308.")

    @model_validator(mode="after")
    def _leads_elsewhere(self) -> Self:
        if not given(self, "uri", "authority", "scheme"):
            raise invalid("leads nowhere else", "give uri, authority or scheme")
        return self


class DirectResponse(Model):
    """Answers without asking the service."""

    status: ResponseStatus = Field(description="The HTTP status code.", examples=[503])
    body: BodyText | None = Field(
        None,
        description="The text of the answer, of at most 4,096 bytes.",
        examples=["We are back at 6 o'clock."],
    )
