"""How proxies talk to the instances of a service or a subset. Words and meaning are Istio's."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xds.documents.defect import invalid
from xds.rules.model.base import Model, given
from xds.rules.scalars import (
    Bool,
    CookieName,
    Duration,
    FilePath,
    HeaderName,
    HostName,
    Percent,
    PositiveInt32,
    QueryName,
    SubjectAltName,
    UInt32,
    UriPath,
)


class Tls(Model):
    """TLS towards the instances."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL"] = Field(
        description="DISABLE: none; SIMPLE: the proxy checks the instance; MUTUAL: both show a certificate."
    )
    sni: HostName | None = Field(
        None, description="The name asked for in the handshake.", examples=["reviews.internal"]
    )
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Field(min_length=1, max_length=100)] | None = (
        Field(
            None,
            description="The instance's certificate has one of these names.",
            examples=[["reviews.internal", "spiffe://example.com/reviews"]],
        )
    )
    ca_certificates: FilePath | None = Field(
        None,
        description="A file on the proxy's machine, in PEM, of who may sign. Default: "
        "/etc/ssl/certs/ca-certificates.crt.",
        examples=["/etc/certs/ca.pem"],
    )
    client_certificate: FilePath | None = Field(
        None, description="A file on the proxy's machine, in PEM.", examples=["/etc/certs/client.pem"]
    )
    private_key: FilePath | None = Field(
        None, description="A file on the proxy's machine, in PEM.", examples=["/etc/certs/client.key"]
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = ("sni", "subject_alt_names", "ca_certificates", "client_certificate", "private_key")
        found = given(self, *names)
        own = given(self, "client_certificate", "private_key")
        if self.mode == "DISABLE" and found:
            raise invalid(f"{found[0]} means nothing with mode DISABLE", "remove it, or use SIMPLE or MUTUAL")
        if self.mode == "SIMPLE" and own:
            raise invalid(f"{own[0]} means nothing with mode SIMPLE", "use mode: MUTUAL")
        if self.mode == "MUTUAL" and len(own) < 2:
            raise invalid("MUTUAL without a certificate", "give clientCertificate and privateKey")
        return self


class HttpCookie(Model):
    """A cookie that is hashed; generated where it is missing if it has a ``ttl``."""

    name: CookieName = Field(description="The cookie.", examples=["uid"])
    ttl: Duration | None = Field(
        None, description="Set the cookie where it is missing, for whole seconds.", examples=["1h"]
    )

    @model_validator(mode="after")
    def _lives_for_seconds(self) -> Self:
        if self.ttl is not None and self.ttl.microseconds:
            raise invalid("a cookie lives for whole seconds", "such as ttl: 24h")
        return self


class ConsistentHash(Model):
    """Requests with the same value go to the same instance, as long as instances stay."""

    http_header_name: HeaderName | None = Field(None, description="The header.", examples=["x-user-id"])
    http_cookie: HttpCookie | None = Field(None, description="The cookie.")
    http_query_parameter_name: QueryName | None = Field(
        None, description="The query parameter.", examples=["uid"]
    )
    use_source_ip: Bool | None = Field(None, description="true: the client's address.")

    @model_validator(mode="after")
    def _hashes_one_thing(self) -> Self:
        names = ("http_header_name", "http_cookie", "http_query_parameter_name", "use_source_ip")
        found = given(self, *names)
        if len(found) != 1:
            raise invalid(
                f"both {found[0]} and {found[1]}" if found else "nothing to hash",
                "give one of httpHeaderName, httpCookie, httpQueryParameterName and useSourceIp",
            )
        return self


class Warmup(Model):
    """New instances get their share of requests little by little."""

    duration: Duration = Field(description="How long it takes to the full share.", examples=["60s"])
    minimum_percent: Percent = Field(10, description="The part of the share that they begin with.")


class LocalityLbSetting(Model):
    """A proxy sends requests to the instances of its own zone, as long as there are enough healthy ones."""

    enabled: Bool = Field(True, description="false: zones do not count.")
    min_local_instances: PositiveInt32 = Field(
        1,
        description="With fewer healthy ones in its zone, a proxy sends requests to all zones, by weight.",
    )


class LoadBalancer(Model):
    """Which instance gets a request."""

    simple: Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"] | None = Field(
        None, description="Default: LEAST_REQUEST."
    )
    consistent_hash: ConsistentHash | None = Field(
        None, description="Requests with the same value go to the same instance."
    )
    warmup: Warmup | None = Field(None, description="New instances get their share little by little.")
    locality_lb_setting: LocalityLbSetting | None = Field(
        None, description="A proxy prefers the instances of its own zone."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if not given(self, "simple", "consistent_hash", "warmup", "locality_lb_setting"):
            raise invalid("no load balancer", "give simple, consistentHash, warmup or localityLbSetting")
        if self.simple and self.consistent_hash:
            raise invalid("both simple and consistentHash", "give one of them")
        if self.warmup and (self.consistent_hash or self.simple == "RANDOM"):
            other = "consistentHash" if self.consistent_hash else "RANDOM"
            raise invalid(f"warmup means nothing with {other}", "use ROUND_ROBIN or LEAST_REQUEST")
        if self.consistent_hash and self.locality_lb_setting:
            hint = "a hash chooses among the instances of all zones"
            raise invalid("localityLbSetting means nothing with consistentHash", hint)
        return self


class TcpPool(Model):
    """Limits of connections."""

    max_connections: PositiveInt32 | None = Field(
        None, description="Open at once, of one proxy to all instances."
    )
    connect_timeout: Duration | None = Field(
        None, description="For a new connection. Default: 1s.", examples=["1s"]
    )
    idle_timeout: Duration | None = Field(
        None,
        description="After which an idle connection is closed. Default: 4s, over HTTP/2 1h.",
    )
    max_connection_duration: Duration | None = Field(None, description="After which a connection is closed.")


class HttpPool(Model):
    """Limits of requests."""

    http1_max_pending_requests: PositiveInt32 | None = Field(
        None, alias="http1MaxPendingRequests", description="That wait for a connection, of one proxy."
    )
    http2_max_requests: PositiveInt32 | None = Field(
        None, alias="http2MaxRequests", description="Under way at once, of one proxy."
    )
    max_requests_per_connection: PositiveInt32 | None = Field(
        None, description="After which a connection is closed; 1: no keep-alive."
    )
    max_retries: UInt32 | None = Field(None, description="Under way at once, of one proxy.")
    max_concurrent_streams: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)] | None = Field(
        None, description="Of one HTTP/2 connection."
    )


class ConnectionPool(Model):
    """Limits of what a proxy asks of the instances. Default: none."""

    tcp: TcpPool | None = Field(None, description="Limits of connections.")
    http: HttpPool | None = Field(None, description="Limits of requests.")

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.tcp is None and self.http is None:
            raise invalid("no limit", "give tcp, http or both")
        return self


class OutlierDetection(Model):
    """Instances that fail again and again get no requests for a while."""

    consecutive5xx_errors: UInt32 | None = Field(
        None,
        alias="consecutive5xxErrors",
        description="Answers with 5xx in a row, failed connections included. 0: do not count. Default: 5.",
        examples=[5],
    )
    consecutive_gateway_errors: UInt32 | None = Field(
        None, description="Answers with 502, 503 or 504 in a row. 0: do not count. Default: 0."
    )
    interval: Duration | None = Field(None, description="Between two looks. Default: 10s.", examples=["10s"])
    base_ejection_time: Duration | None = Field(
        None, description="How long an instance is left out, times how often it was. Default: 30s."
    )
    max_ejection_percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = Field(
        None, description="How many percent of the instances may be left out at once. Default: 100."
    )
    min_health_percent: Annotated[int, Field(strict=True, ge=0, le=100)] | None = Field(
        None,
        description="With fewer healthy instances in percent, requests go to all. Default: 1, so only "
        "when there is none; 0: never.",
    )


class HealthCheck(Model):
    """Proxies ask each instance whether it is well.

    Over HTTP with ``path``. Without it by gRPC's health service if the protocol is grpc, else by connecting.
    """

    path: UriPath | None = Field(
        None, description="Answers 200 if the instance is well.", examples=["/healthz"]
    )
    interval: Duration = Field(description="Between two checks.", examples=["5s"])
    timeout: Duration = Field(description="For the answer.", examples=["1s"])
    healthy_threshold: PositiveInt32 = Field(
        1, description="Good answers in a row until an instance is well."
    )
    unhealthy_threshold: PositiveInt32 = Field(2, description="Bad answers in a row until it is not.")


class TrafficPolicy(Model):
    """How proxies talk to instances. A key of a subset's replaces the whole key of the service's."""

    protocol: Literal["http", "http2", "grpc", "auto"] | None = Field(
        None,
        description=(
            "What the instances speak: http is HTTP/1.1, http2 and grpc are HTTP/2, auto is what the client "
            "speaks. Default: the instances' metadata `protocol`, else http."
        ),
        examples=["grpc"],
    )
    tls: Tls | None = Field(None, description="TLS towards the instances. Default: none.")
    load_balancer: LoadBalancer | None = Field(None, description="Which instance gets a request.")
    connection_pool: ConnectionPool | None = Field(None, description="Limits. Default: none.")
    outlier_detection: OutlierDetection | None = Field(
        None,
        description="Instances that fail get no requests for a while. Default: where there is a fallback, "
        "those that cannot be connected to.",
    )
    health_check: HealthCheck | None = Field(
        None, description="Proxies ask each instance whether it is well. Default: off."
    )

    def over(self, general: "TrafficPolicy") -> "TrafficPolicy":
        """Return this policy of a subset with what it leaves out taken from that of the service."""
        own = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return general.model_copy(update=own)
