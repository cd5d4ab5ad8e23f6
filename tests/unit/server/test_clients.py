"""What is kept and logged of clients."""

import structlog

from xds.cache import Resource
from xds.protocol import Acked, Rejected
from xds.server import Client, Clients
from xds.type_urls import CLUSTER
from xds.wire import Node

CLIENT = Client(Node(id="proxy-1", cluster="edge"), "ipv4:127.0.0.1:1", "ADS/Delta")


def cluster(name: str) -> Resource:
    return Resource.of(CLUSTER, name, b"", origins=(f"{name}.yaml",))


def test_clients_come_and_go() -> None:
    clients = Clients()
    clients.connected(CLIENT)
    assert list(clients.connected_now) == [CLIENT]
    clients.disconnected(CLIENT)
    assert not clients.connected_now


def test_the_last_word_on_a_type_is_kept() -> None:
    clients = Clients()
    clients.connected(CLIENT)
    rejected = Rejected(CLUSTER, {"a": cluster("a")}, 3, "bad")
    clients.answered(CLIENT, rejected)
    status = clients.connected_now[CLIENT].types[CLUSTER]
    assert status.rejection is rejected
    clients.answered(CLIENT, Acked(CLUSTER, {"a": cluster("a")}))
    assert (status.acknowledged, status.rejected) == (1, 1)
    assert clients.connected_now[CLIENT].types[CLUSTER].rejection is None


def test_a_rejection_is_logged_with_the_rules_that_it_concerns() -> None:
    clients = Clients()
    clients.connected(CLIENT)
    with structlog.testing.capture_logs() as logs:
        clients.answered(CLIENT, Rejected(CLUSTER, {"a": cluster("a"), "gone": None}, 3, "bad"))
    [log] = logs
    assert log["log_level"] == "error"
    assert (log["node"], log["group"], log["type"]) == ("proxy-1", "edge", "Cluster")
    assert (log["resources"], log["concerns"], log["reason"]) == (["a", "gone"], ["a.yaml"], "bad")


def test_a_rejection_of_very_many_resources_is_logged_in_short() -> None:
    clients = Clients()
    clients.connected(CLIENT)
    with structlog.testing.capture_logs() as logs:
        clients.answered(CLIENT, Rejected(CLUSTER, {str(n): cluster(str(n)) for n in range(1000)}, 3, "bad"))
    assert logs[0]["resources"][-1] == "and 980 more"
    assert len(logs[0]["concerns"]) == 21
