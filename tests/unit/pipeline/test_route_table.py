"""A RouteConfiguration kept in step with services."""

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Ref
from xds.pipeline.route_table import RouteTable
from xds.type_urls import CLUSTER
from xds.wire import encode

CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.none() | st.sampled_from("xyz"),
        st.frozensets(st.sampled_from("pqr").map(lambda name: Ref(CLUSTER, name))),
    )
)


def host(service: str, domain: str) -> bytes:
    return encode(VirtualHost(name=service, domains=[domain]))


@given(CHANGES)
def test_it_holds_the_last_host_of_each_service_in_order(
    changes: list[tuple[str, str | None, frozenset[Ref]]],
) -> None:
    table = RouteTable("edge")
    model: dict[str, tuple[str, frozenset[Ref]]] = {}
    for service, domain, requires in changes:
        before = model.get(service)
        body = host(service, domain) if domain else None
        changed = table.set(service, body, requires if domain else frozenset())
        model.pop(service, None)
        if domain:
            model[service] = (domain, requires)
        assert changed == ((before and before[0]) != domain)
    resource = table.resource(["b.yaml", "a.yaml"])
    hosts = RouteConfiguration.parse(resource.body).virtual_hosts
    assert [(host.name, host.domains[0]) for host in hosts] == [(n, model[n][0]) for n in sorted(model)]
    assert resource.requires == frozenset().union(*(requires for _, requires in model.values()))
    assert resource.origins == ("a.yaml", "b.yaml")
