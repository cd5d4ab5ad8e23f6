"""Messages made unchecked are those that the constructors make."""

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, Route, RouteAction, RouteMatch, VirtualHost

from xds.wire import build, encode


@pytest.mark.parametrize("kind", [Cluster, Metadata, Route, RouteAction, RouteMatch, VirtualHost])
def test_one_without_fields_has_the_defaults_of_its_class(kind: type[Cluster]) -> None:
    assert build(kind) == kind()
    assert build(kind).__dict__ == kind().__dict__


def test_fields_are_what_is_given() -> None:
    headers = [HeaderMatcher(name="x", present_match=True)]
    built = build(RouteMatch, prefix="/", headers=headers)
    constructed = RouteMatch(prefix="/", headers=headers)
    assert built == constructed
    assert encode(built) == encode(constructed) == bytes(constructed)


def test_no_two_share_a_container() -> None:
    one, other = build(VirtualHost, name="one"), build(VirtualHost, name="other")
    one.domains.append("a")
    one.typed_per_filter_config["a"] = None  # type: ignore[assignment]
    assert other.domains == []
    assert other.typed_per_filter_config == {}
