"""A DNS server that knows what a test tells it."""

import asyncio
import ipaddress
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Self

_A = 1
_NO_ERROR, _NO_SUCH_NAME = 0x8180, 0x8183


class DnsServer:
    """Answers for ``addresses``, by name, with a time to live of a second; other names do not exist."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self.addresses = dict(addresses)
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Protocol(self.addresses), local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def resolver(self) -> dict[str, Any]:
        """Return what tells an Envoy to ask this server (``Bootstrap.typed_dns_resolver_config``)."""
        kind = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
        address = {"socket_address": {"address": "127.0.0.1", "port_value": self.port}}
        return {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": kind,
                "resolvers": [address],
                "dns_resolver_options": {"no_default_search_domain": True},
            },
        }


class _Protocol(asyncio.DatagramProtocol):
    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self._addresses = addresses

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # it is one
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(answer(data, self._addresses), addr)


def answer(query: bytes, addresses: Mapping[str, Sequence[str]]) -> bytes:
    """Answer a query of one question (RFC 1035, 4): IPv4 addresses, none for other types."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    question = query[12 : at + 5]
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    known = addresses.get(".".join(labels).lower())
    found = [ipaddress.IPv4Address(each).packed for each in known or () if kind == _A]
    header = query[:2] + struct.pack("!HHHHH", _NO_ERROR if known else _NO_SUCH_NAME, 1, len(found), 0, 0)
    # 0xC00C points to the name of the question.
    return header + question + b"".join(struct.pack("!HHHIH", 0xC00C, _A, 1, 1, 4) + each for each in found)
