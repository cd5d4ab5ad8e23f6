"""Load balancing: which instance of a cluster gets a request."""

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import LoadBalancingPolicy, LoadBalancingPolicyPolicy
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
)
from envoy_data_plane.envoy.extensions.load_balancing_policies.common.v3 import (
    ConsistentHashingLbConfig,
    LocalityLbConfig,
    LocalityLbConfigZoneAwareLbConfig,
    LocalityLbConfigZoneAwareLbConfigForceLocalZone,
    LocalityLbConfigZoneAwareLbConfigLocalityBasis,
    SlowStartConfig,
)
from envoy_data_plane.envoy.extensions.load_balancing_policies.least_request.v3 import LeastRequest
from envoy_data_plane.envoy.extensions.load_balancing_policies.random.v3 import Random
from envoy_data_plane.envoy.extensions.load_balancing_policies.ring_hash.v3 import RingHash
from envoy_data_plane.envoy.extensions.load_balancing_policies.round_robin.v3 import RoundRobin
from envoy_data_plane.envoy.type.v3 import Percent

from xds.rules import model
from xds.wire import any_of, build


def load_balancing(asked: model.LoadBalancer | None) -> LoadBalancingPolicy:
    """Build the policy; least request unless told otherwise.

    The hash of ``consistentHash`` is the load balancer's own, not the route's: there it would be mixed with
    the identity that a sticky split hashes.
    """
    match asked:
        case model.LoadBalancer(consistent_hash=model.ConsistentHash() as consistent):
            return _policy(
                "ring_hash",
                build(
                    RingHash,
                    consistent_hashing_lb_config=build(
                        ConsistentHashingLbConfig, hash_policy=[_hash_policy(consistent)]
                    ),
                ),
            )
        case model.LoadBalancer(simple="RANDOM"):
            return _policy("random", build(Random, locality_lb_config=_own_zone(asked)))
        case model.LoadBalancer(simple="ROUND_ROBIN"):
            slow, zone = _slow_start(asked.warmup), _own_zone(asked)
            return _policy("round_robin", build(RoundRobin, slow_start_config=slow, locality_lb_config=zone))
        case model.LoadBalancer():
            slow, zone = _slow_start(asked.warmup), _own_zone(asked)
            config = build(LeastRequest, slow_start_config=slow, locality_lb_config=zone)
            return _policy("least_request", config)
        case None:
            return _policy("least_request", build(LeastRequest))


def prefers_own_zone(asked: model.LoadBalancer | None) -> bool:
    """Whether a proxy sends its requests to the instances of its own zone as long as it can."""
    return asked is not None and asked.locality_lb_setting is not None and asked.locality_lb_setting.enabled


def _policy(name: str, config: betterproto2.Message) -> LoadBalancingPolicy:
    extension = build(
        TypedExtensionConfig, name=f"envoy.load_balancing_policies.{name}", typed_config=any_of(config)
    )
    return build(
        LoadBalancingPolicy, policies=[build(LoadBalancingPolicyPolicy, typed_extension_config=extension)]
    )


def _own_zone(asked: model.LoadBalancer) -> LocalityLbConfig | None:
    """Send all requests to the proxy's own zone while it has enough healthy instances of priority 0.

    With fewer, the zone gets its part by weight of all healthy ones, and the other zones the rest. Envoy
    compares with the cluster of its bootstrap's ``local_cluster_name``; without that it looks at no zone.
    """
    if not prefers_own_zone(asked):
        return None
    assert asked.locality_lb_setting is not None
    enough = asked.locality_lb_setting.min_local_instances
    zones = build(
        LocalityLbConfigZoneAwareLbConfig,
        min_cluster_size=1,
        force_local_zone=build(LocalityLbConfigZoneAwareLbConfigForceLocalZone, min_size=enough),
        locality_basis=LocalityLbConfigZoneAwareLbConfigLocalityBasis.HEALTHY_HOSTS_WEIGHT,
    )
    return build(LocalityLbConfig, zone_aware_lb_config=zones)


def _slow_start(warmup: model.Warmup | None) -> SlowStartConfig | None:
    if warmup is None:
        return None
    return build(
        SlowStartConfig,
        slow_start_window=warmup.duration,
        min_weight_percent=build(Percent, value=float(warmup.minimum_percent)),
    )


def _hash_policy(asked: model.ConsistentHash) -> RouteActionHashPolicy:
    if asked.http_header_name is not None:
        header = build(RouteActionHashPolicyHeader, header_name=asked.http_header_name)
        return build(RouteActionHashPolicy, header=header)
    if asked.http_cookie is not None:
        cookie = build(
            RouteActionHashPolicyCookie, name=asked.http_cookie.name, ttl=asked.http_cookie.ttl, path="/"
        )
        return build(RouteActionHashPolicy, cookie=cookie)
    if asked.http_query_parameter_name is not None:
        parameter = build(RouteActionHashPolicyQueryParameter, name=asked.http_query_parameter_name)
        return build(RouteActionHashPolicy, query_parameter=parameter)
    address = build(RouteActionHashPolicyConnectionProperties, source_ip=True)
    return build(RouteActionHashPolicy, connection_properties=address)
