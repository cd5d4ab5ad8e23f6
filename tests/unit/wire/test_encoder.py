"""``encode`` against two other opinions: stock betterproto2 encoding, and Google's runtime."""

import copy
import dataclasses
import importlib
import math
import os
import pkgutil
import subprocess
import sys
from datetime import timedelta
from typing import Any

import betterproto2
import envoy_data_plane
import pytest
from betterproto2 import Message
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import Metadata, TransportSocket
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    Route,
    RouteAction,
    RouteActionHashPolicyHeader,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Resource,
)
from envoy_data_plane.google.protobuf import Struct, Value
from envoy_data_plane.message_pool import default_message_pool
from envoy_data_plane.validate import (
    DoubleRules,
    Fixed32Rules,
    Fixed64Rules,
    FloatRules,
    Int32Rules,
    Int64Rules,
    SFixed32Rules,
    SFixed64Rules,
    SInt32Rules,
    SInt64Rules,
    UInt32Rules,
    UInt64Rules,
)
from envoy_data_plane.xds.type.matcher.v3 import Matcher
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wire.messages import ANY, PLAIN, fields_of, patient
from tests.unit.wire.oracle import oracle_class, to_oracle
from xds.wire import any_of, delimited, encode, type_url, varint
from xds.wire.encoder import _PLANS

BUILT = [
    Bootstrap,
    Cluster,
    ClusterLoadAssignment,
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    FileAccessLog,
    HttpConnectionManager,
    HttpProtocolOptions,
    Listener,
    Matcher,
    Route,
    RouteConfiguration,
    RouteMatch,
    Router,
    VirtualHost,
]
"""Message classes that Grayplane builds, and with them all that they contain."""

NUMBERS = [
    DoubleRules,
    Fixed32Rules,
    Fixed64Rules,
    FloatRules,
    Int32Rules,
    Int64Rules,
    SFixed32Rules,
    SFixed64Rules,
    SInt32Rules,
    SInt64Rules,
    UInt32Rules,
    UInt64Rules,
]
"""Message classes with single and repeated fields of every kind of number there is."""

built = pytest.mark.parametrize("message_class", BUILT, ids=lambda each: each.__name__)
examples = settings(patient, max_examples=20)


@pytest.mark.parametrize("message_class", NUMBERS, ids=lambda each: each.__name__)
@examples
@given(st.data())
def test_numbers_of_every_kind(message_class: type[Message], data: st.DataObject) -> None:
    message = data.draw(PLAIN.of(message_class))
    assert encode(message) == bytes(message)
    assert_google_agrees(message)


@pytest.fixture(scope="session")
def all_classes() -> list[type[Message]]:
    for module in pkgutil.walk_packages(envoy_data_plane.__path__, "envoy_data_plane."):
        importlib.import_module(module.name)
    return sorted(default_message_pool.type_to_url, key=type_url)


@built
@examples
@given(st.data())
def test_writes_the_bytes_that_stock_encoding_writes(
    message_class: type[Message], data: st.DataObject
) -> None:
    message = data.draw(PLAIN.of(message_class))
    assert encode(message) == bytes(message)


@built
@examples
@given(st.data())
def test_parses_back_to_an_equal_message(message_class: type[Message], data: st.DataObject) -> None:
    message = data.draw(ANY.of(message_class))
    assert message_class.parse(encode(message)) == message
    assert_google_agrees(message)


@pytest.mark.slow
@settings(patient, max_examples=200)
@given(st.data())
def test_any_class_means_the_same_to_google(all_classes: list[type[Message]], data: st.DataObject) -> None:
    # Google's runtime comes with descriptors of its own for its package.
    others = [
        each for each in all_classes if not type_url(each).startswith("type.googleapis.com/google.protobuf.")
    ]
    assert_google_agrees(data.draw(ANY.of(data.draw(st.sampled_from(others)))))


def assert_google_agrees(message: Message) -> None:
    parsed = oracle_class(type(message)).FromString(encode(message))
    assert len(UnknownFieldSet(parsed)) == 0
    assert parsed.SerializeToString(deterministic=True) == to_oracle(message).SerializeToString(
        deterministic=True
    )


@pytest.mark.slow
def test_every_class_has_a_plan(all_classes: list[type[Message]]) -> None:
    assert len(all_classes) > 2000
    assert all(len(_PLANS[each]) == len(fields_of(each)) for each in all_classes)


@built
@examples
@given(st.data())
def test_order_of_insertion_into_maps_is_nothing(message_class: type[Message], data: st.DataObject) -> None:
    message = data.draw(ANY.of(message_class))
    assert encode(with_maps_reversed(message)) == encode(message)


def with_maps_reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_maps_reversed(each) for key, each in reversed(value.items())}
    if isinstance(value, list):
        return [with_maps_reversed(each) for each in value]
    if isinstance(value, Message):
        fields = {
            field.name: with_maps_reversed(getattr(value, field.name)) for field in fields_of(type(value))
        }
        return dataclasses.replace(copy.copy(value), **fields)  # type: ignore[type-var]
    return value


PRINT_ENCODED = """
from envoy_data_plane.google.protobuf import Struct, Value
from xds.wire import encode
names = {f"name-{n}" for n in range(50)}  # a set of strings: its order is that of the hash seed
inner = Struct(fields={name: Value(string_value=name) for name in names})
print(encode(Struct(fields={name: Value(struct_value=inner) for name in names})).hex(), *names)
"""


def test_every_process_writes_the_same_bytes() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PRINT_ENCODED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    encoded, orders = zip(*(run.communicate()[0].split(maxsplit=1) for run in runs), strict=True)
    assert len(set(orders)) == 2, "the hash seed must have changed the order, or this test shows nothing"
    assert len(set(encoded)) == 1


@pytest.mark.parametrize(
    "message",
    [
        RetryPolicy(num_retries=0),
        RouteAction(cluster=""),
        RouteAction(timeout=timedelta(0)),
        RouteMatch(prefix=""),
        Route(route=RouteAction()),
        VirtualHost(routes=[Route(), Route()]),
        Value(bool_value=False),
        Struct(fields={"": Value()}),
        Metadata(filter_metadata={"envoy.lb": Struct()}),
    ],
    ids=repr,
)
def test_presence_is_kept(message: Message) -> None:
    assert encode(message) == bytes(message) != b""


def test_absent_and_empty_fields_are_not_written() -> None:
    assert encode(VirtualHost(name="", domains=[], typed_per_filter_config={}, retry_policy=None)) == b""


def test_unknown_fields_are_kept_inside_and_out() -> None:
    unknown = delimited(1000, b"later")
    message = RouteConfiguration.parse(delimited(2, delimited(1, b"host") + unknown) + unknown)
    assert encode(message) == delimited(2, delimited(1, b"host") + unknown) + unknown


def test_not_a_number_is_a_number() -> None:
    assert encode(Value(number_value=math.nan)) == bytes(Value(number_value=math.nan))
    assert math.isnan(Value.parse(encode(Value(number_value=math.nan))).number_value or 0)


def test_minus_zero_keeps_its_sign_where_presence_is_explicit() -> None:
    assert encode(Value(number_value=-0.0)) == bytes(Value(number_value=-0.0))


@pytest.mark.parametrize("microseconds", [-500_000, -1_500_000, -1, -1_000_000, 1, 10**17 + 1])
def test_durations_are_exact(microseconds: int) -> None:
    # Stock encoding loses the sign of a negative fraction, and computes in doubles.
    assert_google_agrees(RouteAction(timeout=timedelta(microseconds=microseconds)))


def test_any_of_names_its_content() -> None:
    wrapped = any_of(Router(dynamic_stats=True))
    assert wrapped.type_url == "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    assert wrapped.unpack() == Router(dynamic_stats=True)
    assert any_of(TransportSocket()).value == b""


def test_a_nested_class_has_its_full_name() -> None:
    url = "type.googleapis.com/envoy.config.route.v3.RouteAction.HashPolicy.Header"
    assert type_url(RouteActionHashPolicyHeader) == url


def test_fields_can_be_spliced_on() -> None:
    response = DeltaDiscoveryResponse(type_url=type_url(Cluster), resources=[Resource(name="a")])
    spliced = encode(response) + delimited(5, b"7") + delimited(2, encode(Resource(name="b")))
    assert DeltaDiscoveryResponse.parse(spliced) == DeltaDiscoveryResponse(
        type_url=type_url(Cluster), resources=[Resource(name="a"), Resource(name="b")], nonce="7"
    )


@given(st.integers(-(1 << 63), (1 << 64) - 1))
def test_varint(number: int) -> None:
    assert varint(number) == betterproto2.encode_varint(number)


@pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
def test_what_does_not_fit_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        varint(number)
