"""Faults that a decision adds to some requests: delays and aborts, for Envoy and for gRPC clients alike."""

from envoy_data_plane.envoy.extensions.filters.common.fault.v3 import FaultDelay
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType

from xds.routing.model import Abort, Delay
from xds.wire import build

FAULT_FILTER = "envoy.filters.http.fault"


def http_fault(delay: Delay | None, abort: Abort | None) -> HttpFault:
    """Build the settings of the fault filter for one route."""
    fault = build(HttpFault)
    if delay is not None:
        fault.delay = build(FaultDelay, fixed_delay=delay.duration, percentage=millionths(delay.share))
    if abort is not None:
        fault.abort = build(
            FaultAbort,
            http_status=abort.http_status,
            grpc_status=abort.grpc_status,
            percentage=millionths(abort.share),
        )
    return fault


def millionths(share: int) -> FractionalPercent:
    """Build a share of ``TOTAL``."""
    return build(FractionalPercent, numerator=share, denominator=FractionalPercentDenominatorType.MILLION)
