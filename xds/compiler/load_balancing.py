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
            return _policy("random", build(Random))
        case model.LoadBalancer(simple="ROUND_ROBIN", warmup=warmup):
            return _policy("round_robin", build(RoundRobin, slow_start_config=_slow_start(warmup)))
        case model.LoadBalancer(warmup=warmup):
            return _policy("least_request", build(LeastRequest, slow_start_config=_slow_start(warmup)))
        case None:
            return _policy("least_request", build(LeastRequest))


def _policy(name: str, config: betterproto2.Message) -> LoadBalancingPolicy:
    extension = build(
        TypedExtensionConfig, name=f"envoy.load_balancing_policies.{name}", typed_config=any_of(config)
    )
    return build(
        LoadBalancingPolicy, policies=[build(LoadBalancingPolicyPolicy, typed_extension_config=extension)]
    )


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
