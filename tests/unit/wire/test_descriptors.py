"""Descriptors made from message classes: what Google's runtime reads by them is what was written."""

import importlib
import pkgutil

import envoy_data_plane
import pytest
from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.config.route.v3 import (
    RedirectAction,
    RedirectActionRedirectResponseCode,
    Route,
    RouteMatch,
    VirtualHost,
)
from google.protobuf import descriptor_pb2, json_format

from xds.wire import descriptors, encode
from xds.wire.descriptors import RpcMethod, message_class, new_pool

_ROOT = "envoy_data_plane."


def _packages() -> list[str]:
    return [
        module.name.removeprefix(_ROOT)
        for module in pkgutil.walk_packages(envoy_data_plane.__path__, _ROOT)
        if module.ispkg and not module.name.startswith(f"{_ROOT}google.protobuf")
    ]


@pytest.mark.slow
def test_every_package_has_a_valid_file_with_all_its_messages() -> None:
    pool = new_pool()
    described = 0
    for package in _packages():
        module = importlib.import_module(_ROOT + package)
        names = [name for name, _ in descriptors._messages_of(module)]
        for name in names:
            assert pool.FindMessageTypeByName(name).full_name == name
        described += len(names)
    assert described > 1000


def test_the_runtime_reads_what_encode_wrote() -> None:
    host = VirtualHost(
        name="reviews",
        domains=["reviews"],
        routes=[
            Route(
                match=RouteMatch(prefix="/"),
                redirect=RedirectAction(
                    response_code=RedirectActionRedirectResponseCode.FOUND, prefix_rewrite=""
                ),
                metadata=Metadata(filter_metadata={}),
            )
        ],
        include_request_attempt_count=True,
    )
    read = message_class("envoy.config.route.v3.VirtualHost").FromString(encode(host))
    assert json_format.MessageToDict(read) == {
        "name": "reviews",
        "domains": ["reviews"],
        "routes": [
            {
                "match": {"prefix": "/"},
                "redirect": {"responseCode": "FOUND", "prefixRewrite": ""},
                "metadata": {},
            }
        ],
        "includeRequestAttemptCount": True,
    }
    assert VirtualHost.parse(read.SerializeToString()) == host


def test_services_are_described_with_their_methods() -> None:
    method = RpcMethod(
        "envoy.service.status.v3.ClientStatusDiscoveryService",
        "FetchClientStatus",
        "envoy.service.status.v3.ClientStatusRequest",
        "envoy.service.status.v3.ClientStatusResponse",
        client_streaming=False,
        server_streaming=False,
    )
    service = new_pool([method]).FindServiceByName(method.service)
    described = descriptor_pb2.MethodDescriptorProto()
    service.methods_by_name["FetchClientStatus"].CopyToProto(described)
    assert described.input_type == ".envoy.service.status.v3.ClientStatusRequest"
    assert not described.server_streaming


@pytest.mark.parametrize("name", ["envoy.config.cluster.v3.Clutser", "no.such.package.Message", "Message"])
def test_an_unknown_message_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        message_class(name)
