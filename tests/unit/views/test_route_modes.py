"""A RouteConfiguration kept in step with services."""

from collections.abc import Mapping

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost
from hypothesis import given
from hypothesis import strategies as st

from xds.cache import Ref
from xds.documents.identity import DocumentId, Origin
from xds.type_urls import CLUSTER
from xds.views.route_modes import SharedRoutes, VisibleService
from xds.wire import encode

CHANGES = st.lists(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.none()
        | st.tuples(
            st.sampled_from("xyz"),
            st.frozensets(st.sampled_from("pqr").map(lambda name: Ref(CLUSTER, name))),
        ),
    )
)
Model = dict[str, tuple[str, frozenset[Ref]]]


def visible(name: str, domain: str, requires: frozenset[Ref]) -> VisibleService:
    body = encode(VirtualHost(name=name, domains=[domain]))
    origin = Origin(DocumentId("", f"{name}.yaml"), domain)
    return VisibleService(body, (domain,), requires, frozenset(), (origin,))


@given(CHANGES)
def test_it_holds_the_last_host_of_each_service_in_order(
    changes: list[Mapping[str, tuple[str, frozenset[Ref]] | None]],
) -> None:
    routes = SharedRoutes("edge")
    model: Model = {}
    for change in changes:
        before = {name: model[name][0] for name in model}
        for name, what in change.items():
            model.pop(name, None)
            if what:
                model[name] = what
        for name, what in change.items():
            routes.set(name, visible(name, *what) if what else None)
        found = list(routes.of_all())
        assert bool(found) == ({name: model[name][0] for name in model} != before)
    [resource] = routes.fixed()
    hosts = RouteConfiguration.parse(resource.body).virtual_hosts
    assert [(host.name, host.domains[0]) for host in hosts] == [(n, model[n][0]) for n in sorted(model)]
    assert resource.requires == frozenset().union(*(requires for _, requires in model.values()))
    assert resource.origins == tuple(
        Origin(DocumentId("", f"{name}.yaml"), model[name][0]) for name in sorted(model)
    )
