"""Where Nacos is, who we are to it, and which part of it is ours."""

from dataclasses import dataclass, field
from pathlib import Path

from xds.sources.deletion_guard import MassDeletion
from xds.sources.endpoint import DEFAULT_LOCALITIES, LocalitySources
from xds.sources.nacos.decryption import Decrypt

GRPC_PORT_OFFSET = 1000
"""Nacos serves gRPC on its HTTP port plus this."""


@dataclass(frozen=True, slots=True)
class NacosServer:
    """One Nacos server, by its HTTP port. An IPv6 address is in brackets."""

    host: str
    port: int

    @property
    def grpc_port(self) -> int:
        """The port of its gRPC service."""
        return self.port + GRPC_PORT_OFFSET

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS to Nacos, for HTTP and gRPC. Files are PEM.

    ``ca``: whom to trust; None: the system's authorities. ``cert`` and ``key``: the client certificate, if
    the server wants one. ``server_name``: the name in the server's certificate, if it is not the host's.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: set both or neither")


@dataclass(frozen=True, slots=True, kw_only=True)
class NacosSettings:
    """A namespace of a Nacos cluster. Times are in seconds. Raise ``ValueError`` for what can never work.

    ``server_addresses``: ``host:port`` of each server, comma-separated. ``namespace``: the namespace's id, ''
    for the public one. Credentials: ``username`` with ``password`` or ``password_file``, which is read again
    for every login, or ``access_key`` and ``secret_key``.

    ``poll``: time between two listings of documents and services. ``audit``: time within which every service
    is read again although nothing was announced. ``settle``: after a lost connection, how long what Nacos
    lacks is not taken for deleted. ``protect_threshold``: a service that loses more than this share of its
    serving instances at once keeps the lost ones; 1 turns the protection off. ``localities``: where the
    region and the zone of an instance are read from. ``decrypt``: makes text of encrypted configurations;
    without it they are not read.

    ``naming_groups``: the groups to take services from instead of ``naming_group``; see ``GroupMerge``.
    """

    server_addresses: str
    namespace: str = ""
    rules_group: str = "GRAY_GROUP"
    naming_group: str = "DEFAULT_GROUP"
    naming_groups: tuple[str, ...] = ()
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    request_timeout: float = 3.0
    poll: float = 2.0
    audit: float = 30.0
    settle: float = 30.0
    mass_deletion: MassDeletion = "wait"
    protect_threshold: float = 1.0
    localities: LocalitySources = DEFAULT_LOCALITIES
    decrypt: Decrypt | None = None
    servers: tuple[NacosServer, ...] = field(init=False)

    def __post_init__(self) -> None:
        addresses = [part.strip() for part in self.server_addresses.split(",")]
        object.__setattr__(self, "servers", tuple(_server(address) for address in addresses))
        if self.password and self.password_file:
            raise ValueError("set password or password_file, not both")
        if bool(self.username) != bool(self.password or self.password_file):
            raise ValueError("username and password go together: set both or neither")
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key go together: set both or neither")

    @property
    def config_tenant(self) -> str:
        """The namespace as Nacos's configuration service spells it."""
        return "" if self.namespace == "public" else self.namespace

    @property
    def naming_namespace(self) -> str:
        """The namespace as Nacos's naming service spells it."""
        return self.namespace or "public"

    @property
    def user(self) -> str:
        """Who we are to Nacos, for messages."""
        return self.username or self.access_key or "anonymous"


def _server(address: str) -> NacosServer:
    host, _, port = address.rpartition(":")
    well_formed = host and "/" not in host and (":" not in host or (host[0] == "[" and host[-1] == "]"))
    if not well_formed or not port.isdecimal():
        _, at, shown = address.rpartition("@")  # A password may stand before it.
        shown = f"…@{shown}" if at else address
        raise ValueError(f"Nacos server address {shown!r} is not host:port, such as 127.0.0.1:8848")
    if not 0 < int(port) < 65536 - GRPC_PORT_OFFSET:
        raise ValueError(
            f"Nacos server address {address!r}: its port must be between 1 and {65535 - GRPC_PORT_OFFSET}, "
            f"since gRPC is served {GRPC_PORT_OFFSET} above it"
        )
    return NacosServer(host, int(port))
