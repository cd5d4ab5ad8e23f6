"""The compose demo: what can be known of it without containers."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def test_who_has_no_login_finds_a_nacos_that_wants_none() -> None:
    """By default Nacos 3 wants one for the list of documents, and its console one that has yet to be made."""
    environment = _SERVICES["nacos"]["environment"]
    wanted = {environment.get(f"NACOS_AUTH_{of}ENABLE") for of in ("", "ADMIN_", "CONSOLE_")}
    users = [
        name for name, each in _SERVICES.items() if "GRAYPLANE_NACOS__USERNAME" in each.get("environment", {})
    ]
    assert (wanted, users) == ({"false"}, [])


def test_every_port_is_published_on_the_loopback_address_alone() -> None:
    published = [port for each in _SERVICES.values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_clients_outside_find_grpc_where_they_expect_it() -> None:
    published = {
        port.rpartition(":")[2]: port.split("}")[0].rpartition("-")[2] for port in _SERVICES["nacos"]["ports"]
    }
    assert int(published["9848"]) - int(published["8848"]) == 1000
