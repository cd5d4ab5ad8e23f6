"""Requests and responses that nacos-sdk-python lacks or reads otherwise than Nacos writes them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from xds.sources.nacos.sdk import ConfigQueryResponse as SdkConfigQueryResponse
from xds.sources.nacos.sdk import GrpcUtils, Request, Response


class ConfigQueryResponse(SdkConfigQueryResponse):  # type: ignore[misc]  # the SDK is untyped
    """A document. ``is_beta`` means that its content is meant for our address alone."""

    is_beta: bool = Field(default=False, alias="beta")


class ConfigFuzzyWatchRequest(Request):  # type: ignore[misc]  # the SDK is untyped
    """Asks a Nacos 3 to announce every document of a group. Pattern: ``namespace>>group>>*``."""

    pattern: str = Field(serialization_alias="groupKeyPattern")
    watch_type: Literal["WATCH", "CANCEL_WATCH"] = Field(default="WATCH", serialization_alias="watchType")
    initializing: bool = True

    def get_module(self) -> str:
        """See ``Request``."""
        return "config"

    def get_request_type(self) -> str:
        """See ``Request``."""
        return "ConfigFuzzyWatchRequest"


class ConfigFuzzyWatchResponse(Response):  # type: ignore[misc]  # the SDK is untyped
    """The answer to ``ConfigFuzzyWatchRequest``."""

    def get_response_type(self) -> str:
        """See ``Response``."""
        return "ConfigFuzzyWatchResponse"


class GroupKeyChange(BaseModel):
    """One announced document. ``group_key``: ``dataId+group+namespace``."""

    group_key: str = Field(alias="groupKey")

    @property
    def data_id(self) -> str:
        """The dataId in the group key."""
        return _data_id(self.group_key)


class ConfigFuzzyWatchSyncRequest(Request):  # type: ignore[misc]  # the SDK is untyped
    """The documents that exist when a fuzzy watch begins, a batch at a time."""

    contexts: tuple[GroupKeyChange, ...] = ()

    def get_module(self) -> str:
        """See ``Request``."""
        return "config"

    def get_request_type(self) -> str:
        """See ``Request``."""
        return "ConfigFuzzyWatchSyncRequest"


class ConfigFuzzyWatchChangeNotifyRequest(Request):  # type: ignore[misc]  # the SDK is untyped
    """A document was created or deleted. ``group_key``: ``dataId+group+namespace``."""

    group_key: str = Field(alias="groupKey")

    @property
    def data_id(self) -> str:
        """The dataId in the group key."""
        return _data_id(self.group_key)

    def get_module(self) -> str:
        """See ``Request``."""
        return "config"

    def get_request_type(self) -> str:
        """See ``Request``."""
        return "ConfigFuzzyWatchChangeNotifyRequest"


def _data_id(group_key: str) -> str:
    return group_key.partition("+")[0].replace("%2B", "+").replace("%25", "%")


class Reply(Response):  # type: ignore[misc]  # the SDK is untyped
    """A reply that says no more than that a request of the server arrived."""

    type: str = Field(exclude=True)

    def get_response_type(self) -> str:
        """See ``Response``."""
        return self.type


MODELS: dict[str, Any] = {
    **GrpcUtils.remote_type,
    "ConfigQueryResponse": ConfigQueryResponse,
    "ConfigFuzzyWatchResponse": ConfigFuzzyWatchResponse,
    "ConfigFuzzyWatchSyncRequest": ConfigFuzzyWatchSyncRequest,
    "ConfigFuzzyWatchChangeNotifyRequest": ConfigFuzzyWatchChangeNotifyRequest,
}
"""The models of what a server sends, by type."""
