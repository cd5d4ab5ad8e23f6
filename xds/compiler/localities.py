"""The localities of load assignments, put together from fields: there are thousands of endpoints in them."""

from collections.abc import Iterable

from xds.rules.instance import Locality
from xds.wire import delimited, varint

# Field numbers (envoy/config/endpoint/v3/endpoint_components.proto, core/v3/base.proto).
_LOCALITY = 1  # LocalityLbEndpoints.locality
_REGION, _ZONE = 1, 2  # of Locality
_LB_ENDPOINTS = 2  # LocalityLbEndpoints.lb_endpoints
_WEIGHT = 3  # LocalityLbEndpoints.load_balancing_weight, a UInt32Value
_PRIORITY_TAG = varint(5 << 3)  # LocalityLbEndpoints.priority
_VALUE_TAG = varint(1 << 3)  # UInt32Value.value


def lb_locality(
    locality: Locality, endpoints: Iterable[bytes], *, weight: int | None = None, priority: int = 0
) -> bytes:
    """Encode a LocalityLbEndpoints of encoded LbEndpoints.

    With a ``weight`` it has a locality even if that is empty: gRPC clients reject an assignment without.
    """
    place = _text(_REGION, locality.region) + _text(_ZONE, locality.zone)
    is_named = bool(place) or weight is not None
    return b"".join(
        (
            delimited(_LOCALITY, place) if is_named else b"",
            *(delimited(_LB_ENDPOINTS, endpoint) for endpoint in endpoints),
            delimited(_WEIGHT, uint32(weight)) if weight is not None else b"",
            _PRIORITY_TAG + varint(priority) if priority else b"",
        )
    )


def uint32(value: int) -> bytes:
    """Encode a UInt32Value."""
    return _VALUE_TAG + varint(value)


def _text(field: int, text: str) -> bytes:
    return delimited(field, text.encode()) if text else b""
