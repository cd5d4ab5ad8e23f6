from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from xds.protocol import DELTA
from xds.server.decoder import RequestDecoder
from xds.server.errors import StreamError
from xds.server.limits import Limits
from xds.server.services import DiscoveryMethod, methods
from xds.type_urls import ROUTE
from xds.wire import DeltaRequest, delimited

AGGREGATED = next(each for each in methods() if each.type_url is None and each.variant is DELTA)
ROUTES = next(each for each in methods() if each.type_url == ROUTE and each.variant is DELTA)


def decoder(method: DiscoveryMethod = AGGREGATED, limits: Limits | None = None) -> RequestDecoder:
    return RequestDecoder(method, limits or Limits(), ThreadPoolExecutor(1))


def acknowledgement(nonce: str) -> bytes:
    return delimited(2, ROUTE.encode()) + delimited(6, nonce.encode())


def subscription(names: int) -> bytes:
    return delimited(2, ROUTE.encode()) + b"".join(delimited(3, b"%x" % number) for number in range(names))


async def test_streams_in_step_are_taken_at_their_word_each_time() -> None:
    taken = decoder()
    for nonce in ("1", "2", "1"):
        request = await taken.decode(acknowledgement(nonce))
        assert request == DeltaRequest(type_url=ROUTE, response_nonce=nonce)


async def test_a_request_is_of_the_type_of_the_service_that_it_was_sent_to() -> None:
    untyped = delimited(6, b"1")
    assert (await decoder(ROUTES).decode(untyped)).type_url == ROUTE
    with pytest.raises(StreamError, match="type_url is missing"):
        await decoder().decode(untyped)


async def test_what_is_malformed_is_refused_as_often_as_it_comes() -> None:
    taken = decoder()
    for _ in range(2):
        with pytest.raises(StreamError, match="malformed request") as raised:
            await taken.decode(b"\x0a\x7f")
        assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("names", [5, 1_500, 40_000], ids=["tiny", "small", "large"])
async def test_names_beyond_the_limit_are_refused_whatever_the_size(names: int) -> None:
    data = subscription(names)
    request = await decoder(limits=Limits(names=names)).decode(data)
    assert isinstance(request, DeltaRequest)
    assert len(request.subscribe) == names
    with pytest.raises(StreamError, match=f"more than {names - 1} resource names") as raised:
        await decoder(limits=Limits(names=names - 1)).decode(data)
    assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
