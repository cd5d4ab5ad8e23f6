"""What an operator sets of proxies: their listeners, certificates and names, by group."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from xds.rules.scalars import Duration
from xds.settings.section import IpAddress, NonEmpty, Port, Section, Tls
from xds.sources.endpoint import LocalitySources, locality_source_problem


def _not_a_tunnel(protocol: str) -> str:
    if protocol.lower().startswith("connect"):
        raise ValueError(f"{protocol} opens a tunnel to any address; it is no upgrade")
    return protocol


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port, such as otel-collector:4317")
    return text


def _listed(value: object) -> object:
    """Read ``a,b``, as a flag gives several values, as the list that a file has."""
    return tuple(value.split(",")) if isinstance(value, str) else value


Upgrade = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9./+-]*$"), AfterValidator(_not_a_tunnel)]
"""A protocol that the header ``upgrade`` names."""


class _Listeners(Section):
    """What edges and sidecars have in common (``xds.compiler.connection_managers.HttpSettings``).

    ``access_log`` is a path on the proxy's machine, for JSON lines.
    """

    address: IpAddress = "127.0.0.1"
    access_log: NonEmpty | None = None
    rule_stats: bool = False
    tracing: Annotated[str, AfterValidator(_host_and_port)] | None = None
    tracing_sampling: Annotated[float, Field(ge=0, le=100)] = 1.0
    escaped_slashes: Literal["keep", "redirect", "decode", "reject"] = "keep"
    http10: bool = False
    http10_host: NonEmpty | None = None
    upgrades: Annotated[tuple[Upgrade, ...], BeforeValidator(_listed)] = ("websocket",)

    @model_validator(mode="after")
    def _host_is_of_use(self) -> Self:
        if self.http10_host is not None and not self.http10:
            raise ValueError("http10_host is for HTTP/1.0: set http10 to true, too")
        return self


class Edge(_Listeners):
    """The listener of edge proxies, and how routes reach it (``xds.compiler.route_sources``)."""

    port: Port = 10000
    escaped_slashes: Literal["keep", "redirect", "decode", "reject"] = "redirect"
    routes: Literal["shared", "scoped"] = "shared"
    trusted_hops: Annotated[int, Field(ge=0, le=100)] = 0
    https_port: Port | None = None
    https_redirect: bool = True
    https_redirect_port: Port = 443
    hsts: Annotated[int, Field(ge=1, le=10 * 365 * 24 * 3600)] | None = None


class Sidecar(_Listeners):
    """The listeners of sidecars: what the application calls out by, and what calls reach it by."""

    outbound_port: Port = 15001
    inbound_port: Port = 15006
    routes: Literal["shared", "scoped", "lazy"] = "shared"


class Certificate(Tls):
    """A certificate of edges with ``https_port``, for the hosts that it names.

    ``gateways`` are the edge groups that serve it; None: all.
    """

    gateways: Annotated[tuple[NonEmpty, ...], Field(min_length=1)] | None = None


def _locality_source(text: str) -> str:
    if problem := locality_source_problem(text):
        raise ValueError(problem)
    return text


class Localities(Section):
    """Where the region and the zone of instances are read from (``xds.sources.endpoint``)."""

    region: Annotated[str, AfterValidator(_locality_source)] = "metadata.region"
    zone: Annotated[str, AfterValidator(_locality_source)] = "metadata.zone"

    def sources(self) -> LocalitySources:
        """Return the same for the sources of instances."""
        return LocalitySources(self.region, self.zone)


class MeshName(Section):
    """A further name in the mesh for services whose whole name matches ``pattern``.

    ``\\1`` in ``name`` stands for the first group of the pattern.
    """

    pattern: NonEmpty
    name: NonEmpty

    @model_validator(mode="after")
    def _is_an_expression(self) -> Self:
        try:
            found = re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from None
        try:
            re.compile(f"(?:{self.pattern})|").sub(self.name, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"name {self.name!r} does not fit {found.pattern!r}: {error}") from None
        return self

    def of(self, service: str) -> str | None:
        """Return the name that it gives a service, None if it gives none."""
        found = re.fullmatch(self.pattern, service)
        return found.expand(self.name) if found else None


_PROXIES = re.compile(r"([1-9][0-9]{0,5})(%?)")


class Stage(Section):
    """Which proxies of a group get a change at one stage of a push, beside those of the stages before.

    ``proxies`` is a number, or a share such as ``10%``; or ``labels`` of ``node.metadata`` choose them.
    ``soak`` is how long they must have it before the next stage begins.
    """

    proxies: Annotated[str, BeforeValidator(str)] | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    soak: Duration = timedelta(0)

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if (self.proxies is None) == (not self.labels):
            raise ValueError("say which proxies by one of proxies and labels")
        if self.proxies is not None:
            found = _PROXIES.fullmatch(self.proxies)
            if found is None or (found[2] and int(found[1]) > 100):
                raise ValueError(f"proxies is {self.proxies!r}; it is a number, or a share such as 10%")
        return self

    @property
    def count(self) -> int | None:
        """How many proxies; None if it is not a number that chooses them."""
        return int(self.proxies) if self.proxies is not None and not self.proxies.endswith("%") else None

    @property
    def share(self) -> float | None:
        """Which share of the proxies, in percent; None if it is not a share that chooses them."""
        return float(self.proxies[:-1]) if self.proxies is not None and self.proxies.endswith("%") else None


class Group(Section):
    """What one proxy group (Envoy's ``node.cluster``) has otherwise; what it leaves out is inherited.

    ``namespace`` is where its rules and services are, if its nodes do not say (``node.metadata.namespace``).
    ``stages`` are those in which changes are pushed to its proxies; without, all get them at once.
    """

    namespace: str = ""
    stages: tuple[Stage, ...] = ()
    edge: Edge = Edge()
    sidecar: Sidecar = Sidecar()

    @model_validator(mode="after")
    def _stages_end_with_all(self) -> Self:
        if self.stages and self.stages[-1].share != 100:
            raise ValueError("the last of stages is for all proxies: {proxies: 100%}")
        return self
