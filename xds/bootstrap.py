"""Bootstraps: the file a proxy or gRPC client starts with, saying who it is and where Grayplane is.

The files in ``envoy/`` can be used as they are. Filling one in replaces single values in its text, so that
what comes out has the same layout and comments: there is no second template to keep in step.

Formats: Envoy's ``envoy.config.bootstrap.v3.Bootstrap`` as YAML, and gRPC's xDS bootstrap (gRFC A27).
"""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml

from xds.package_data import package_data

_Path = tuple[str | int, ...]

_ADMIN_PORT: _Path = ("admin", "address", "socket_address", "port_value")
_ADS_ADDRESS: _Path = (
    *("static_resources", "clusters", 0, "load_assignment", "endpoints", 0, "lb_endpoints", 0),
    *("endpoint", "address", "socket_address"),
)
_GRPC_SERVER: _Path = ("xds_servers", 0, "server_uri")
_GRPC_CREDENTIALS: _Path = ("xds_servers", 0, "channel_creds")


class BootstrapKind(StrEnum):
    """What the bootstrap is for."""

    EDGE = "edge"
    SIDECAR = "sidecar"
    GRPC_CLIENT = "grpc-client"


_FILES = {
    BootstrapKind.EDGE: "envoy/edge.yaml",
    BootstrapKind.SIDECAR: "envoy/sidecar.yaml",
    BootstrapKind.GRPC_CLIENT: "envoy/grpc-client.json",
}


class BootstrapError(ValueError):
    """No bootstrap can be made of these values; the message says which one to mend."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a proxy or gRPC client shows its certificate to Grayplane, and checks Grayplane's.

    ``directory`` holds ``tls.crt``, ``tls.key`` and ``ca.crt``, as cert-manager and Kubernetes lay them out;
    ``secrets`` is where the files of ``envoy_secrets`` will be. Grayplane's certificate must be for
    ``server_name``.
    """

    directory: Path
    secrets: Path
    server_name: str


@dataclass(frozen=True, slots=True)
class Values:
    """What to fill in; None leaves what the file says.

    ``id`` is ``node.id``, unique for every proxy and every process of a gRPC client. ``xds`` is host and
    port of Grayplane. ``service``, ``upstreams`` and ``app_port`` are a sidecar's: the application's service,
    the services it calls, and its port on 127.0.0.1. ``zone`` and its ``region`` are where the node runs
    (``node.locality``). Without ``tls``, Grayplane is spoken to in plain text.
    """

    id: str | None = None
    cluster: str | None = None
    xds: tuple[str, int] | None = None
    admin_port: int | None = None
    service: str | None = None
    upstreams: Sequence[str] | None = None
    app_port: int | None = None
    region: str | None = None
    zone: str | None = None
    tls: ClientTls | None = None


def bootstrap(kind: BootstrapKind, values: Values) -> str:
    """Return the text of a bootstrap, filled in.

    Raise ``BootstrapError`` for a value that the kind has no place for, an empty one, or a gRPC client
    without id.
    """
    _check(kind, values)
    text = package_data(_FILES[kind]).read_text(encoding="utf-8")
    replacements = {path: value for path, value in _places(kind, values).items() if value is not None}
    text = _replace(text, replacements)
    if (values.region or values.zone) and kind is not BootstrapKind.GRPC_CLIENT:
        text = _with_locality(text, values)
    return text if values.tls is None or kind is BootstrapKind.GRPC_CLIENT else _with_tls(text, values.tls)


_CERTIFICATE, _AUTHORITY = "grayplane-certificate", "grayplane-authority"


def envoy_secrets(tls: ClientTls) -> Mapping[str, str]:
    """Return the files, by name, that a bootstrap with TLS has Envoy read its secrets from (SDS).

    Envoy reads certificate and key again when files are moved into their directory. Of a secret in the
    bootstrap itself it would not.
    """
    watched = f"    watched_directory: {{path: {json.dumps(str(tls.directory))}}}\n"
    chain, key, authority = (_file(tls.directory / name) for name in ("tls.crt", "tls.key", "ca.crt"))
    certificate = f"  tls_certificate:\n    certificate_chain: {chain}\n    private_key: {key}\n{watched}"
    validation = f"  validation_context:\n    trusted_ca: {authority}\n{watched}"
    return {
        f"{_CERTIFICATE}.yaml": _secret(_CERTIFICATE, certificate),
        f"{_AUTHORITY}.yaml": _secret(_AUTHORITY, validation),
    }


def _secret(name: str, content: str) -> str:
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return f'resources:\n- "@type": {kind}\n  name: {name}\n{content}'


def _file(path: Path) -> str:
    return f"{{filename: {json.dumps(str(path))}}}"


_TRANSPORT_SOCKET = """\
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          {sni}
          common_tls_context:
            tls_params: {{tls_minimum_protocol_version: TLSv1_2}}
            alpn_protocols: [h2]
            # By SDS from files: renewed certificates are read again without a restart.
            tls_certificate_sds_secret_configs:
              - name: {certificate}
                sds_config: {{resource_api_version: V3, path_config_source: {{path: {certificate_path}}}}}
            combined_validation_context:
              default_validation_context:
                match_typed_subject_alt_names:
                  - {{san_type: {san_type}, matcher: {{exact: {name}}}}}
              validation_context_sds_secret_config:
                name: {authority}
                sds_config: {{resource_api_version: V3, path_config_source: {{path: {authority_path}}}}}
"""
_BEFORE = "      load_assignment:\n"


def _with_tls(text: str, tls: ClientTls) -> str:
    """Give the cluster of Grayplane a transport socket."""
    name = json.dumps(tls.server_name)
    is_ip = _is_ip(tls.server_name)
    socket = _TRANSPORT_SOCKET.format(
        sni="# An address: no server name is sent." if is_ip else f"sni: {name}",
        certificate=_CERTIFICATE,
        certificate_path=json.dumps(str(tls.secrets / f"{_CERTIFICATE}.yaml")),
        authority=_AUTHORITY,
        authority_path=json.dumps(str(tls.secrets / f"{_AUTHORITY}.yaml")),
        san_type="IP_ADDRESS" if is_ip else "DNS",
        name=name,
    )
    before, found, after = text.partition(_BEFORE)
    assert found, "the cluster of Grayplane has load_assignment"
    return before + socket + found + after


_LOCAL = "local"
_LOCAL_CLUSTER = """\
    - name: {name} # this proxy alone: zone-aware load balancing compares the zones of instances with its own
      type: STATIC
      load_assignment:
        cluster_name: {name}
        endpoints:
          - locality: {locality}
            lb_endpoints:
              - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}}}
"""


def _with_locality(text: str, values: Values) -> str:
    """Say where an Envoy runs, and give it the cluster that its zone-aware load balancing needs."""
    locality = json.dumps(_locality(values))
    cluster = _LOCAL_CLUSTER.format(name=_LOCAL, locality=locality)
    for before, more in (
        ("\nadmin:\n", f"  locality: {locality}\n"),
        ("  load_stats_config:\n", f"  local_cluster_name: {_LOCAL}\n"),
        ('\n# Envoy\'s "Configuring Envoy as an edge proxy"', cluster),
    ):
        at = text.find(before)
        text = text + more if at < 0 else text[:at] + more + text[at:]
    return text


def _locality(values: Values) -> Mapping[str, str]:
    given = {"region": values.region, "zone": values.zone}
    return {name: value for name, value in given.items() if value}


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _places(kind: BootstrapKind, values: Values) -> Mapping[_Path, object]:
    host, port = values.xds or (None, None)
    places: dict[_Path, object] = {("node", "id"): values.id, ("node", "cluster"): values.cluster}
    if kind is BootstrapKind.GRPC_CLIENT:
        places["node", "locality"] = _locality(values) or None
        places[_GRPC_SERVER] = _authority(*values.xds) if values.xds else None
        places[_GRPC_CREDENTIALS] = _grpc_credentials(values.tls) if values.tls else None
    else:
        places[*_ADS_ADDRESS, "address"] = host
        places[*_ADS_ADDRESS, "port_value"] = port
        places[_ADMIN_PORT] = values.admin_port
    if kind is BootstrapKind.SIDECAR:
        places["node", "metadata", "service"] = values.service
        places["node", "metadata", "upstreams"] = (
            list(values.upstreams) if values.upstreams is not None else None
        )
        places["node", "metadata", "port"] = values.app_port
    return places


def _check(kind: BootstrapKind, values: Values) -> None:
    texts = ("id", "cluster", "service", "region", "zone")
    for name, value in ((name, getattr(values, name)) for name in texts):
        if value is not None and not value.strip():
            raise BootstrapError(f"{name} is empty: leave it out, or say what it is")
    of_sidecars = (values.service, values.upstreams, values.app_port)
    if kind is not BootstrapKind.SIDECAR and of_sidecars != (None, None, None):
        raise BootstrapError(f"service, upstream and app port are a sidecar's; this is for {kind}")
    if kind is not BootstrapKind.GRPC_CLIENT:
        return
    if values.admin_port is not None:
        raise BootstrapError("a gRPC client has no admin port")
    if values.id is None:
        # Limits and status are told by it, and many processes start from one file.
        raise BootstrapError("a gRPC client needs an id of its own for every process, such as the pod's name")


def _grpc_credentials(tls: ClientTls) -> list[object]:
    """Return TLS credentials (gRFC A65), which gRPC reads again when the files change."""
    config = {
        "ca_certificate_file": str(tls.directory / "ca.crt"),
        "certificate_file": str(tls.directory / "tls.crt"),
        "private_key_file": str(tls.directory / "tls.key"),
    }
    return [{"type": "tls", "config": config}]


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _replace(text: str, replacements: Mapping[_Path, object]) -> str:
    """Replace values of a YAML or JSON text by the JSON of others, from the last to the first."""
    root: yaml.Node = yaml.compose(text, Loader=yaml.SafeLoader)  # type: ignore[assignment]  # never empty
    spans = [(*_span(root, path), json.dumps(value)) for path, value in replacements.items()]
    for start, end, value in sorted(spans, reverse=True):
        text = text[:start] + value + text[end:]
    return text


def _span(root: yaml.Node, path: _Path) -> tuple[int, int]:
    node = root
    for step in path:
        if isinstance(node, yaml.MappingNode):
            node = next(value for key, value in node.value if key.value == step)
        else:
            node = node.value[step]
    return node.start_mark.index, node.end_mark.index
