"""What is used of nacos-sdk-python: its wire layer, without the clients above it (``transport`` says why).

Importing any part of the SDK first imports its package, which imports those clients, and with them the
client of a key management service: a quarter of a second at every start, and 20 MB, that serve nobody here.
So the parts are imported beside the package. Who uses the SDK's clients in the same process finds them.
"""

import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import v2

_PACKAGE = "v2.nacos"

# Who starts processes after a call of gRPC would see its complaints about that on the terminal.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")


@contextmanager
def _beside_its_package() -> Iterator[None]:
    if _PACKAGE in sys.modules:
        yield
        return
    stand_in = types.ModuleType(_PACKAGE)
    stand_in.__path__ = [str(Path(path, "nacos")) for path in v2.__path__]
    sys.modules[_PACKAGE] = stand_in
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]


with _beside_its_package():
    from v2.nacos.common.client_config import ClientConfig
    from v2.nacos.common.constants import Constants
    from v2.nacos.common.nacos_exception import INVALID_INTERFACE_ERROR, NO_RIGHT, UN_REGISTER, NacosException
    from v2.nacos.config.model.config import ConfigListenContext
    from v2.nacos.config.model.config_request import (
        ConfigBatchListenRequest,
        ConfigChangeNotifyRequest,
        ConfigPublishRequest,
        ConfigQueryRequest,
        ConfigRemoveRequest,
    )
    from v2.nacos.config.model.config_response import ConfigQueryResponse
    from v2.nacos.naming.model.instance import Instance
    from v2.nacos.naming.model.naming_request import (
        InstanceRequest,
        NotifySubscriberRequest,
        ServiceListRequest,
        ServiceQueryRequest,
        SubscribeServiceRequest,
    )
    from v2.nacos.naming.model.naming_response import NotifySubscriberResponse
    from v2.nacos.naming.util.naming_remote_constants import NamingRemoteConstants
    from v2.nacos.transport.grpc_client import GrpcClient
    from v2.nacos.transport.grpc_connection import GrpcConnection
    from v2.nacos.transport.grpc_util import GrpcUtils
    from v2.nacos.transport.model.internal_request import (
        CONNECTION_RESET_REQUEST_TYPE,
        ClientDetectionRequest,
        HealthCheckRequest,
        SetupAckRequest,
    )
    from v2.nacos.transport.model.internal_response import ClientDetectionResponse, ErrorResponse
    from v2.nacos.transport.model.rpc_request import Request
    from v2.nacos.transport.model.rpc_response import Response
    from v2.nacos.transport.model.server_info import ServerInfo
    from v2.nacos.utils.net_util import NetUtils

__all__ = [
    "CONNECTION_RESET_REQUEST_TYPE",
    "INVALID_INTERFACE_ERROR",
    "NO_RIGHT",
    "UN_REGISTER",
    "ClientConfig",
    "ClientDetectionRequest",
    "ClientDetectionResponse",
    "ConfigBatchListenRequest",
    "ConfigChangeNotifyRequest",
    "ConfigListenContext",
    "ConfigPublishRequest",
    "ConfigQueryRequest",
    "ConfigQueryResponse",
    "ConfigRemoveRequest",
    "Constants",
    "ErrorResponse",
    "GrpcClient",
    "GrpcConnection",
    "GrpcUtils",
    "HealthCheckRequest",
    "Instance",
    "InstanceRequest",
    "NacosException",
    "NamingRemoteConstants",
    "NetUtils",
    "NotifySubscriberRequest",
    "NotifySubscriberResponse",
    "Request",
    "Response",
    "ServerInfo",
    "ServiceListRequest",
    "ServiceQueryRequest",
    "SetupAckRequest",
    "SubscribeServiceRequest",
]
