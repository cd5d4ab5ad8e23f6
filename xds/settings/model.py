"""What an operator sets: the shape, the defaults and the limits of every setting of the server.

Making a ``Settings`` in code reads nothing but its arguments. `xds.settings.load` is what reads
the settings file, the environment and the flags. `config/grayplane.yaml` explains every setting to
operators and holds the defaults written here.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from xds.rules.scalars import HeaderName
from xds.settings.http import Http
from xds.settings.proxies import Certificate, Edge, Group, Localities, MeshName, Sidecar
from xds.settings.rollouts import Rollouts
from xds.settings.section import IpAddress, NonEmpty, Section, Tls

if TYPE_CHECKING:
    from xds.sources.nacos.settings import NacosSettings


def _nacos_servers(text: str) -> str:
    from xds.sources.nacos.settings import NacosSettings  # noqa: PLC0415  # the Nacos SDK is slow to load

    NacosSettings(server_addresses=text)  # raises ValueError for what is no list of host:port
    return text


def _decryption(name: str) -> str:
    from xds.sources.nacos.decryption import load  # noqa: PLC0415  # as above

    load(name)  # raises ValueError for what cannot be loaded
    return name


def _identity(pattern: str) -> str:
    if not re.match("(uri|dns):.", pattern):
        raise ValueError(f"{pattern!r} is no identity: such as uri:spiffe://prod/edge or dns:edge.internal")
    words = re.findall(r"\{([^}]*)\}", pattern)
    if any(not re.fullmatch("[a-z]+", word) for word in words) or len(words) != len(set(words)):
        raise ValueError("each {word} has small letters alone and stands once")
    return pattern


class Files(Section):
    """Directories of the file source: rule documents, and the instances of each service."""

    rules: Path = Path("config/rules")
    services: Path = Path("config/services")


class NacosTls(Section):
    """TLS to Nacos, HTTP and gRPC. PEM files. Without ``ca``, the system's authorities are trusted."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: NonEmpty | None = None

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: set both or neither")
        return self


class Nacos(Section):
    """The Nacos source. Credentials are either ``username`` and ``password`` or the two keys.

    ``password_file`` stands for ``password``, and is read again for every login. ``decryption`` names the
    function, as `module:function`, that makes text of encrypted configurations. ``watch`` says of which
    services instances are read: those that a rule or a proxy needs, or all that are registered.
    """

    server: Annotated[str, AfterValidator(_nacos_servers)] | None = None
    namespace: str = ""
    rules_group: NonEmpty = "GRAY_GROUP"
    naming_group: NonEmpty = "DEFAULT_GROUP"
    naming_groups: tuple[NonEmpty, ...] = ()
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    access_key: str | None = None
    secret_key: SecretStr | None = None
    namespaces: tuple[NonEmpty, ...] = ()
    status_group: str = "GRAY_STATUS"
    mass_deletion: Literal["wait", "never", "at_once"] = "wait"
    protect_threshold: Annotated[float, Field(gt=0, le=1)] = 1.0
    watch: Literal["needed", "all"] = "needed"
    decryption: Annotated[str, AfterValidator(_decryption)] | None = None
    tls: NacosTls | None = None

    @model_validator(mode="after")
    def _groups_differ(self) -> Self:
        if self.status_group == self.rules_group:
            raise ValueError(f"status_group and rules_group are both {self.rules_group}")
        if self.namespace and self.namespaces:
            raise ValueError("set namespace, or namespaces for several, not both")
        if len(set(self.naming_groups)) < len(self.naming_groups):
            raise ValueError("a group stands twice in naming_groups")
        return self

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        if (self.username is None) != (self.password is None and self.password_file is None):
            raise ValueError("username and password go together: set both or neither")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key go together: set both or neither")
        return self

    def client_settings(self) -> tuple["NacosSettings", ...]:
        """Return the same for what talks to Nacos, one for each namespace; ``server`` must be set."""
        return tuple(self._client_settings(each) for each in self.namespaces or (self.namespace,))

    def _client_settings(self, namespace: str) -> "NacosSettings":
        from xds.sources.nacos.decryption import load  # noqa: PLC0415  # as above
        from xds.sources.nacos.settings import NacosSettings, Tls  # noqa: PLC0415  # as above

        assert self.server is not None
        return NacosSettings(
            server_addresses=self.server,
            namespace=namespace,
            mass_deletion=self.mass_deletion,
            protect_threshold=self.protect_threshold,
            decrypt=load(self.decryption) if self.decryption else None,
            tls=Tls(**self.tls.model_dump()) if self.tls else None,
            rules_group=self.rules_group,
            naming_group=self.naming_group,
            naming_groups=self.naming_groups,
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            password_file=self.password_file,
            access_key=self.access_key,
            secret_key=self.secret_key.get_secret_value() if self.secret_key else None,
        )


class MutualTls(Tls):
    """With ``client_ca``, clients must show a certificate that one of its authorities signed.

    ``crl`` is a file of the certificates that these took back.
    """

    client_ca: Path | None = None
    crl: Path | None = None

    @model_validator(mode="after")
    def _revoked_certificates_have_an_authority(self) -> Self:
        if self.crl is not None and self.client_ca is None:
            raise ValueError("crl is for client certificates: set client_ca, too")
        return self


Role = Literal["edge", "sidecar", "grpc-client"]


class Grant(Section):
    """What the owners of some client certificates may claim to be (``xds.server.Grant``)."""

    identity: Annotated[str, AfterValidator(_identity)]
    roles: tuple[Role, ...] | None = None
    groups: tuple[NonEmpty, ...] | None = None
    services: tuple[NonEmpty, ...] | None = None
    upstreams: tuple[NonEmpty, ...] | None = None
    namespaces: tuple[str, ...] | None = None
    status: bool = False


class Xds(Section):
    """Where proxies fetch their configuration (gRPC). Port 0 takes a free one.

    With more than one of ``processes``, so many serve streams beside the one that compiles.
    """

    address: IpAddress = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 18000
    processes: Annotated[int, Field(ge=1, le=256)] = 1
    tls: MutualTls | None = None
    grants: tuple[Grant, ...] = ()
    trusted_network: bool = False

    @model_validator(mode="after")
    def _clients_are_known_or_trusted(self) -> Self:
        certificates = self.tls is not None and self.tls.client_ca is not None
        if certificates and not self.grants:
            raise ValueError(
                "client certificates are required (tls.client_ca) and grants is empty: nobody would be served"
            )
        if self.grants and not certificates:
            raise ValueError("grants are for client certificates: set tls.client_ca, too")
        loopback = ipaddress.ip_address(self.address).is_loopback
        if not (loopback or certificates or self.trusted_network):
            raise ValueError(
                f"address {self.address} lets other machines read all configuration and be any proxy: "
                "set tls.client_ca and grants, or trusted_network: true if nobody else is on that network"
            )
        return self


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Limits(Section):
    """What one client may take before it loses its stream (``xds.server.limits``). Times in seconds."""

    message_bytes: Count = 8 << 20
    names: Count = 50_000
    types: Count = 64
    streams: Count = 50_000
    streams_per_node: Count = 1_000
    stall: Seconds = 60.0
    keepalive: Seconds = 30.0
    keepalive_timeout: Seconds = 20.0
    client_ping_interval: Seconds = 5.0
    connection_idle: Seconds | None = 300.0
    connection_age: Seconds | None = None


class Drain(Section):
    """How long a cluster outlives the last route that named it, for the requests still under way."""

    seconds: Annotated[float, Field(ge=0, le=3600)] = 5.0


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+/?", text):
        raise ValueError(f"{text!r} is no endpoint such as http://collector:4317")
    return text


class Tracing(Section):
    """Where traces of edits go: an OpenTelemetry collector, by OTLP over gRPC. Needs the extra ``otel``."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None


class Validation(Section):
    """An Envoy that is asked before a change is pushed: a path, or a name on the PATH (``xds.validation``).

    ``timeout`` is for one question, in seconds.
    """

    envoy: NonEmpty | None = None
    timeout: Annotated[float, Field(ge=1, le=300)] = 10.0


class Log(Section):
    """How Grayplane itself logs, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"


SectionT = TypeVar("SectionT", bound=Section)


def default_state_dir() -> Path:
    """Return the user's state directory by the XDG base directory specification."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "grayplane"


class Settings(BaseSettings):
    """All settings of a server."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="GRAYPLANE_", env_nested_delimiter="__"
    )

    source: Literal["files", "nacos"] = "files"
    files: Files = Files()
    nacos: Nacos = Nacos()
    xds: Xds = Xds()
    limits: Limits = Limits()
    http: Http = Http()
    edge: Edge = Edge()
    sidecar: Sidecar = Sidecar()
    groups: dict[str, Group] = {}
    certificates: tuple[Certificate, ...] = ()
    mesh_names: tuple[MeshName, ...] = ()
    locality: Localities = Localities()
    region_header: HeaderName = "x-region"
    bucket_by: HeaderName | None = None
    drain: Drain = Drain()
    rollouts: Rollouts = Rollouts()
    tracing: Tracing = Tracing()
    validation: Validation = Validation()
    log: Log = Log()
    state_dir: Path = Field(default_factory=default_state_dir)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments alone: the same code makes the same settings whatever the environment holds."""
        return (init_settings,)

    @model_validator(mode="after")
    def _nacos_has_a_server(self) -> Self:
        if self.source == "nacos" and self.nacos.server is None:
            raise ValueError("source is nacos, so nacos.server must say where it is, such as 127.0.0.1:8848")
        return self

    @model_validator(mode="after")
    def _sidecar_ports_differ(self) -> Self:
        named = {f"groups.{name}.sidecar": self.sidecar_of(name) for name in self.groups}
        for path, sidecar in {"sidecar": self.sidecar, **named}.items():
            if sidecar.outbound_port == sidecar.inbound_port:
                raise ValueError(
                    f"{path} would have outbound_port and inbound_port both {sidecar.inbound_port}"
                )
        return self

    @model_validator(mode="after")
    def _certificates_of_rest_clients_count(self) -> Self:
        if self.http.tls and self.http.tls.client_ca and not self.xds.grants:
            raise ValueError(
                "http.tls.client_ca is for REST discovery, of which xds.grants say who may claim what: set "
                "xds.tls.client_ca and xds.grants, too"
            )
        return self

    @model_validator(mode="after")
    def _https_is_whole(self) -> Self:
        edges = {"edge": self.edge} | {f"groups.{name}.edge": self.edge_of(name) for name in self.groups}
        for path, edge in edges.items():
            if edge.https_port == edge.port:
                raise ValueError(f"{path} would have port and https_port both {edge.port}")
            if edge.https_port is not None and not self.certificates:
                raise ValueError(f"{path} has https_port {edge.https_port}, and there is no certificate")
        if self.certificates and all(edge.https_port is None for edge in edges.values()):
            raise ValueError("certificates are given and no edge has https_port: set edge.https_port")
        authenticated = self.xds.tls is not None and self.xds.tls.client_ca is not None
        if self.certificates and not authenticated and not ipaddress.ip_address(self.xds.address).is_loopback:
            raise ValueError(
                f"private keys would go out by {self.xds.address} to whoever asks: with certificates, set "
                "xds.tls with a client_ca, or leave xds.address at 127.0.0.1"
            )
        return self

    def namespace_of(self, group: str) -> str:
        """Return the namespace of a proxy group whose nodes name none."""
        return self.groups[group].namespace if group in self.groups else ""

    def aliases_of(self, service: str) -> tuple[str, ...]:
        """Return the names in the mesh that the operator's patterns give a service."""
        return tuple(name for pattern in self.mesh_names if (name := pattern.of(service)))

    def edge_of(self, group: str) -> Edge:
        """Return the edge listener of a proxy group."""
        own = self.groups[group].edge if group in self.groups else Edge()
        return _inherit(own, self.edge)

    @property
    def naming_groups(self) -> tuple[str, ...] | None:
        """The groups that instances come from, the preferred first; None: the source has no groups."""
        return self.nacos.naming_groups or (self.nacos.naming_group,) if self.source == "nacos" else None

    @property
    def stated_naming_groups(self) -> tuple[str, ...] | None:
        """The same for an author's command; None also if no setting names groups: the server's may."""
        stated = self.nacos.model_fields_set & {"naming_group", "naming_groups"}
        return self.naming_groups if stated else None

    def exact_only(self, gateway: str) -> bool:
        """Whether a proxy group cannot serve wildcard hosts, since its routes are found by the whole host."""
        return self.edge_of(gateway).routes != "shared"

    def sidecar_of(self, group: str) -> Sidecar:
        """Return the sidecar listeners of a proxy group."""
        own = self.groups[group].sidecar if group in self.groups else Sidecar()
        return _inherit(own, self.sidecar)


def _inherit(own: SectionT, general: SectionT) -> SectionT:
    given = {name: getattr(own, name) for name in own.model_fields_set}
    return general.model_copy(update=given)
